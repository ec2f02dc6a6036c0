"""Is a disturbed run, now complete, the same as an undisturbed one?

Counts are taken from the files themselves, tables from what hpobench makes of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from hpobench import Results, RunError
from tests.hpobench.tracking.wandb.wandb_file import WandbFile

MEASURED = {
    "evaluations": {"seconds", "slot_seconds", "parts", "attempt", "slot", "began", "ended"},
    "regret": {"seconds", "slot_seconds"},
    "summary": {"thinking_share", "orchestration_share", "host_memory", "device_memory"},
    "tests": set(),
    "yardsticks": set(),
}
"""What a clock or a machine says, by table; every other column has to be equal."""

CELLS = ("cell", "task", "searcher", "seed", "status", "cause", "why", "ended")
ORDER = {
    "evaluations": ["cell", "evaluation"],
    "regret": ["cell", "curve", "steps"],
    "summary": ["task", "searcher"],
    "tests": ["cell", "evaluation"],
    "yardsticks": ["task", "seed", "row", "draw"],
}
WANDB_MEASURED = ("seconds", "wall", "thinking", "startup", "residual", "memory", "share", "parts")
"""Words in the names of what W&B is told of a clock or a machine."""

NUMBER = "evaluation/number"
"""In the rows of a W&B history that are evaluations; others are changes of the incumbent."""


@dataclass
class Comparison:
    """``lost`` and ``duplicated``: evaluations, named; ``differences``: of tables, a line each."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return not (self.lost or self.duplicated or self.differences)


def compare(undisturbed: Path, disturbed: Path, wandb: bool = False) -> Comparison:
    """Compare two runs of the same study, both at their end."""
    found = Comparison()
    _count(undisturbed, disturbed, found)
    try:
        _tables(undisturbed, disturbed, found)
    except RunError as error:  # it cannot be read as a run at all
        found.differences.append(str(error))
    if wandb:
        _wandb(undisturbed, disturbed, found)
    return found


def _count(undisturbed: Path, disturbed: Path, found: Comparison) -> None:
    """Evaluations, tests and yardsticks line by line, read without hpobench."""
    for file in ("evaluations.jsonl", "tests.jsonl"):
        wanted, there = lines_of_cells(undisturbed, file), lines_of_cells(disturbed, file)
        what = file.removesuffix("s.jsonl")
        for cell in sorted(wanted.keys() | there.keys()):
            expected, got = wanted.get(cell, Counter()), there.get(cell, Counter())
            found.lost += [f"{cell}: {what} {n}" for n in sorted(expected.keys() - got.keys())]
            twice = [n for n, count in got.items() if count > 1]
            found.duplicated += [f"{cell}: {what} {n}" for n in sorted(twice)]
            more = sorted(got.keys() - expected.keys())
            found.differences += [f"{cell}: {what} {n} is nobody's" for n in more]
    drawn = Counter(
        (line["task"], line["seed"], line["row"], line["draw"])
        for line in lines_of(disturbed / "yardsticks.jsonl")
    )
    found.duplicated += [f"yardstick {draw}" for draw, count in drawn.items() if count > 1]


def lines_of(file: Path) -> list[dict[str, Any]]:
    """The records of a file; a line that is none counts as not there."""
    found = []
    for line in file.read_bytes().splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def lines_of_cells(folder: Path, name: str) -> dict[str, Counter[int]]:
    """How often each evaluation stands in the files of that name, by cell."""
    return {
        file.parent.name: Counter(line["evaluation"] for line in lines_of(file))
        for file in folder.glob(f"cells/*/{name}")
    }


def _tables(undisturbed: Path, disturbed: Path, found: Comparison) -> None:
    expected, got = Results.load(undisturbed), Results.load(disturbed)
    found.differences += [f"note: {note}" for note in got.notes]
    frames = {
        name: (getattr(expected, name), getattr(got, name))
        for name in ("evaluations", "tests", "yardsticks")
    }
    frames["regret"] = (expected.regret(), got.regret())
    frames["summary"] = (expected.summary(), got.summary())
    for name, (left, right) in frames.items():
        found.differences += _difference(name, settled(name, left), settled(name, right))
    columns = [name for name in CELLS if name in expected.cells.columns]
    pairs = (r.cells[columns].sort_values("cell", ignore_index=True) for r in (expected, got))
    found.differences += _difference("cells", *pairs)
    if expected.references != got.references:
        found.differences.append("the references differ")


def settled(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table without what was measured, in an order of its own."""
    clocks = {column for column in table.columns if str(column).startswith("seconds_to_")}
    left = table.drop(columns=[c for c in table.columns if c in MEASURED[name] | clocks])
    left = left[sorted(left.columns)]
    return left.sort_values(ORDER[name], ignore_index=True, kind="stable")


def _difference(name: str, expected: pd.DataFrame, got: pd.DataFrame) -> Iterator[str]:
    try:
        pd.testing.assert_frame_equal(expected, got, check_exact=True)
    except AssertionError as error:
        yield f"{name}: " + "; ".join(str(error).split("\n"))


def _wandb(undisturbed: Path, disturbed: Path, found: Comparison) -> None:
    """W&B's offline files: one for each cell, with the same history and the same end."""
    expected, got = wandb_runs(undisturbed), wandb_runs(disturbed)
    for cell in sorted(expected.keys() | got.keys()):
        files = got.get(cell, [])
        if len(files) > 1:
            found.duplicated += [f"{cell}: {len(files)} W&B runs"]
        if not files or cell not in expected:
            found.lost += [f"{cell}: its W&B run"] if cell in expected else []
            found.differences += [f"{cell}: a W&B run too many"] if files else []
            continue
        for file in files:
            seen = Counter(row[NUMBER] for row in file.history if NUMBER in row)
            found.duplicated += [
                f"{cell}: W&B has evaluation {n} twice" for n, count in seen.items() if count > 1
            ]
        left, right = _tracked(expected[cell][0]), _tracked(files[0])
        if left != right:
            found.differences.append(f"{cell}: W&B {_first_difference(left, right)}")


def wandb_runs(folder: Path) -> dict[str, list[WandbFile]]:
    """W&B's offline files by cell."""
    runs: dict[str, list[WandbFile]] = {}
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        file = WandbFile(path)
        runs.setdefault(file.run.display_name, []).append(file)
    return runs


def _tracked(file: WandbFile) -> dict[str, Any]:
    return {
        "history": [_without_measured(row) for row in file.history],
        "summary": _without_measured(file.summary),
        "ends": [int(end.exit_code) for end in file.exits],
    }


def _without_measured(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if not any(word in k for word in WANDB_MEASURED)}


def _first_difference(left: dict[str, Any], right: dict[str, Any]) -> str:
    for key in left:
        if left[key] != right[key]:
            return f"{key}: {str(left[key])[:200]} is not {str(right[key])[:200]}"
    return "differs"
