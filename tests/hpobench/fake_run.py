"""Writes run folders of invented numbers, to test what reads them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from hpobench.results.evaluation_record import EvaluationRecord
from hpobench.results.json_files import Record, append_lines, write_json
from hpobench.results.schema import OPTIONAL, PARTS
from hpobench.running.faults import MACHINES

KINDS = {
    **dict.fromkeys(("default", "default_cosine"), "no search"),
    **dict.fromkeys(("hd", "greedy", "fds", "fds_published", "rmd"), "gradient-based"),
}
"""Of searchers that are no black boxes."""

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)

PLACE = {
    "name": "slice 0",
    "node": "node-a",
    "address": "10.0.0.1",
    "processor": "an invented processor",
    "gpu": None,
    "cores": [0],
    "gpus": [],
}
"""The slice on which a cell ran."""

MEMORY = {"host": 600 * 2**20, "device": None}


@dataclass(frozen=True)
class Point:
    """One evaluation; ``test`` None leaves it out of tests.jsonl."""

    seconds: float
    validation: float
    test: float | None
    full: bool = True
    status: str = "ok"
    cause: str | None = None


def write_study(
    folder: Path,
    tasks: Sequence[str] = ("digits",),
    searchers: Sequence[str] = ("fds", "random"),
    seeds: Sequence[int] = (0, 1),
    budget: float = 60.0,
    kind: str = "seconds",
) -> Path:
    """study.json alone: every cell is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {"learning_rate_0": 0.055, "learning_rate_1": 0.055, "momentum": 0.5}
    study = {
        "schema": 1,
        "name": "example",
        "created": "2025-01-01T12:00:00+00:00",
        "budget": {"kind": kind, "amount": budget},
        "width": 1,
        "seeds": list(seeds),
        "tasks": [
            {
                "name": task,
                "summary": "four tanh layers of 32, 9 epochs",
                "metric": "cross-entropy",
                "space": {"learning_rate": "2 × log 0.001 … 3", "momentum": "linear 0 … 0.99"},
                "initial": [configuration],
                "default": {**configuration, "momentum": 0.9},
                "budgets": [1, 3, 9],
                "smaller_budget": "compress",
                "loss_ceiling": 10.0,
                "update_rule": "sgd",
                "hash": "a1b2c3",
            }
            for task in tasks
        ],
        "searchers": [
            {
                "name": searcher,
                "kind": KINDS.get(searcher, "black-box"),
                "settings": {"windows": 2, "first_step": 0.1} if searcher == "fds" else {},
                "summary": f"what {searcher} does, in one line",
            }
            for searcher in searchers
        ],
        "cells": [
            {"cell": f"{t}__{s}__s{seed}", "task": t, "searcher": s, "seed": seed}
            for seed in seeds
            for t in tasks
            for s in searchers
        ],
        "versions": {"hpobench": "0.1.0", "torch": "2.13.0", "python": "3.11.2"},
        "hardware": {"cpu": "an invented processor", "cores": 2, "gpu": None},
        "commit": None,
    }
    write_json(folder / "study.json", study)
    write_references(folder, tasks)
    return folder


def write_references(
    folder: Path, tasks: Iterable[str], without: Iterable[str] = (), error: float | None = None
) -> None:
    reference = {
        "kind": "searched",
        "hyperparameters": {"learning_rate_0": 0.2, "learning_rate_1": 0.02, "momentum": 0.93},
        "standard_error": error,
        "provenance": {"how": "a grid, then a long random search", "trainings": 4000},
    }
    write_json(
        folder / "references.json", {t: None if t in set(without) else reference for t in tasks}
    )


def write_yardsticks(
    folder: Path,
    task: str,
    seed: int,
    reference: Sequence[float | None] = (0.10, 0.10),
    default: Sequence[float | None] = (0.30, 0.30),
    accuracy: float | None = 0.9,
) -> None:
    """Test losses of the reference's and the default's draws on one split."""
    for row, losses in (("reference", reference), ("default", default)):
        for draw, loss in enumerate(losses):
            line = {"task": task, "seed": seed, "row": row, "draw": draw}
            line |= {"validation_loss": loss, "test_loss": loss, "test_accuracy": accuracy}
            append_lines(folder / "yardsticks.jsonl", [line])


def write_cell(
    folder: Path,
    task: str,
    searcher: str,
    seed: int,
    points: Sequence[Point] = (),
    status: str = "complete",
    cause: str | None = None,
    why: str | None = None,
    wall: float = 60.0,
    thinking: float = 0.25,
    orchestration: float = 0.0,
    accuracy: float | None = 0.9,
    earlier: Sequence[Record] = (),
    residual: float | None = None,
    place: Record | None = None,
    memory: Record | None = None,
    started: float = 1.5,
    **unknown: Any,
) -> Path:
    """A cell's folder; ``unknown`` keys go into every evaluation.

    ``earlier``: attempts before the last one (status, cause and why). ``residual``: the share of
    its slot-seconds that no part accounts for. ``started``: seconds after noon. What is None is
    not there, as in older runs.
    """
    names: Record = {"cell": f"{task}__{searcher}__s{seed}", "task": task, "searcher": searcher}
    names |= {"seed": seed}
    cell = folder / "cells" / names["cell"]
    cell.mkdir(parents=True)
    began = 0.0
    for number, point in enumerate(points):
        failed = point.status == "failed"
        record = EvaluationRecord(
            **names,
            attempt=1,
            trial=number,
            evaluation=number,
            training=number,
            budget=9 if point.full else 3,
            full=point.full,
            hyperparameters={"learning_rate_0": 0.1, "momentum": 0.9},
            validation_loss=point.validation,
            validation_accuracy=accuracy,
            steps=100 * (number + 1),
            status=point.status,
            cause=(point.cause or "searcher error") if failed else None,
            error="it raised" if failed else None,
            parts={},
            seconds=point.seconds,
            slot_seconds=point.seconds,
            slot=0,
            began=began,
            ended=point.seconds,
        )
        older = () if place is not None else OPTIONAL
        line = {key: value for key, value in record.line().items() if key not in older} | unknown
        began = point.seconds
        append_lines(cell / "evaluations.jsonl", [line])
        if point.test is not None:
            test = {"evaluation": number, "test_loss": point.test, "test_accuracy": accuracy}
            append_lines(cell / "tests.jsonl", [test])
    rest = 1 - thinking - orchestration
    own = {"search": thinking, "orchestration": orchestration, "train": rest}
    shares = dict.fromkeys(PARTS, 0.0) | own
    ledger = {"wall": wall, "slots": 1, "startup": 2.5}
    found = 1 - (residual or 0.0)
    ledger |= {"parts": {part: found * wall * share for part, share in shares.items()}}
    if residual is not None:
        ledger |= {"residual": residual}
    ended = {"complete": "ok"}.get(status, "void" if cause in MACHINES else status)
    last = {"status": ended, "cause": cause, "why": why}
    attempts = [{"attempt": n} | a for n, a in enumerate([*earlier, last], start=1)]
    content = {"schema": 1, **names, "status": status, "cause": cause, "why": why}
    content |= {"attempts": attempts, "ledger": ledger}
    if place is not None:
        tests = sum(point.test is not None for point in points)
        start = NOON + timedelta(seconds=started)
        content |= {"slice": place, "started": start.isoformat(timespec="milliseconds")}
        content |= {"evaluations": len(points), "tests": tests}
    if memory is not None:
        content |= {"memory": memory}
    write_json(cell / "cell.json", content)
    return cell


FLOORS = (-0.004, 0.001, 0.003, 0.006, 0.01, 0.012, 0.02, 0.03, 0.05, 0.08, 0.15, 0.4)


def invented(
    searcher: str, seed: int, floor: float, reference: float, budget: float, evaluations: int = 25
) -> list[Point]:
    """A search that falls from the default's level to ``floor`` above the reference."""
    rng = np.random.default_rng([sum(map(ord, searcher)), seed])
    times = np.sort(budget * (0.005 + 0.995 * rng.random(evaluations) ** 1.5))
    points = []
    for time in times:
        above = floor * rng.lognormal(0, 0.2) + 0.5 * 10 ** (-4 * time / budget) * rng.random()
        loss = reference + above
        validation = loss + 0.001 * rng.standard_normal()
        points.append(Point(float(time), float(validation), float(loss), bool(rng.random() < 0.7)))
    return points


def write_run(
    folder: Path,
    tasks: Sequence[str] = ("digits",),
    searchers: Sequence[str] = ("fds", "random"),
    seeds: Sequence[int] = (0, 1),
    missing: Iterable[str] = (),
    failed: Iterable[str] = (),
    without_reference: Iterable[str] = (),
    budget: float = 60.0,
    **cell: Any,
) -> Path:
    """A whole run, one cell after the other.

    ``missing`` and ``failed`` name cells (task__searcher__s0).
    """
    cell = {"residual": 0.0, "place": PLACE, "memory": MEMORY} | cell
    write_study(folder, tasks, searchers, seeds, budget)
    write_references(folder, tasks, without_reference)
    starts = itertools.count(2.5, budget + 5)
    for task in tasks:
        for seed in seeds:
            rng = np.random.default_rng(seed)
            reference = 0.1 + 0.01 * rng.standard_normal() + 0.002 * rng.standard_normal(5)
            default = 0.45 + 0.02 * rng.standard_normal(5)
            write_yardsticks(folder, task, seed, reference.tolist(), default.tolist())
            for rank, searcher in enumerate(searchers):
                name = f"{task}__{searcher}__s{seed}"
                points = invented(searcher, seed, FLOORS[rank % 12], reference.mean(), budget)
                cell["started"] = next(starts)
                if name in set(failed):
                    cause = "searcher error"
                    why = "ValueError: the surrogate's covariance is not positive definite"
                    half = points[:3]
                    write_cell(folder, task, searcher, seed, half, "failed", cause, why, **cell)
                elif name not in set(missing):
                    write_cell(folder, task, searcher, seed, points, wall=budget, **cell)
    return folder


OTHER_PLACE = PLACE | {
    "name": "slice 1",
    "node": "node-b",
    "address": "10.0.0.2",
    "processor": "another invented processor",
    "gpu": "an invented GPU",
}
WORKER_LOST = {"status": "void", "cause": "worker lost", "why": "the process of slot 0 died"}
NODE_LOST = {"status": "void", "cause": "node lost", "why": "node-b is gone"}
STOPPED = {"status": "interrupted", "cause": "user interrupt", "why": None}


def write_disturbed_run(folder: Path) -> Path:
    """Two nodes, two attempts void and one interrupted, a cell failed and one given up for now.

    fds is undisturbed; random and hyperband lost attempts, bohb failed and lost evaluations.
    """
    searchers, seeds = ("fds", "random", "hyperband", "bohb"), (0, 1)
    write_study(folder, searchers=searchers, seeds=seeds)
    settings: dict[tuple[str, int], dict[str, Any]] = {
        ("fds", 1): {"memory": {"host": 3 * 2**30, "device": 5 * 2**28}, "place": OTHER_PLACE},
        ("random", 0): {"earlier": [WORKER_LOST, NODE_LOST], "residual": 0.029},
        ("random", 1): {"earlier": [STOPPED]},
        ("hyperband", 0): {
            "status": "interrupted",
            "cause": "out of memory",
            "why": "void 3 times: the process of slot 0 was killed for memory",
            "earlier": [NODE_LOST, WORKER_LOST],
        },
        ("bohb", 0): {"place": OTHER_PLACE},
        ("bohb", 1): {
            "status": "failed",
            "cause": "searcher error",
            "why": "ValueError: the surrogate's covariance is not positive definite",
        },
    }
    for seed in seeds:
        write_yardsticks(folder, "digits", seed)
        for rank, searcher in enumerate(searchers):
            points = invented(searcher, seed, FLOORS[rank], 0.1, 60.0)
            if searcher == "bohb":
                points[4] = Point(points[4].seconds, 10.0, None, True, "failed", "out of memory")
                points[6] = Point(points[6].seconds, 10.0, None, True, "failed")
            told = {"residual": 0.001, "place": PLACE, "memory": MEMORY}
            told |= settings.get((searcher, seed), {})
            write_cell(folder, "digits", searcher, seed, points, **told)
    return folder
