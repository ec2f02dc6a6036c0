"""How far a study is: what its displays show."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from hpobench.running.cell_run import CellRun
from hpobench.running.training import Training
from hpobench.study import Study

BESIDE_SECONDS = 3.0
"""A first guess of what a cell takes beside its budget; replaced by what is measured."""


class TimeLeft(NamedTuple):
    """An estimate in seconds; or a bound, while nobody knows how long a baseline's training is."""

    seconds: float
    at_least: bool


@dataclass
class Progress:
    """The study as it goes: what runs, what is done, what is still to come."""

    study: Study
    folder: Path
    runs: Sequence[CellRun]
    slices: int = 0
    note: str = ""
    """What a person should know just now; mostly nothing."""
    left: list[str] = field(default_factory=list)
    """What is left for a resume, because the machines failed it time and again; a line each."""
    baselines: Sequence[Training] = ()
    """The trainings of defaults and references, as far as they are known."""
    to_come: int = 0
    """How many there will be of references that the cells have still to come upon."""

    def __post_init__(self) -> None:
        self._settled: dict[str, str] = {}
        self._started: dict[str, float] = {}
        self._walls: dict[tuple[str, str], list[float]] = defaultdict(list)
        """How long cells took, by task and searcher."""
        self.statuses()

    def statuses(self) -> dict[str, str]:
        """Each cell's status by name."""
        now = time.monotonic()
        statuses = {run.cell.name: run.status for run in self.runs}
        for run in self.runs:
            name, status = run.cell.name, statuses[run.cell.name]
            if status in ("running", "measured"):
                self._started.setdefault(name, now)
            elif status in ("complete", "failed") and name not in self._settled:
                self._settled[name] = status
                if (
                    name in self._started and status == "complete"
                ):  # a failure says nothing of others
                    self._walls[_kind(run)].append(now - self._started[name])
        return statuses

    @property
    def trainings(self) -> tuple[int, int]:
        """Of how many baseline trainings there are and will be, how many are done; and of all."""
        done = sum(baseline.count for baseline in self.baselines if baseline.done)
        return done, sum(baseline.count for baseline in self.baselines) + self.to_come

    @property
    def done(self) -> bool:
        """Whether every cell is complete or failed, and every baseline trained."""
        trained, trainings = self.trainings
        return len(self._settled) == len(self.runs) and trained == trainings

    def time_left(self) -> TimeLeft | None:
        """An estimate; None for a budget without seconds before the first cell is done."""
        now, slices = time.monotonic(), max(self.slices, 1)
        cells = []
        for run in self.runs:
            if run.cell.name not in self._settled:
                whole = self._expected(run)
                if whole is None:
                    return None
                cells.append(max(whole - now + self._started.get(run.cell.name, now), 0.0))
        # The last cell keeps one slice, however many there are.
        longest = max(sum(cells) / slices, max(cells, default=0.0))
        trained = [baseline for baseline in self.baselines if baseline.done]
        done, all_trainings = self.trainings
        each = sum(baseline.seconds for baseline in trained) / done if done else 0.0
        rest = (all_trainings - done) * each / slices
        return TimeLeft(longest + rest, at_least=all_trainings > 0 == done)

    def running_for(self, run: CellRun) -> float:
        """Seconds since a cell was seen to run; 0 if it was not."""
        return time.monotonic() - self._started.get(run.cell.name, time.monotonic())

    def _expected(self, run: CellRun) -> float | None:
        """How long a cell takes from its start to its end, test included; None if nobody knows.

        As long as its like did; else its budget, and what others took beside theirs.
        """
        alike = self._walls[_kind(run)]
        every = [wall for walls in self._walls.values() for wall in walls]
        if alike:
            return mean(alike)
        if self.study.budget.kind != "seconds":
            return mean(every) if every else None
        amount = self.study.budget.amount
        beside = [wall - amount for wall in every if wall >= amount]  # others ended before
        return amount + (mean(beside) if beside else BESIDE_SECONDS)


def _kind(run: CellRun) -> tuple[str, str]:
    return run.cell.task.name, run.cell.searcher.name
