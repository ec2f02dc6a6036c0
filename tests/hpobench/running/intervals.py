"""Who worked when, by what a run has written down: no slot or core does two things at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from hpobench.results.json_files import read_json, read_lines


class Interval(NamedTuple):
    """``what`` took so long, in seconds of the world's clock."""

    began: float
    ended: float
    what: str


def clashes(folder: Path) -> list[str]:
    """For a run's folder: what ran at once although it shares a slot's process, or a core."""
    found = [pair for work in by_process(folder).values() for pair in _overlaps(work)]
    return found + [pair for cells in by_core(folder).values() for pair in _overlaps(cells)]


def by_process(folder: Path) -> dict[str, list[Interval]]:
    """The evaluations that each process worked on."""
    work = defaultdict(list)
    for cell, record in _measured(folder):
        processes, started = record["slice"]["processes"], _started(record)
        for line in read_lines(folder / "cells" / cell / "evaluations.jsonl").records:
            took = Interval(
                started + line["began"], started + line["ended"], f"{cell} {line['evaluation']}"
            )
            assert 0 <= line["began"] <= line["ended"] <= line["seconds"], took.what
            work[processes[line["slot"]]].append(took)
    return work


def by_core(folder: Path) -> dict[str, list[Interval]]:
    """The cells that each core was a slice's of."""
    cells = defaultdict(list)
    for cell, record in _measured(folder):
        began = _started(record)
        for core in record["slice"]["cores"]:
            took = Interval(began, began + record["ledger"]["wall"], cell)
            cells[f"{record['slice']['node']} core {core}"].append(took)
    return cells


def _overlaps(intervals: list[Interval]) -> Iterator[str]:
    """Neighbours in time, of which one began before the other had ended."""
    ordered = sorted(intervals)
    for first, second in pairwise(ordered):
        if second.began < first.ended - 1e-6:  # times are written in microseconds
            yield f"{first.what} and {second.what}"


def _measured(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(folder.glob("cells/*/cell.json")):
        record = read_json(file)
        if "slice" in record:
            yield file.parent.name, record


def _started(record: dict[str, Any]) -> float:
    return datetime.fromisoformat(record["started"]).timestamp()
