"""References: the best hyperparameters known for a task, and how certain that is.

A regret is measured from one of three, in this order: the optimum that a task knows in closed form
("certified"); a frozen file that comes with the project ("searched"); or, for want of both, the
best that the study itself came upon ("best observed").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpobench.results.records import read_json
from hpobench.specification import task_hash
from trainables.task import Task

FOLDER = Path(__file__).parent


def known_reference(task: Task) -> dict[str, Any] | None:
    """The certified or the searched reference of a task; None if there is none for it as it is."""
    if task.optimum is not None:
        return {
            "kind": "certified",
            "hyperparameters": task.space.flatten(task.optimum),
            "standard_error": None,
            "provenance": {"how": "known in closed form", "task_hash": task_hash(task)},
        }
    reference = _searched(task)
    if reference is None or reference["provenance"]["task_hash"] != task_hash(task):
        return None
    return reference


def outdated(task: Task) -> str | None:
    """In words, the searched reference that was made for another definition of a task, if any."""
    reference, now = _searched(task), task_hash(task)
    if reference is None or reference["provenance"]["task_hash"] == now:
        return None
    day = reference["provenance"].get("created", "an unknown day")[:10]
    then = reference["provenance"]["task_hash"]
    return (
        f"the searched reference of {day}, which was made for another definition of {task.name}"
        f" (hash {then}, now {now})"
    )


def _searched(task: Task) -> dict[str, Any] | None:
    file = FOLDER / f"{task.name}.json"
    return read_json(file) if file.exists() else None


def best_observed(
    task: Task, study: str, records: Iterable[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The full evaluation of a study with the best validation loss, as a reference."""
    full = [r for r in records if r["full"] and r["status"] == "ok"]
    if not full:
        return None
    # Splits differ in difficulty: the best is the one furthest below its own split's median.
    median = {
        seed: float(np.median([r["validation_loss"] for r in full if r["seed"] == seed]))
        for seed in {record["seed"] for record in full}
    }
    best = min(full, key=lambda record: record["validation_loss"] - median[record["seed"]])
    return {
        "kind": "best observed",
        "hyperparameters": best["hyperparameters"],
        "standard_error": None,
        "provenance": {
            "how": f"the best single validation loss, against the median of its split, among"
            f" {len(full)} full evaluations of {study}",
            "cell": best["cell"],
            "evaluation": best["evaluation"],
            "instead_of": outdated(task),
            "task_hash": task_hash(task),
        },
    }
