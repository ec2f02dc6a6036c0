"""What the results of a million evaluations cost: to load and to report, in time and memory.

    python benchmarks/results_at_scale.py [SEEDS [EVALUATIONS]]

Writes a run of invented numbers (10 tasks × 10 searchers × 10 seeds, 1,000 evaluations each, unless
told), runs ``hpobench report`` on it in a process of its own, and prints its seconds, its processor
seconds (what the wall-clock leads to on two cores that are free), and its peak memory. Exits with 1
beyond 10 s or 1.5 GB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hpobench.results.evaluation_record import EvaluationRecord
from hpobench.results.schema import PARTS

MOST_SECONDS, MOST_BYTES = 10.0, 1.5e9
SEEDS, EVALUATIONS = 10, 1000
TASKS = tuple(f"task_{letter}" for letter in "abcdefghij")
SEARCHERS = (
    "random",
    "grid",
    "bo",
    "tpe",
    "hyperband",
    "bohb",
    "hd",
    "fds",
    "fds_published",
    "rmd",
)
GRADIENT_BASED = ("hd", "fds", "fds_published", "rmd")
BUDGET = 3600.0
Record = dict[str, Any]


def main() -> None:
    given = [int(argument) for argument in sys.argv[1:]]
    seeds, evaluations = [*given, *(SEEDS, EVALUATIONS)[len(given) :]]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        write_run(run, seeds, evaluations)
        size = sum(file.stat().st_size for file in run.rglob("*.jsonl"))
        cells = len(TASKS) * len(SEARCHERS) * seeds
        print(f"{cells} cells × {evaluations} evaluations: {size / 1e6:.0f} MB of records")
        seconds, busy, peak = report(run)
    print(f"hpobench report: {seconds:.1f} s, {busy:.1f} s of processor time on {cores()} cores")
    print(f"peak memory: {peak / 1e9:.2f} GB")
    print(f"limits: {MOST_SECONDS:g} s, {MOST_BYTES / 1e9:g} GB")
    sys.exit(bool(seconds > MOST_SECONDS or peak > MOST_BYTES))


def report(run: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak resident bytes of ``hpobench report`` on a run."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "hpobench", "report", str(run)], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit("hpobench report failed")
    unit = 1 if sys.platform == "darwin" else 1024
    seconds = time.perf_counter() - began
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * unit


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_run(run: Path, seeds: int = SEEDS, evaluations: int = EVALUATIONS) -> None:
    """A run of complete cells, of so many evaluations each."""
    planned = [
        {"cell": f"{task}__{searcher}__s{seed}", "task": task, "searcher": searcher, "seed": seed}
        for seed in range(seeds)
        for task in TASKS
        for searcher in SEARCHERS
    ]
    (run / "cells").mkdir(parents=True)
    _write(run / "study.json", [_study(planned, list(range(seeds)))])
    reference: Record = {"kind": "searched", "hyperparameters": _configuration(0, np.full(9, 0.5))}
    reference |= {"standard_error": 0.001, "provenance": {"how": "invented"}}
    _write(run / "references.json", [dict.fromkeys(TASKS, reference)])
    _write(
        run / "yardsticks.jsonl",
        (
            {"schema": 1, "task": task, "seed": seed, "row": row, "draw": draw}
            | {"validation_loss": loss, "test_loss": loss + 0.001 * draw, "test_accuracy": 0.9}
            for task in TASKS
            for seed in range(seeds)
            for row, loss in (("reference", 0.1), ("default", 0.45))
            for draw in range(5)
        ),
    )
    with ProcessPoolExecutor(cores()) as pool:
        list(pool.map(partial(_write_cell, run, evaluations), planned, chunksize=8))


def _study(planned: list[Record], seeds: list[int]) -> Record:
    tasks = [
        {
            "name": task,
            "summary": "an invented task",
            "metric": "cross-entropy",
            "space": dict.fromkeys(_configuration(number, np.zeros(9)), "linear 0 … 1"),
            "initial": [_configuration(number, np.full(9, 0.1))],
            "default": _configuration(number, np.full(9, 0.2)),
            "budgets": [1, 3, 9],
            "smaller_budget": "compress",
            "loss_ceiling": 10.0,
            "update_rule": "sgd",
        }
        for number, task in enumerate(TASKS)
    ]
    searchers: list[Record] = [
        {
            "name": name,
            "kind": "gradient-based" if name in GRADIENT_BASED else "black-box",
            "settings": {},
            "summary": "an invented searcher",
        }
        for name in SEARCHERS
    ]
    return {
        "schema": 1,
        "name": "results at scale",
        "created": "2025-01-01T12:00:00+00:00",
        "budget": {"kind": "seconds", "amount": BUDGET},
        "width": 1,
        "seeds": seeds,
        "tasks": tasks,
        "searchers": searchers,
        "cells": planned,
        "versions": {},
        "hardware": {},
    }


def _configuration(task: int, values: Any) -> Record:
    """Nine hyperparameters, each task with names of its own; the last is a whole number."""
    names = [f"learning_rate_{i}" for i in range(6)] + ["momentum", "weight_decay", "batch"]
    *floats, batch = (float(value) for value in values)
    own = [name if task % 2 else f"{name}_of_{task}" for name in names]
    return dict(zip(own, [*floats, int(512 * batch)], strict=True))


def _write_cell(run: Path, evaluations: int, names: Record) -> None:
    """A search that falls from near the default's level, with one training in three cut short."""
    task, searcher = TASKS.index(names["task"]), SEARCHERS.index(names["searcher"])
    rng = np.random.default_rng([task, searcher, names["seed"]])
    ended = np.sort(BUDGET * rng.random(evaluations)).round(6)
    above = 0.004 * searcher + 0.4 * np.exp(-6 * ended / BUDGET)
    losses = (0.1 + above * rng.lognormal(0, 0.3, evaluations)).tolist()
    full = (rng.random(evaluations) < 0.67).tolist()
    configurations = rng.random((evaluations, 9))
    gradients = {"hypergradient": 0.102938} if names["searcher"] in GRADIENT_BASED else {}
    parts = {"train": 0.401928, **gradients, "validation": 0.012345, "observing": 0.000543}
    folder = run / "cells" / names["cell"]
    folder.mkdir()
    _write(
        folder / "evaluations.jsonl",
        (
            EvaluationRecord(
                **names,
                attempt=1,
                trial=number,
                evaluation=number,
                training=number,
                budget=9 if full[number] else 3,
                full=full[number],
                hyperparameters=_configuration(task, configurations[number]),
                validation_loss=losses[number],
                validation_accuracy=1 - losses[number],
                steps=93 * (number + 1),
                status="ok",
                parts={part: round(share + 1e-6 * number, 6) for part, share in parts.items()},
                seconds=now,
                slot_seconds=now,
                slot=0,
                began=now - 0.5,
                ended=now - 0.001,
            ).line()
            for number, now in enumerate(ended.tolist())
        ),
    )
    tested = _became(losses, full)
    _write(
        folder / "tests.jsonl",
        (
            {"evaluation": n, "test_loss": 1.01 * losses[n], "test_accuracy": 0.99 - losses[n]}
            for n in tested
        ),
    )
    ledger: Record = {"wall": BUDGET, "slots": 1, "startup": 2.5, "residual": 0.0}
    ledger["parts"] = dict.fromkeys(PARTS, 0.0) | {"search": 0.1 * BUDGET, "train": 0.9 * BUDGET}
    cell = {"schema": 1, **names, "status": "complete", "cause": None, "why": None}
    cell |= {"attempts": [{"attempt": 1, "status": "ok", "cause": None, "why": None}]}
    cell |= {"evaluations": evaluations, "tests": len(tested), "ledger": ledger}
    _write(folder / "cell.json", [cell])


def _became(losses: list[float], full: list[bool]) -> list[int]:
    """The evaluations that became the incumbent or the model in hand."""
    best = best_full = float("inf")
    became = []
    for number, (loss, whole) in enumerate(zip(losses, full, strict=True)):
        if loss < best or (whole and loss < best_full):
            became.append(number)
        best, best_full = min(best, loss), min(best_full, loss) if whole else best_full
    return became


def _write(file: Path, records: Any) -> None:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))


if __name__ == "__main__":
    main()
