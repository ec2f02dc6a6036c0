"""Reading a run's folder: what each file has to hold, and what is said when it does not."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hpobench.errors import RunError
from hpobench.results.records import Record, read_json, read_lines
from hpobench.running.ledger import PARTS

SCHEMA = 1

Columns = Mapping[str, type]

NAMES: Columns = {"cell": str, "task": str, "searcher": str, "seed": int}
EVALUATION: Columns = {
    "evaluation": int,
    "budget": float,
    "full": bool,
    "hyperparameters": dict,
    "validation_loss": float,
    "validation_accuracy": float,
    "seconds": float,
    "slot_seconds": float,
    "steps": float,
    "status": str,
}
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

_STUDY = {
    "name": str,
    "created": str,
    "budget": dict,
    "width": int,
    "seeds": list,
    "tasks": list,
    "searchers": list,
    "cells": list,
}


def read_study(path: Path) -> Record:
    """`study.json` of a run's folder. RunError if the folder is not a run."""
    advice = "give the path of a run, runs/<study>-<time>"
    if not path.is_dir():
        raise RunError(f"{path} is not a run: there is no such folder; {advice}")
    file = path / "study.json"
    if not file.exists():
        raise RunError(f"{path} is not a run: it has no study.json; {advice}")
    study = read_json(file)
    _check_schema(study, str(file))
    _check(study, _STUDY, str(file))
    return study


def read_references(path: Path, tasks: Iterable[str]) -> dict[str, Record | None]:
    """The reference of each task; None where there is none (yet)."""
    file = path / "references.json"
    references = read_json(file) if file.exists() else {}
    return {task: references.get(task) for task in tasks}


def read_cell(path: Path, planned: Record) -> Record:
    """One row of the cells' frame: a planned cell with its status, attempts and ledger."""
    row = {name: planned[name] for name in NAMES}
    folder = path / "cells" / row["cell"]
    file = folder / "cell.json"
    if file.exists():
        cell = read_json(file)
        _check_schema(cell, str(file))
        _check(cell, {"status": str}, str(file))
    elif folder.is_dir():
        cell = {"status": "missing", "cause": "its folder has no cell.json"}
    else:
        cell = {"status": "missing"}
    ledger = cell.get("ledger") or {}
    row |= {"status": cell["status"], "cause": cell.get("cause")}
    row |= {"attempts": cell.get("attempts") or []}
    row |= {key: ledger.get(key) for key in ("wall", "slots", "startup")}
    return row | {part: (ledger.get("parts") or {}).get(part) for part in PARTS}


def read_evaluations(path: Path, cell: Record, notes: list[str]) -> list[Record]:
    """A cell's evaluations in order of arrival, unknown keys kept; none if it has not begun."""
    file = path / "cells" / cell["cell"] / "evaluations.jsonl"
    evaluations = read_table(file, EVALUATION, notes)
    for record in evaluations:
        _check_schema(record, str(file))
    evaluations.sort(key=lambda record: record["evaluation"])
    _check_order(evaluations, file)
    names = {name: cell[name] for name in NAMES}
    return [record | names for record in evaluations]


def read_tests(path: Path, cell: Record, notes: list[str]) -> list[Record]:
    """The test metrics of a cell's incumbents; none before they are measured."""
    tests = read_table(path / "cells" / cell["cell"] / "tests.jsonl", TEST, notes)
    return [record | {"cell": cell["cell"]} for record in tests]


def read_table(file: Path, columns: Columns, notes: list[str]) -> list[Record]:
    """The records of a file, checked; none if there is no such file. A torn line is noted."""
    if not file.exists():
        return []
    records, torn = read_lines(file)
    for number, record in enumerate(records, start=1):
        _check(record, columns, f"{file}, line {number}")
    if torn:
        place = "/".join(file.parts[-2:])
        notes.append(f"The last line of {place} was cut off while it was written, and is left out.")
    return records


def unplanned(path: Path, planned: Iterable[str]) -> list[str]:
    """A note for each folder in `cells/` that the study does not plan."""
    there = {folder.name for folder in (path / "cells").glob("*") if folder.is_dir()}
    return [
        f"cells/{name} is not a cell of this study, and is not shown."
        for name in sorted(there - set(planned))
    ]


def frame(records: list[Record], columns: Columns) -> pd.DataFrame:
    """Records as a frame: the known columns first, with their types, then any others."""
    others = dict.fromkeys(key for record in records for key in record if key not in columns)
    table = pd.DataFrame.from_records(records, columns=[*columns, *others])
    for name, kind in columns.items():
        if kind in (int, float, bool):
            table[name] = table[name].astype(kind)
        else:  # as they are: None stays None
            values = [record[name] for record in records]
            table[name] = pd.Series(values, index=table.index, dtype=object)
    return table


def _check_schema(record: Record, place: str) -> None:
    if record.get("schema") != SCHEMA:
        raise RunError(
            f"{place} has schema {record.get('schema')!r}, and this version reads {SCHEMA};"
            " read the run with the version of hpobench that wrote it"
        )


def _check(record: Record, columns: Columns, place: str) -> None:
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


def _check_order(evaluations: list[Record], file: Path) -> None:
    """Each evaluation once, and no clock goes back."""
    advice = "delete the cell's folder and resume the run"
    for before, after in itertools.pairwise(evaluations):
        number = after["evaluation"]
        if before["evaluation"] == number:
            raise RunError(f"{file}: evaluation {number} is there twice; {advice}")
        for clock in CLOCKS:
            if after[clock] < before[clock]:
                raise RunError(f"{file}: at evaluation {number} the {clock} go back; {advice}")
