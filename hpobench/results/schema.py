"""What each file of a run has to hold, and what is said when it does not."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, TypeAlias, get_args, get_origin, get_type_hints

from hpobench.errors import RunError
from hpobench.results.evaluation_record import SCHEMA, EvaluationRecord
from hpobench.results.json_files import Record

Columns: TypeAlias = Mapping[str, type]
"""The kind of each column's values: str, int, float, bool, list or dict."""


def columns_of(record: type) -> Columns:
    """The fields of a dataclass, in order: whether one may be None does not change its kind."""
    return {name: _kind(annotation) for name, annotation in get_type_hints(record).items()}


def _kind(annotation: Any) -> type:
    if NoneType in get_args(annotation):
        (annotation,) = {*get_args(annotation)} - {NoneType}
    return get_origin(annotation) or annotation


COLUMNS = columns_of(EvaluationRecord)
"""Of `evaluations.jsonl`. A line needs those of `EVALUATION`; older runs lack those of `OPTIONAL`;
the others are read as they are, like any that are not known here."""


def _of(*names: str) -> Columns:
    return {name: COLUMNS[name] for name in names}


NAMES = _of("cell", "task", "searcher", "seed")
EVALUATION = _of(
    "evaluation",
    "budget",
    "full",
    "hyperparameters",
    "validation_loss",
    "validation_accuracy",
    "seconds",
    "slot_seconds",
    "steps",
    "status",
)
OPTIONAL = _of("slot", "began", "ended")
CLOCKS = ("seconds", "slot_seconds", "steps")
TEST: Columns = {"evaluation": int, "test_loss": float, "test_accuracy": float}
YARDSTICK: Columns = {
    "task": str,
    "seed": int,
    "row": str,
    "draw": int,
    "validation_loss": float,
    "test_loss": float,
    "test_accuracy": float,
}
REPLAY: Columns = {
    "task": str,
    "seed": int,
    "row": str,
    "draw": int,
    "trained_on": str,
    "test_loss": float,
    "test_accuracy": float,
}
REPLAYED: Columns = {"cell": str, "searcher": str, "attempt": int, "evaluation": int}
"""What a line of `replay.jsonl` says beside that of an incumbent."""

PARTS = (
    "search",
    "train",
    "hypergradient",
    "validation",
    "checkpoint",
    "observing",
    "orchestration",
    "idle",
    "unfinished",
    "lost",
)
"""In words, in order: thinking; forward and backward passes of trainings; differentiating them;
measuring the validation loss; keeping and loading unfinished trainings; keeping weights for the
test; the framework's own time; slots without work; the evaluations that the budget cut off;
trainings that failed."""
LEDGER = ("wall", "slots", "startup", "residual", *PARTS)
COUNTED = ("evaluations", "tests")  # of which a cell.json says how many it has
MEMORY = {"host_memory": "host", "device_memory": "device"}
PLACE = {"slice": "name", "node": "node", "processor": "processor", "gpu": "gpu"}
CELL: Columns = {
    **NAMES,
    **dict.fromkeys(("status", "cause", "why"), str),
    "attempts": list,
    **dict.fromkeys((*LEDGER, *MEMORY, "own_cores"), float),
    **dict.fromkeys((*PLACE, "started"), str),
}

STUDY: Columns = {
    "name": str,
    "created": str,
    "budget": dict,
    "width": int,
    "seeds": list,
    "tasks": list,
    "searchers": list,
    "cells": list,
}


def check_schema(record: Record, place: str) -> None:
    """RunError if a record of the file at a place is of another version."""
    if record.get("schema") != SCHEMA:
        raise RunError(
            f"{place} has schema {record.get('schema')!r}, and this version reads {SCHEMA};"
            " read the run with the version of hpobench that wrote it"
        )


def check(record: Record, columns: Columns, place: str) -> None:
    """RunError if a record, at a place, lacks one of the columns or has a value of another kind.

    A float may be null, where it is not a clock's.
    """
    for name, kind in columns.items():
        if name not in record:
            raise RunError(f"{place} lacks {name!r}; restore the file or run again")
        value: Any = record[name]
        if kind is float:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            fine = number or (value is None and name not in CLOCKS)
        else:
            fine = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not fine:
            raise RunError(f"{place}: {name!r} is {value!r}; restore the file or run again")
