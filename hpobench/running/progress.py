"""How far a study is: what its displays show."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpobench.running.cell_run import CellRun
from hpobench.study import Study

OVERHEAD_SECONDS = 8.0
"""A first guess of what a cell costs beside its budget; replaced by what is measured."""


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

    def __post_init__(self) -> None:
        self._settled: dict[str, str] = {}
        self._started: dict[str, float] = {}
        self._walls: list[float] = []
        self.statuses()

    def statuses(self) -> dict[str, str]:
        """Each cell's status by name."""
        now = time.monotonic()
        statuses = {run.cell.name: run.status for run in self.runs}
        for name, status in statuses.items():
            if status in ("running", "measured"):
                self._started.setdefault(name, now)
            elif status in ("complete", "failed") and name not in self._settled:
                self._settled[name] = status
                if name in self._started:
                    self._walls.append(now - self._started[name])
        return statuses

    def seconds_left(self) -> float | None:
        """An estimate; None for a budget without seconds before the first cell is done."""
        if self._walls:
            each = sum(self._walls) / len(self._walls)
        elif self.study.budget.kind == "seconds":
            each = self.study.budget.amount + OVERHEAD_SECONDS
        else:
            return None
        now = time.monotonic()
        running = [name for name in self._started if name not in self._settled]
        spent = sum(min(now - self._started[name], each) for name in running)
        return max((len(self.runs) - len(self._settled)) * each - spent, 0.0) / max(self.slices, 1)

    @property
    def done(self) -> bool:
        """Whether every cell is complete or failed."""
        return len(self._settled) == len(self.runs)

    def running_for(self, run: CellRun) -> float:
        """Seconds since a cell was seen to run; 0 if it was not."""
        return time.monotonic() - self._started.get(run.cell.name, time.monotonic())
