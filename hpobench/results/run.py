"""The results of a run: what is in its folder, as frames, and what is computed from it.

    results = Results.load("runs/digits-20250101-120000")
    results.summary()      # one row per task and searcher, best first
    results.write()        # evaluations.parquet, regret.csv, summary.csv

All of it is derived from `study.json`, `references.json`, `yardsticks.jsonl` and the cells'
`evaluations.jsonl`, `cell.json` and `tests.jsonl`, and can be rebuilt at any time. A cell that is
planned but not there has the status "missing"; it is never dropped.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from hpobench.results.curves import regret_frame
from hpobench.results.loading import (
    EVALUATION,
    NAMES,
    TEST,
    YARDSTICK,
    frame,
    read_cell,
    read_evaluations,
    read_references,
    read_study,
    read_table,
    read_tests,
    unplanned,
)
from hpobench.results.records import Record, write_whole
from hpobench.results.summary import summarise
from hpobench.running.ledger import PARTS


@dataclass(frozen=True)
class Results:
    """One run. Times are in seconds, losses in the task's metric.

    ``study``: `study.json` as it is. ``references``: by task, None where there is none yet.
    ``cells``: a row for each planned cell, in run order: cell, task, searcher, seed, status,
    cause, attempts (a list), and the ledger: wall, slots, startup and its parts in slot-seconds.
    ``evaluations``: a row for each line of `evaluations.jsonl`, with keys unknown here kept.
    ``tests``: test metrics by cell and evaluation. ``yardsticks``: the reference's and the
    default's draws on each split. ``notes``: what was found amiss, a line each.
    """

    path: Path
    study: Record
    references: dict[str, Record | None]
    cells: pd.DataFrame
    evaluations: pd.DataFrame
    tests: pd.DataFrame
    yardsticks: pd.DataFrame
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str | Path) -> Results:
        """Read a run's folder. RunError, in one line, if it is not a run or is damaged."""
        path = Path(path)
        study = read_study(path)
        references = read_references(path, [task["name"] for task in study["tasks"]])
        notes: list[str] = []
        cells = [read_cell(path, planned) for planned in study["cells"]]
        evaluations = [e for cell in cells for e in read_evaluations(path, cell, notes)]
        tests = [t for cell in cells for t in read_tests(path, cell, notes)]
        yardsticks = read_table(path / "yardsticks.jsonl", YARDSTICK, notes)
        notes += unplanned(path, [cell["cell"] for cell in cells])
        ledger = dict.fromkeys(("wall", "slots", "startup", *PARTS), float)
        return cls(
            path=path,
            study=study,
            references=references,
            cells=frame(cells, {**NAMES, "status": str, "cause": str, "attempts": list, **ledger}),
            evaluations=frame(evaluations, {**NAMES, **EVALUATION}),
            tests=frame(tests, {"cell": str, **TEST}),
            yardsticks=frame(yardsticks, YARDSTICK),
            notes=tuple(notes),
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(task["name"] for task in self.study["tasks"])

    @property
    def searchers(self) -> tuple[str, ...]:
        return tuple(searcher["name"] for searcher in self.study["searchers"])

    def task(self, name: str) -> Record:
        """What `study.json` says of a task."""
        return next(task for task in self.study["tasks"] if task["name"] == name)

    def incumbents(self) -> pd.DataFrame:
        """The evaluations that became the incumbent or the model in hand (column ``curve``)."""
        regret = self.regret()
        became = regret.loc[regret["evaluation"].notna(), ["cell", "evaluation", "curve"]]
        became = became.astype({"evaluation": int})
        return became.merge(self.evaluations, on=["cell", "evaluation"])

    def regret(self) -> pd.DataFrame:
        """Regret over time; see `hpobench.results.curves.regret_frame`."""
        return self._regret

    def summary(self) -> pd.DataFrame:
        """A row for each task and searcher, best first; see `summary.summarise`."""
        return self._summary

    def write(self) -> tuple[Path, ...]:
        """Write `evaluations.parquet`, `regret.csv` and `summary.csv` into the run's folder."""
        parquet = io.BytesIO()
        _plain(self.evaluations).to_parquet(parquet, index=False)
        contents = {
            "evaluations.parquet": parquet.getvalue(),
            "regret.csv": self.regret().to_csv(index=False).encode(),
            "summary.csv": self.summary().to_csv(index=False).encode(),
        }
        for name, content in contents.items():
            write_whole(self.path / name, content)
        return tuple(self.path / name for name in contents)

    @cached_property
    def _regret(self) -> pd.DataFrame:
        return regret_frame(
            self.cells, self.evaluations, self.tests, self.yardsticks, self.references
        )

    @cached_property
    def _summary(self) -> pd.DataFrame:
        return summarise(self.tasks, self.searchers, self.cells, self.evaluations, self.regret())


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Columns that hold objects (hyperparameters, unknown keys) as JSON text, others as is."""
    plain = table.copy()
    for name in plain.columns:
        if plain[name].dtype.kind == "O" and not _is_text(plain[name]):
            plain[name] = [_json(value) for value in plain[name]]
    return plain


def _is_text(column: pd.Series) -> bool:
    return all(isinstance(value, str) or _is_missing(value) for value in column)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _json(value: Any) -> str | None:
    return None if _is_missing(value) else json.dumps(value, ensure_ascii=False)
