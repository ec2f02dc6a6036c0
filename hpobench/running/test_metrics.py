"""Test metrics: measured after the clock has stopped: observing costs no searcher a thing.

`train_baselines` trains the reference's and the default's configurations on each split; `test_cell`
measures the weights that a cell kept. Both run as Ray tasks on a slice that is free.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from hpobench.errors import HpobenchError, StudyError
from hpobench.running.faults import ATTEMPTS, Fault
from hpobench.running.interfaces import Slice
from hpobench.study import Study
from searchers.inner_problem import Metrics
from searchers.protocols import Job
from searchers.space import Flat
from trainables.task import Instance, Task, TaskError
from trainables.training_job import evaluate_job, load_weights

T = TypeVar("T")

FRESH_DRAWS = 1_000_000
"""Training numbers from here on are for baseline runs: no cell gets that far."""


def test_cell(
    task: Task,
    seed: int,
    evaluations: Sequence[int],
    weights: Sequence[bytes],
    device: str,
    threads: int,
) -> list[dict[str, Any]]:
    """The lines of ``tests.jsonl``: test metrics of every new incumbent and model in hand.

    ``weights``: what was kept of each of the ``evaluations``, as the content of a file.
    """
    torch.set_num_threads(threads)
    instance = task.build(seed, torch.device(device))
    lines = []
    for evaluation, content in zip(evaluations, weights, strict=True):
        found = load_weights(io.BytesIO(content), torch.device(device))
        metrics = task.capped(instance.test(found))
        lines.append({"evaluation": evaluation, **_test(metrics)})
    return lines


def to_test(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The evaluations that became the incumbent, or the model in hand, when they arrived."""
    best_full = best = float("inf")
    chosen = []
    for record in records:
        loss = record["validation_loss"]
        if record["status"] != "ok":
            continue
        if loss < best or (record["full"] and loss < best_full):
            chosen.append(record)
        best = min(best, loss)
        if record["full"]:
            best_full = min(best_full, loss)
    return chosen


def train_fresh(
    instance: Instance, task: Task, seed: int, configuration: Flat, draw: int
) -> tuple[Metrics, Metrics]:
    """Validation and test metrics of a full training on a fresh draw, the same for all rows."""
    brief = task.brief(seed, width=1)
    job = Job(FRESH_DRAWS + draw, configuration, task.horizon)
    evaluation = evaluate_job(instance.inner, brief, job, Path())
    return task.capped(evaluation.metrics), task.capped(instance.test(evaluation.weights))


def train_baselines(
    task: Task,
    seed: int,
    wanted: Sequence[tuple[str, Flat, int]],
    device: str,
    threads: int,
) -> list[dict[str, Any]]:
    """Baseline runs of one split; what a line of ``yardsticks.jsonl`` says of each outcome.

    Args:
        task, seed: Whose split.
        wanted: A row's name, its configuration, and the number of a draw, of each run.
        device: In torch's words.
        threads: How many it may use.
    """
    torch.set_num_threads(threads)
    instance = task.build(seed, torch.device(device))
    lines = []
    for row, configuration, draw in wanted:
        validation, test = train_fresh(instance, task, seed, configuration, draw)
        measured = {"validation_loss": validation.loss, **_test(test)}
        lines.append({"row": row, "draw": draw, **measured})
    return lines


def _test(metrics: Metrics) -> dict[str, Any]:
    return {"test_loss": metrics.loss, "test_accuracy": metrics.accuracy}


class Measuring:
    """One thing to be measured on a slice, tried again where the machines are at fault.

    ``what``: what it is, in words.
    """

    def __init__(self, what: str, study: Study) -> None:
        self._what, self._study = what, study
        self._lost = 0

    def on(self, slice_: Slice, function: Callable[..., T], *arguments: Any) -> T | None:
        """The function's value, from a worker on a whole slice; None if the machines failed it.

        Raises Fault once they have failed it time and again. An exception of the function's own is
        a StudyError in one line.
        """
        try:
            return slice_.call(function, *arguments)
        except (HpobenchError, TaskError):
            raise
        except Fault as fault:
            self._lost += 1
            if self._lost < ATTEMPTS:
                return None
            why = f"{self._what}: {fault.why}, {ATTEMPTS} times"
            raise Fault(why, fault.cause) from fault
        except Exception as error:
            line = f"{type(error).__name__}: {error}".splitlines()[0]
            raise StudyError(f"study {self._study.name}: {self._what}: {line}") from error
