"""The Ray Tune trainable: one slot of a cell.

A trial is a piece of work for a slot: a *warm-up*, a *job* (one training that a black-box searcher
asked for; one report), or a *chain* (a gradient-based search; a report for each evaluation). The
actor is reused from trial to trial, so the data set and the libraries stay warm.

What a slot reports is one JSON string, `REPORT`: Tune flattens nested results.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import tune

from searchers.protocols import (
    BlackBoxSearcher,
    Chain,
    Evaluation,
    Job,
    Searcher,
    checked_evaluation,
)
from trainables.evaluation import evaluate_job, save_weights
from trainables.task import Task
from trainables.warm_up import warm_up, warm_up_forward_mode

REPORT = "report"


@dataclass(frozen=True)
class Post:
    """What every slot of a cell needs to know: the same for all its trials.

    ``scratch`` is a folder for what lives no longer than the cell (weights of incumbents,
    unfinished trainings). ``cores``: the slice's cores to stay on; empty for any.
    """

    task: Task
    searcher: Searcher
    seed: int
    width: int
    scratch: Path
    threads: int = 1
    cores: tuple[int, ...] = ()
    device: str = "cpu"


def warm_up_work() -> dict[str, Any]:
    return {"work": "warm-up"}


def job_work(job: Job) -> dict[str, Any]:
    return {
        "work": "job",
        "training": job.training,
        "configuration": json.dumps(job.configuration),
        "epochs": job.epochs,
    }


def chain_work(chain: Chain) -> dict[str, Any]:
    return {"work": "chain", "index": chain.index, "of": chain.of}


class ScratchError(Exception):
    """What a slot has to keep cannot be written."""


class SlotTrainable(tune.Trainable):
    """Does the work that its trial's config names; reports evaluations."""

    def setup(self, config: dict[str, Any], post: Post | None = None) -> None:
        assert post is not None
        self._post = post
        stay_on(post.cores)
        torch.set_num_threads(post.threads)
        self._device = torch.device(post.device)
        warm_up(self._device)
        if not isinstance(post.searcher, BlackBoxSearcher):
            warm_up_forward_mode(self._device)
        self._instance = post.task.build(post.seed, self._device)
        self._brief = post.task.brief(post.seed, post.width)
        self._best = {True: math.inf, False: math.inf}  # by "is it a full evaluation"
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._work = self._evaluations(new_config)
        self._single = new_config["work"] == "job"
        return True

    def step(self) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            evaluation = next(self._work)
            if evaluation is None:
                return {REPORT: json.dumps("warm")}
            report = self._describe(evaluation, time.perf_counter() - began)
            return {REPORT: json.dumps(report, allow_nan=False), "done": self._single}
        except StopIteration:
            return {REPORT: json.dumps(None), "done": True}
        except ScratchError as error:
            return {REPORT: json.dumps({"disk": str(error)}), "done": True}
        except Exception as error:  # an errored trial would take its actor with it
            line = f"{type(error).__name__}: {error}".splitlines()[0]
            failure = {"failed": line, "parts": {"train": time.perf_counter() - began}}
            return {REPORT: json.dumps(failure), "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        return {}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing to load: a cell that was cut short is rerun."""

    def _evaluations(self, config: dict[str, Any]) -> Iterator[Evaluation | None]:
        problem, brief, searcher = self._instance.inner, self._brief, self._post.searcher
        if config["work"] == "warm-up":
            while True:  # until every slot of the cell is warm
                time.sleep(0.02)
                yield None
        elif config["work"] == "job":
            configuration = json.loads(config["configuration"])
            job = Job(config["training"], configuration, config["epochs"])
            yield evaluate_job(problem, brief, job, self._post.scratch / "trainings")
        else:
            assert not isinstance(searcher, BlackBoxSearcher)
            yield from searcher.search(problem, brief, Chain(config["index"], config["of"]))

    def _describe(self, evaluation: Evaluation, wall: float) -> dict[str, Any]:
        """The evaluation as JSON; a loss above the ceiling, or none, is a divergence."""
        evaluation = checked_evaluation(evaluation, self._brief)
        task, metrics = self._post.task, evaluation.metrics
        diverged = not (math.isfinite(metrics.loss) and metrics.loss <= task.loss_ceiling)
        parts = dict(evaluation.seconds)
        parts["search"] = max(wall - sum(parts.values()), 0.0)
        began = time.perf_counter()
        if not diverged:
            self._keep_if_best(evaluation)
        parts["observing"] = time.perf_counter() - began
        return {
            "training": evaluation.training,
            "budget": evaluation.epochs,
            "full": evaluation.epochs == self._brief.horizon,
            "hyperparameters": evaluation.configuration,
            "validation_loss": task.loss_ceiling if diverged else metrics.loss,
            "validation_accuracy": metrics.accuracy,
            "steps": evaluation.steps,
            "status": "diverged" if diverged else "ok",
            "parts": parts,
            **({"notes": evaluation.notes} if evaluation.notes else {}),
        }

    def _keep_if_best(self, evaluation: Evaluation) -> None:
        """Keep the weights of what may be the cell's new incumbent, or its model in hand.

        This slot's best so far is no better than the cell's, so no incumbent is missed.
        """
        loss, full = evaluation.metrics.loss, evaluation.epochs == self._brief.horizon
        in_hand = loss < min(self._best.values())
        incumbent = full and loss < self._best[True]
        if in_hand or incumbent:
            path = kept_weights(self._post.scratch, evaluation.training, evaluation.epochs)
            try:
                save_weights(path, evaluation.weights)
            except OSError as error:
                raise ScratchError(f"{path}: {error.strerror or error}") from error
        self._best[full] = min(self._best[full], loss)


def kept_weights(scratch: Path, training: int, epochs: int) -> Path:
    """Where the weights of a training at a budget are kept until they are tested."""
    return scratch / "weights" / f"t{training}_e{epochs}.npz"


def stay_on(cores: tuple[int, ...]) -> None:
    """Keep this process on the given cores, where the system can."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
