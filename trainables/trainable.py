"""The Ray Tune trainable: one slot of a cell, a trial of Tune's that lives as long as the cell.

A slot is handed one evaluation's work at a time: a *job* (one training that a black-box searcher
asked for), or the next evaluation of its *chain* (a gradient-based search). In one call it reports
what came of it and is handed what is next, so that an evaluation costs every searcher the same. The
process, with the data set and the libraries, stays warm.

A report is JSON. Of an evaluation, a training that raised included, it has the columns of its
record that a slot measures, beside what is for the cell alone: the ``slot``, when it ``worked``,
and a ``trace`` of what raised. Of a chain that raised, it has why it ``failed``.
"""

from __future__ import annotations

import json
import math
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray import cloudpickle, tune

from searchers.protocols import (
    BlackBoxSearcher,
    Chain,
    Evaluation,
    Job,
    Searcher,
    checked_evaluation,
)
from searchers.space import Flat
from searchers.stopwatch import clock
from trainables.import_path import look_as_the_runner_does
from trainables.peak_memory import out_of_memory, peak_device, peak_host, reset_peaks
from trainables.processes import end_with, stay_on
from trainables.task import Task
from trainables.training_job import evaluate_job, kept_weights, save_weights
from trainables.warm_up import warm_up, warm_up_forward_mode, warm_up_saving

Work = dict[str, Any]

THE_END = object()


@dataclass(frozen=True)
class SlotContext:
    """What every slot of a cell needs to know.

    Args:
        task: what is trained.
        searcher: who chooses the hyperparameters.
        seed: the cell's.
        width: how many slots the cell has.
        next_work: takes a slot's report and returns its next work; None once the cell is over.
        scratch: a folder for what lives no longer than the cell (weights of incumbents, unfinished
            trainings).
        threads: how many threads of torch a slot may use.
        cores: the slice's cores to stay on; empty for any.
        device: torch's name of the device.
        controller: the process on the same node that slots work for, and do not outlive.
    """

    task: Task
    searcher: Searcher
    seed: int
    width: int
    next_work: Callable[[dict[str, Any]], Work | None]
    scratch: Path
    threads: int = 1
    cores: tuple[int, ...] = ()
    device: str = "cpu"
    controller: int | None = None


def job_work(job: Job) -> Work:
    """A job as work for a slot."""
    return {
        "work": "job",
        "training": job.training,
        "configuration": job.configuration,
        "epochs": job.epochs,
    }


def _job_of(work: Work) -> Job | None:
    """The job of `job_work`; None of any other work."""
    if work["work"] != "job":
        return None
    return Job(work["training"], work["configuration"], work["epochs"])


def chain_work(chain: Chain) -> Work:
    """The next evaluation of a gradient-based search, as work for a slot."""
    return {"work": "chain", "index": chain.index, "of": chain.of}


class ScratchError(Exception):
    """What a slot has to keep cannot be written."""


class SlotTrainable(tune.Trainable):
    """Works on what its cell hands to it, until that is over.

    Its trial's config has its number, ``slot``, and a file with its ``context``.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Take up the context, which lies on this node."""
        look_as_the_runner_does()
        self.begin(cloudpickle.loads(Path(config["context"]).read_bytes()), config["slot"])

    def begin(self, context: SlotContext, number: int) -> None:
        """Warm up the process, and build the task."""
        self._context = context
        if context.controller is not None:
            end_with(context.controller)
        stay_on(context.cores)
        torch.set_num_threads(context.threads)
        self._device = torch.device(context.device)
        warm_up(self._device)
        warm_up_saving(context.scratch)
        if not isinstance(context.searcher, BlackBoxSearcher):
            warm_up_forward_mode(self._device)
        self._instance = context.task.build(context.seed, self._device)
        self._brief = context.task.brief(context.seed, context.width)
        self._chain: Iterator[Evaluation] | None = None
        self._best = {True: math.inf, False: math.inf}  # by "is it a full evaluation"
        self._identity = {
            "process": f"{socket.gethostname()}:{os.getpid()}",
            "pid": os.getpid(),
            "number": number,
            "gpus": [str(gpu) for gpu in ray.get_gpu_ids()] if ray.is_initialized() else [],
            "gpu": _gpu_name(self._device),
        }
        reset_peaks(self._device)

    def step(self) -> dict[str, Any]:
        """Work until the cell is over."""
        report: dict[str, Any] = {"warm": True, "slot": self._slot()}
        while (work := self._context.next_work(report)) is not None:
            report = self.work_on(work)
        return {"done": True}

    def work_on(self, work: Work) -> dict[str, Any]:
        """The report of one evaluation's work."""
        began = clock(self._device)
        report, worked = self._do(work, began)
        report["slot"] = self._slot()
        ended = clock(self._device)
        report["worked"] = (began, ended)
        if "parts" in report:  # the rest is the making of this report
            parts = report["parts"]
            making = ended - worked - parts.get("observing", 0.0)
            parts["orchestration"] = parts.get("orchestration", 0.0) + making
        return report

    def _do(self, work: Work, began: float) -> tuple[dict[str, Any], float]:
        """What the work comes to, and when it came to it."""
        job = _job_of(work)
        try:
            evaluation: object = self._train(job) if job else self._next_of_chain(work)
            worked = clock(self._device)
            if evaluation is THE_END:
                return {"end": True, "parts": {"search": worked - began}}, worked
            beside = "orchestration" if job else "search"
            report = self._describe(evaluation, worked - began, beside)
            json.dumps(report, allow_nan=False)  # what is no JSON is its searcher's failure
            return report, worked
        except ScratchError as error:
            return {"disk": str(error)}, clock(self._device)
        except (Exception, SystemExit) as error:  # an errored trial would take its actor with it
            if hasattr(error, "ray_terminate_msg"):  # this process was told to end: not its doing
                raise
            worked = clock(self._device)
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            report = {"failed": why} if job is None else self._failed(job, why)
            report["cause"] = "out of memory" if out_of_memory(error) else "searcher error"
            report["parts"] = {"lost": worked - began}
            return report | {"trace": traceback.format_exc()}, worked

    def _slot(self) -> dict[str, Any]:
        """This process, and the most memory that it has used so far, in bytes."""
        memory = {"host": peak_host(), "device": peak_device(self._device)}
        return {**self._identity, "memory": memory}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Nothing to save: see `load_checkpoint`."""
        return {}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing to load: a cell that was cut short is rerun."""

    def _train(self, job: Job) -> Evaluation:
        trainings = self._context.scratch / "trainings"
        return evaluate_job(self._instance.inner, self._brief, job, trainings)

    def _next_of_chain(self, work: Work) -> object:
        """The next evaluation of this slot's chain, or `THE_END` of it."""
        if self._chain is None:
            searcher = self._context.searcher
            assert not isinstance(searcher, BlackBoxSearcher)
            chain = Chain(work["index"], work["of"])
            self._chain = iter(searcher.search(self._instance.inner, self._brief, chain))
        return next(self._chain, THE_END)

    def _describe(self, evaluation: object, wall: float, beside: str) -> dict[str, Any]:
        """The columns of an evaluation's record that a slot measures.

        A loss above the ceiling, or none, is a divergence. ``wall``: how many seconds it took;
        ``beside``: the part of those of them that are no other part's.
        """
        evaluation = checked_evaluation(evaluation, self._brief)
        task, metrics = self._context.task, evaluation.metrics
        diverged = not (math.isfinite(metrics.loss) and metrics.loss <= task.loss_ceiling)
        parts = dict(evaluation.seconds)
        parts[beside] = parts.get(beside, 0.0) + max(wall - sum(parts.values()), 0.0)
        began = clock(self._device)
        if not diverged:
            self._keep_if_best(evaluation)
        parts["observing"] = clock(self._device) - began
        return {
            **self._trained(evaluation.training, evaluation.configuration, evaluation.epochs),
            "validation_loss": task.loss_ceiling if diverged else metrics.loss,
            "validation_accuracy": metrics.accuracy,
            "steps": evaluation.steps,
            "status": "diverged" if diverged else "ok",
            "parts": parts,
            "notes": evaluation.notes or None,
        }

    def _failed(self, job: Job, why: str) -> dict[str, Any]:
        """A training that raised, as an evaluation: its loss is the ceiling."""
        return {
            **self._trained(job.training, job.configuration, job.epochs),
            "validation_loss": self._context.task.loss_ceiling,
            "validation_accuracy": None,
            "steps": 0,
            "status": "failed",
            "error": why,
        }

    def _trained(self, training: int, configuration: Flat, epochs: int) -> dict[str, Any]:
        return {
            "training": training,
            "budget": epochs,
            "full": epochs == self._brief.horizon,
            "hyperparameters": configuration,
        }

    def _keep_if_best(self, evaluation: Evaluation) -> None:
        """Keep the weights of what may be the cell's new incumbent, or its model in hand.

        This slot's best so far is no better than the cell's, so no incumbent is missed.
        """
        loss, full = evaluation.metrics.loss, evaluation.epochs == self._brief.horizon
        in_hand = loss < min(self._best.values())
        incumbent = full and loss < self._best[True]
        if in_hand or incumbent:
            path = kept_weights(self._context.scratch, evaluation.training, evaluation.epochs)
            try:
                save_weights(path, evaluation.weights)
            except OSError as error:
                raise ScratchError(f"{path}: {error.strerror or error}") from error
        self._best[full] = min(self._best[full], loss)


def _gpu_name(device: torch.device) -> str | None:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else None
