"""What a person sees while a study runs: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from hpobench.running.cell_run import CellRun
from hpobench.study import Study
from hpobench.text import plural

FRAME_LINES = 10
"""What the live table takes of a terminal beside its rows: title, head, borders, caption."""

OVERHEAD_SECONDS = 8.0
"""A first guess of what a cell costs beside its budget; replaced by what is measured."""


@dataclass
class Plan:
    """The study as it goes: what runs, what is done, what is still to come."""

    study: Study
    folder: Path
    runs: Sequence[CellRun]
    slices: int = 0
    note: str = ""
    """What a person should know just now; mostly nothing."""
    left: list[str] = field(default_factory=list)
    """What is left for a resume, because the machines failed it time and again; a line each."""
    began: float = field(default_factory=time.monotonic)

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
        return len(self._settled) == len(self.runs)

    def running_for(self, run: CellRun) -> float:
        return time.monotonic() - self._started.get(run.cell.name, time.monotonic())


class Display(Protocol):
    """Shows a plan while it is carried out."""

    def showing(self, plan: Plan) -> AbstractContextManager[None]:
        """A context in which `refresh` may be called."""

    def refresh(self, plan: Plan) -> None: ...


def make_display(console: Console | None = None) -> Display:
    """The live table if there is a terminal, else plain lines."""
    console = console or Console()
    return LiveTable(console) if console.is_terminal else PlainLines(console)


class Silent:
    """Shows nothing."""

    @contextmanager
    def showing(self, plan: Plan) -> Iterator[None]:
        yield

    def refresh(self, plan: Plan) -> None:
        pass


class PlainLines:
    """A line when a cell starts and when it ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, str] = {}
        self._voids: dict[str, int] = {}
        self._noted = ""
        self._left = 0

    @contextmanager
    def showing(self, plan: Plan) -> Iterator[None]:
        self._said = plan.statuses()
        self._voids = {run.cell.name: run.voids for run in plan.runs}
        self._say(f"{plan.study.name}: {_counts(plan, self._said)}, results in {plan.folder}")
        yield

    def refresh(self, plan: Plan) -> None:
        statuses = plan.statuses()
        if plan.note != self._noted:
            self._noted = plan.note
            self._say(f"  {plan.note}" if plan.note else "  going on")
        for line in plan.left[self._left :]:
            self._left += 1
            self._say(f"  left for a resume: {line}")
        for run in plan.runs:
            name, status = run.cell.name, statuses[run.cell.name]
            if run.voids > self._voids[name] and status != "interrupted":
                self._said[name] = "waiting"
                self._say(f"  {name}: void ({run.why}); it is run again")
            self._voids[name] = run.voids
            if status in (self._said[name], "measured"):
                continue
            self._said[name] = status
            if status == "running":
                self._say(f"  {name}: started")
            else:
                why = f" ({run.why})" if run.why else ""
                self._say(
                    f"  {name}: {status}{why}, {plural(run.count, 'evaluation')},"
                    + f" incumbent {_number(run.incumbent)};"
                    + f" {_progress(plan, self._said)}"
                )

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class LiveTable:
    """The running cells, and how far the study is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    @contextmanager
    def showing(self, plan: Plan) -> Iterator[None]:
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            self._live = live
            yield
            self._live = None

    def refresh(self, plan: Plan) -> None:
        if self._live is not None:
            self._live.update(self._table(plan), refresh=True)

    def _table(self, plan: Plan) -> Table:
        statuses = plan.statuses()
        running = [r for r in plan.runs if statuses[r.cell.name] in ("running", "measured")]
        shown = running[: max(self._console.height - FRAME_LINES, 1)]
        more = f"and {len(running) - len(shown)} more" if len(running) > len(shown) else ""
        left = f"left for a resume: {plan.left[-1]}" if plan.left else ""
        table = Table(
            title=f"{plan.study.name}: {_progress(plan, statuses)}",
            caption="\n".join(filter(None, [more, str(plan.folder), left, plan.note])),
            title_justify="left",
            caption_justify="left",
        )
        for column in ("cell", "status"):
            table.add_column(column)
        for column in ("time", "evaluations", "incumbent (validation loss)"):
            table.add_column(column, justify="right")
        for run in shown:
            status = "testing" if statuses[run.cell.name] == "measured" else "running"
            time_ = f"{plan.running_for(run):.0f} s"
            table.add_row(run.cell.name, status, time_, str(run.count), _number(run.incumbent))
        return table


def _progress(plan: Plan, statuses: dict[str, str]) -> str:
    return ", ".join(filter(None, [_counts(plan, statuses), _left(plan)]))


def _counts(plan: Plan, statuses: dict[str, str]) -> str:
    settled = [status for status in statuses.values() if status in ("complete", "failed")]
    failed = settled.count("failed")
    return f"{len(settled)} of {len(plan.runs)} cells done" + (f", {failed} failed" * bool(failed))


def _left(plan: Plan) -> str:
    """How long it still takes, in words; nothing once every cell is done."""
    left = plan.seconds_left()
    if plan.done:
        return ""
    if left is None:
        return "time left unknown"
    if left < 1:
        return "soon done"
    return f"about {left / 60:.0f} min left" if left >= 90 else f"about {left:.0f} s left"


def _number(loss: float | None) -> str:
    return "none yet" if loss is None else f"{loss:.4g}"
