"""The results of a run: what is in its folder, as frames, and what is computed from it.

    results = Results.load("runs/digits-20250101-120000")
    results.summary()      # one row per task and searcher, best first
    results.replay()       # the incumbents trained again, if `hpobench replay` was asked to
    results.write()        # evaluations.parquet, regret.csv, summary.csv, replay.csv, …

All of it is derived from `study.json`, `references.json`, `yardsticks.jsonl`, `replay.jsonl` and
the cells' `evaluations.jsonl`, `cell.json` and `tests.jsonl`, and can be rebuilt at any time. A
cell that is planned but not there has the status "missing"; it is never dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from hpobench.errors import RunError
from hpobench.results.cell_ends import cell_ends
from hpobench.results.csv_text import csv_of
from hpobench.results.evaluations import read_evaluations
from hpobench.results.json_files import Record, write_whole
from hpobench.results.loading import (
    cell_row,
    frame,
    incomplete,
    not_used,
    read_cell,
    read_references,
    read_replays,
    read_study,
    read_table,
    read_tests,
    unplanned,
)
from hpobench.results.parquet import write_parquet
from hpobench.results.regret import UNMEASURED, Clock, Split, regret_frame, splits_of
from hpobench.results.replay_times import (
    replay_sooner,
    replayed_curves,
    replayed_losses,
    times_to_finals,
)
from hpobench.results.replayed import Replays, replay_frame, summarise_replay
from hpobench.results.schema import CELL, CLOCKS, TEST, YARDSTICK
from hpobench.results.summary import summarise
from hpobench.statistics.times import Times


@dataclass(frozen=True)
class Results:
    """One run. Times are in seconds, losses in the task's metric.

    Args:
        path: its folder.
        study: `study.json` as it is.
        references: by task, None where there is none yet.
        cells: a row for each planned cell, in run order: cell, task, searcher, seed, status; cause
            (its kind) and why (a sentence); attempts (a list); the ledger: wall, slots, startup,
            residual (a share) and its parts in slot-seconds; host_memory and device_memory, the
            most that one of its slots needed, in bytes; where it ran: slice, node, processor, gpu,
            own_cores (how many); when its clock started. What a cell's file does not say is empty.
        evaluations: a row for each line of `evaluations.jsonl`, with keys unknown here kept; see
            `hpobench.results.evaluation_record`.
        tests: test metrics by cell and evaluation.
        yardsticks: the reference's and the default's draws on each split.
        notes: what was found amiss, a line each.
        replays: what of it was trained again; None if nobody asked.
        undrawn: figures and tables that could not be made when it was published, a line each; it is
            not read from the folder.
    """

    path: Path
    study: Record
    references: dict[str, Record | None]
    cells: pd.DataFrame
    evaluations: pd.DataFrame
    tests: pd.DataFrame
    yardsticks: pd.DataFrame
    notes: tuple[str, ...] = ()
    replays: Replays | None = None
    undrawn: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str | Path) -> Results:
        """Read a run's folder. RunError, in one line, if it is not a run or is damaged."""
        path = Path(path)
        study = read_study(path)
        references = read_references(path, [task["name"] for task in study["tasks"]])
        notes = not_used(references)
        cells = [read_cell(path, planned) for planned in study["cells"]]
        evaluations, counts = read_evaluations(path, cells, notes)
        tests = [t for cell in cells for t in read_tests(path, cell, notes)]
        yardsticks = read_table(path / "yardsticks.jsonl", YARDSTICK, notes)
        replays = read_replays(path, notes)
        notes += incomplete(cells, counts, tests)
        notes += unplanned(path, [cell["cell"] for cell in cells])
        return cls(
            path=path,
            study=study,
            references=references,
            cells=frame([cell_row(cell) for cell in cells], CELL),
            evaluations=evaluations,
            tests=frame(tests, {"cell": str, **TEST}),
            yardsticks=frame(yardsticks, YARDSTICK),
            notes=tuple(notes),
            replays=replays,
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """Their names, as the study orders them."""
        return tuple(task["name"] for task in self.study["tasks"])

    @property
    def searchers(self) -> tuple[str, ...]:
        """Their names, as the study orders them."""
        return tuple(searcher["name"] for searcher in self.study["searchers"])

    def task(self, name: str) -> Record:
        """What `study.json` says of a task."""
        return next(task for task in self.study["tasks"] if task["name"] == name)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """What a resume would still do, in words; empty once the study is complete."""
        cells = (~self.cells["status"].isin(["complete", "failed"])).sum()
        left = [f"{cells} of {len(self.cells)} cells"] if cells else []
        drawn = self.yardsticks.drop_duplicates(["task", "seed", "row", "draw"])["task"]
        draws = self.study.get("yardstick_draws", 0) * len(self.study["seeds"])
        for task in self.tasks:
            rows = 1 + (self.references[task] is not None)
            if (drawn == task).sum() < rows * draws:
                left.append(f"the yardsticks of {task}")
        return tuple(left)

    def incumbents(self) -> pd.DataFrame:
        """The evaluations that became the incumbent or the model in hand (column ``curve``)."""
        regret = self.regret()
        became = regret.loc[regret["evaluation"].notna(), ["cell", "evaluation", "curve"]]
        became = became.astype({"evaluation": int})
        return became.merge(self.evaluations, on=["cell", "evaluation"])

    def split(self, task: str, seed: int) -> Split:
        """What the default and the reference of a task come to on one split.

        Args:
            task: name of the task.
            seed: the cell seed, from which the split is drawn.
        """
        return self._splits.get((task, seed), UNMEASURED)

    def regret(self) -> pd.DataFrame:
        """Regret over time; see `hpobench.results.regret.regret_frame`."""
        return self._regret

    def changes(self, task: str, searcher: str) -> pd.DataFrame:
        """Of the regret frame, the incumbents of a searcher's complete cells on a task.

        Args:
            task: name of the task.
            searcher: name of the searcher.
        """
        rows, where = self._complete
        return rows.iloc[where.get((task, searcher), [])]

    def task_ends(self, clock: Clock) -> dict[str, float]:
        """When the last cell of each task ended; see `cell_ends.cell_ends`.

        Args:
            clock: seconds, slot_seconds or steps.

        Returns:
            By task; the budget if that is on this clock, and NaN if no cell says when it ended.
        """
        ends = self._cell_ends(clock).groupby(self.cells["task"].to_numpy(), sort=False).max()
        return {task: float(ends.get(task, math.nan)) for task in self.tasks}

    def ended(self, task: str, searcher: str, clock: Clock) -> dict[int, float]:
        """When the cells of a searcher on a task ended that are complete or failed.

        Args:
            task: name of the task.
            searcher: name of the searcher.
            clock: seconds, slot_seconds or steps.

        Returns:
            By seed.
        """
        cells = self.cells
        ended = cells[
            (cells["task"] == task)
            & (cells["searcher"] == searcher)
            & cells["status"].isin(["complete", "failed"])
        ]
        when = self._cell_ends(clock).loc[ended["cell"]].fillna(0.0)
        return dict(zip(ended["seed"].tolist(), when.tolist(), strict=True))

    def summary(self, clock: Clock = "seconds") -> pd.DataFrame:
        """A row for each task and searcher, best first; see `summary.summarise`.

        Args:
            clock: what the times to a target are measured by: seconds, slot_seconds or steps.

        Raises:
            RunError: if there is no such clock.
        """
        if clock not in CLOCKS:
            raise RunError(f"there is no clock {clock!r}; it is one of {', '.join(CLOCKS)}")
        if clock not in self._summaries:
            self._summaries[clock] = summarise(
                self.tasks, self.searchers, self.cells, self.evaluations, self.regret(), clock
            )
        return self._summaries[clock]

    def replay(self) -> pd.DataFrame:
        """A row for each cell, time and draw of a replay; see `replayed.replay_frame`.

        RunError if nobody asked for one.
        """
        return self._replay

    def replay_summary(self) -> pd.DataFrame:
        """A row for each task, time and searcher; see `replayed.summarise_replay`.

        RunError if nobody asked for a replay.
        """
        frame, asked = self.replay(), self._asked()
        return summarise_replay(self.tasks, asked.at, frame, self.references)

    def replay_times(self) -> pd.DataFrame:
        """A row for each task and pair of searchers; see `replay_times.replay_sooner`.

        RunError if nobody asked for a replay.
        """
        self._asked()
        return self._replay_times

    def replayed_losses(self) -> pd.DataFrame:
        """Test losses of replayed incumbents; see `replay_times.replayed_losses`.

        RunError if nobody asked for a replay.
        """
        return replayed_losses(self._asked(), self.evaluations)

    def replayed_times_to_finals(self, task: str) -> dict[str, dict[str, Times]]:
        """When each searcher came to each one's last incumbent; see `replay_times.times_to_finals`.

        RunError if nobody asked for a replay.
        """
        losses = self.replayed_losses()
        curves = {s: replayed_curves(self.changes(task, s), losses) for s in self.searchers}
        ends = {s: self.ended(task, s, "seconds") for s in self.searchers}
        return times_to_finals(curves, ends, self.study["seeds"])

    def write(self) -> tuple[Path, ...]:
        """Write `evaluations.parquet`, `regret.csv` and `summary.csv` into the run's folder.

        And `replay.csv` and `replay_times.csv`, if incumbents were trained again.
        """
        parquet = self.path / "evaluations.parquet"
        write_parquet(parquet, self.evaluations)
        tables = {"regret.csv": self.regret(), "summary.csv": self.summary()}
        if self.replays is not None:
            tables["replay.csv"] = self.replay_summary()
            tables["replay_times.csv"] = self.replay_times()
        for name, table in tables.items():
            write_whole(self.path / name, csv_of(table))
        return (parquet, *(self.path / name for name in tables))

    def _cell_ends(self, clock: Clock) -> pd.Series[float]:
        if clock not in self._ends:
            budget = self.study["budget"]
            self._ends[clock] = cell_ends(self.cells, self.evaluations, budget, clock)
        return self._ends[clock]

    @cached_property
    def _ends(self) -> dict[Clock, pd.Series[float]]:
        return {}

    @cached_property
    def _splits(self) -> dict[tuple[str, int], Split]:
        return splits_of(self.yardsticks, self.references)

    @cached_property
    def _regret(self) -> pd.DataFrame:
        return regret_frame(
            self.cells, self.evaluations, self.tests, self.yardsticks, self.references
        )

    @cached_property
    def _complete(self) -> tuple[pd.DataFrame, dict[Any, Any]]:
        rows = self.regret()
        rows = rows[(rows["curve"] == "incumbent") & (rows["status"] == "complete")]
        return rows, rows.groupby(["task", "searcher"], sort=False).indices

    def _asked(self) -> Replays:
        if self.replays is None:
            raise RunError(f"{self.path}: nothing was trained again; hpobench replay {self.path}")
        return self.replays

    @cached_property
    def _replay(self) -> pd.DataFrame:
        return replay_frame(self.cells, self.evaluations, self.regret(), self._asked())

    @cached_property
    def _replay_times(self) -> pd.DataFrame:
        return replay_sooner({task: self.replayed_times_to_finals(task) for task in self.tasks})

    @cached_property
    def _summaries(self) -> dict[Clock, pd.DataFrame]:
        return {}
