"""Test metrics: measured after the clock has stopped, so that observing costs no searcher a thing.

`yardsticks` trains the reference's and the default's configurations on each split; `test_cell`
measures the weights that a cell kept. Both run as Ray tasks on a slice that is free.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from hpobench.errors import HpobenchError, StudyError
from hpobench.results.records import read_lines
from hpobench.running.local import Slice
from hpobench.study import Study
from searchers.inner import Metrics
from searchers.protocols import Job
from searchers.space import Flat
from trainables.evaluation import evaluate_job, load_weights
from trainables.task import Instance, Task, TaskError
from trainables.trainable import kept_weights, stay_on

T = TypeVar("T")

FRESH_DRAWS = 1_000_000
"""Training numbers from here on are for yardsticks: no cell gets that far."""


def test_cell(
    task: Task, seed: int, folder: Path, scratch: Path, device: str, cores: tuple[int, ...]
) -> list[dict[str, Any]]:
    """The lines of ``tests.jsonl``: test metrics of every new incumbent and model in hand.

    None for a cell whose budget was over before its first evaluation, which leaves no file.
    """
    stay_on(cores)
    file = folder / "evaluations.jsonl"
    chosen = to_test(read_lines(file).records) if file.exists() else []
    instance = task.build(seed, torch.device(device))
    lines = []
    for record in chosen:
        path = kept_weights(scratch, record["training"], record["budget"])
        metrics = _capped(instance.test(load_weights(path, torch.device(device))), task)
        lines.append({"evaluation": record["evaluation"], **_test(metrics)})
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
    return _capped(evaluation.metrics, task), _capped(instance.test(evaluation.weights), task)


def yardsticks(
    task: Task,
    seed: int,
    rows: Mapping[str, Flat],
    draws: int,
    device: str,
    threads: int,
    cores: tuple[int, ...],
) -> list[dict[str, Any]]:
    """The lines of ``yardsticks.jsonl`` for one split: each row trained on ``draws`` draws."""
    stay_on(cores)
    torch.set_num_threads(threads)
    instance = task.build(seed, torch.device(device))
    lines = []
    for row, configuration in rows.items():
        for draw in range(draws):
            validation, test = train_fresh(instance, task, seed, configuration, draw)
            identity = {"task": task.name, "seed": seed, "row": row, "draw": draw}
            lines.append({**identity, "validation_loss": validation.loss, **_test(test)})
    return lines


def _capped(metrics: Metrics, task: Task) -> Metrics:
    """A loss above the task's ceiling, or none at all, counts as the ceiling, here as in a cell."""
    within = metrics.loss <= task.loss_ceiling
    return metrics if within else Metrics(task.loss_ceiling, metrics.accuracy)


def _test(metrics: Metrics) -> dict[str, Any]:
    return {"test_loss": metrics.loss, "test_accuracy": metrics.accuracy}


def as_lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    """Records as the content of a JSONL file."""
    return b"".join(json.dumps(record, allow_nan=False).encode() + b"\n" for record in records)


def on_slice(
    what: str, function: Callable[..., T], study: Study, piece: Slice, *arguments: Any
) -> T:
    """Run a function in a Ray worker on a whole slice, and wait for its value.

    An exception there is a StudyError in one line that begins with ``what``.
    """
    import ray

    task = ray.remote(
        num_cpus=study.cpus, num_gpus=study.gpus, resources={piece.resource: study.width}
    )(function)
    try:
        return ray.get(task.remote(*arguments))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, (HpobenchError, TaskError)):
            raise error.cause from None
        line = f"{type(error.cause).__name__}: {error.cause}".splitlines()[0]
        raise StudyError(f"study {study.name}: {what}: {line}") from error
