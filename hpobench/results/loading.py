"""Reading a run's folder, but for the evaluations: the study, its cells, tests and yardsticks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from hpobench.errors import RunError
from hpobench.results.evaluations import read_cell_evaluations
from hpobench.results.json_files import Record, read_json, read_lines, torn_note
from hpobench.results.replayed import END, Replays
from hpobench.results.schema import (
    CELL,
    COUNTED,
    LEDGER,
    MEMORY,
    NAMES,
    PLACE,
    REPLAY,
    REPLAYED,
    STUDY,
    TEST,
    Columns,
    check,
    check_schema,
)


def read_study(path: Path) -> Record:
    """`study.json` of a run's folder. RunError if the folder is not a run."""
    advice = "give the path of a run, runs/<study>-<time>"
    if not path.is_dir():
        raise RunError(f"{path} is not a run: there is no such folder; {advice}")
    file = path / "study.json"
    if not file.exists():
        raise RunError(f"{path} is not a run: it has no study.json; {advice}")
    study = read_json(file)
    check_schema(study, str(file))
    check(study, STUDY, str(file))
    return study


def read_references(path: Path, tasks: Iterable[str]) -> dict[str, Record | None]:
    """The reference of each task; None where there is none (yet)."""
    file = path / "references.json"
    references = read_json(file) if file.exists() else {}
    return {task: references.get(task) for task in tasks}


def not_used(references: Mapping[str, Record | None]) -> list[str]:
    """References that no longer fit their tasks: what is used instead of them."""
    notes = []
    for task, reference in references.items():
        old = ((reference or {}).get("provenance") or {}).get("instead_of")
        if reference is not None and old is not None:
            notes.append(f"{task} is measured from the {reference['kind']}, not from {old}.")
    return notes


def read_cell(path: Path, planned: Record) -> Record:
    """What its cell.json says of a planned cell, with its names; status "missing" without one."""
    folder = path / "cells" / planned["cell"]
    file = folder / "cell.json"
    if file.exists():
        cell = read_json(file)
        check_schema(cell, str(file))
        check(cell, {"status": str}, str(file))
    elif folder.is_dir():
        cell = {"status": "missing", "why": "its folder has no cell.json"}
    else:
        cell = {"status": "missing"}
    return cell | {name: planned[name] for name in NAMES}


def cell_row(cell: Record) -> Record:
    """A row of the cells' frame; None where the cell's file does not say."""
    ledger, memory, place = (cell.get(key) or {} for key in ("ledger", "memory", "slice"))
    spent = ledger | (ledger.get("parts") or {})
    row = {name: cell.get(name) for name in CELL}
    row |= {"attempts": cell.get("attempts") or []}
    row |= {name: spent.get(name) for name in LEDGER}
    row |= {name: memory.get(key) for name, key in MEMORY.items()}
    own_cores = len(place["cores"]) if "cores" in place else None
    return row | {name: place.get(key) for name, key in PLACE.items()} | {"own_cores": own_cores}


def intact(folder: Path) -> str | None:
    """For the folder of a complete cell: None if its files hold all that it says, else why not.

    A cell.json that does not say how many lines there are counts as intact. RunError, by file and
    line, if a file is damaged before its end.
    """
    tests = folder / "tests.jsonl"
    held = {
        "evaluations": read_cell_evaluations(folder / "evaluations.jsonl").rows,
        "tests": len(read_lines(tests).records) if tests.exists() else 0,
    }
    return shortfall(read_json(folder / "cell.json"), held)


def shortfall(said: Record, held: Mapping[str, int]) -> str | None:
    """How the lines that files hold differ from what cell.json says, in words; None if not."""
    for name in COUNTED:
        planned = said.get(name)
        if planned is not None and planned != held[name]:
            return f"its {name}.jsonl holds {held[name]} of {planned} {name}"
    return None


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
        check(record, columns, f"{file}, line {number}")
    if torn:
        notes.append(torn_note(file))
    return records


def read_replays(path: Path, notes: list[str]) -> Replays | None:
    """What of a run was trained again, by `replay.json` and `replay.jsonl`; None if nobody asked.

    RunError, by file and line, if one is damaged.
    """
    file = path / "replay.json"
    if not file.exists():
        return None
    asked = read_json(file)
    check_schema(asked, str(file))
    check(asked, {"at": list, "draws": int, "made": list}, str(file))
    lines = read_table(path / "replay.jsonl", REPLAY, notes)
    for number, line in enumerate(lines, start=1):
        if line["row"] == "incumbent":
            check(line, REPLAYED, f"{path / 'replay.jsonl'}, line {number}")
    at = tuple(math.inf if time == END else float(time) for time in asked["at"])
    columns = {**REPLAY, **dict.fromkeys(REPLAYED, object)}  # a reference has no cell
    empty = dict.fromkeys(REPLAYED)
    trained = frame([empty | line for line in lines], columns)
    return Replays(at, asked["draws"], trained, every=bool(asked.get("every")))


def incomplete(
    cells: Iterable[Record], evaluations: Iterable[int], tests: Iterable[Record]
) -> list[str]:
    """A note for each complete cell whose files do not hold all that its cell.json says.

    ``evaluations``: how many of each cell were read; ``tests``: the tests of all cells.
    """
    tested = Counter(record["cell"] for record in tests)
    notes = []
    for cell, count in zip(cells, evaluations, strict=True):
        held = {"evaluations": count, "tests": tested[cell["cell"]]}
        why = shortfall(cell, held) if cell["status"] == "complete" else None
        if why is not None:
            notes.append(f"cells/{cell['cell']}: {why}; hpobench resume runs the cell again")
    return notes


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
