"""References: the best hyperparameters known for a task, and how certain that is.

A regret is measured from the first of these that there is: the optimum that a task knows in closed
form ("certified"); a frozen file, which a task names (`Task.reference`) or which comes with the
project ("certified" by an exhaustive table, or "searched"); or, for want of all, the best that the
study itself came upon ("best observed"). `hpobench reference` writes such files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpobench.errors import StudyError
from hpobench.results.json_files import read_json
from hpobench.results.schema import SCHEMA, Columns, check
from hpobench.study_file import task_hash
from searchers.space import SpaceError
from trainables.task import Task

FOLDER = Path(__file__).parent
FIELDS: Columns = {"kind": str, "hyperparameters": dict, "provenance": dict}


def reference_file(task: Task) -> Path:
    """Where a task's frozen reference is, or would be."""
    return Path(task.reference) if task.reference is not None else FOLDER / f"{task.name}.json"


def known_reference(task: Task) -> dict[str, Any] | None:
    """The certified or the searched reference of a task; None if there is none for it as it is.

    Raises StudyError if the task names a file that is not there, or that holds no reference of it.
    """
    if task.optimum is not None:
        return {
            "kind": "certified",
            "hyperparameters": task.space.flatten(task.optimum),
            "standard_error": None,
            "provenance": {"how": "known in closed form", "task_hash": task_hash(task)},
        }
    reference = _frozen(task)
    if reference is None or reference["provenance"]["task_hash"] != task_hash(task):
        return None
    return reference


def outdated(task: Task) -> str | None:
    """In words, the frozen reference that was made for another definition of a task, if any."""
    reference, now = _frozen(task), task_hash(task)
    if reference is None or reference["provenance"]["task_hash"] == now:
        return None
    day = reference["provenance"].get("created", "an unknown day")[:10]
    then = reference["provenance"]["task_hash"]
    return (
        f"the {reference['kind']} reference of {day}, which was made for another definition of"
        f" {task.name} (hash {then}, now {now})"
    )


def _frozen(task: Task) -> dict[str, Any] | None:
    file = reference_file(task)
    if not file.exists():
        if task.reference is None:
            return None
        raise StudyError(
            f"{task.name}: its reference {file} is not there; hpobench reference makes it,"
            " or leave Task.reference out"
        )
    reference = read_json(file)
    if reference.get("schema") != SCHEMA:
        raise StudyError(
            f"{file}: schema {reference.get('schema')!r}, and this version reads {SCHEMA};"
            " hpobench reference writes one"
        )
    check(reference, FIELDS, str(file))
    check(reference["provenance"], {"task_hash": str}, str(file))
    if reference["provenance"]["task_hash"] == task_hash(task):
        try:
            task.space.check(reference["hyperparameters"])
        except SpaceError as error:
            raise StudyError(f"{file}: not a configuration of {task.name}: {error}") from None
    return reference


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
