"""What a person sees while a study runs: a live table in a terminal, plain lines elsewhere.

`CountLine` is for trainings that belong to no cell: replays, and those of a reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.status import Status
from rich.table import Table

from hpobench.plain_letters import spell_out
from hpobench.running.progress import Progress
from hpobench.running.training import Training
from hpobench.text import plural

FRAME_LINES = 10
"""What the live table takes of a terminal beside its rows: title, head, borders, caption."""


class Display(Protocol):
    """Shows how far the work is, while it is done."""

    def showing(self, progress: Progress) -> AbstractContextManager[None]:
        """A context in which `refresh` may be called."""

    def refresh(self, progress: Progress) -> None:
        """Show how far it is now; called about twice a second."""

    def say(self, line: str) -> None:
        """Show a line that stands."""


def make_display(console: Console | None = None) -> Display:
    """The live table if there is a terminal, else plain lines."""
    console = console or Console()
    spell_out(console.file)
    return LiveTable(console) if console.is_terminal else PlainLines(console)


class Silent:
    """Shows nothing."""

    @contextmanager
    def showing(self, progress: Progress) -> Iterator[None]:
        yield

    def refresh(self, progress: Progress) -> None:
        pass

    def say(self, line: str) -> None:
        pass


class PlainLines:
    """A line when a cell starts and when it ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, str] = {}
        self._voids: dict[str, int] = {}
        self._noted = ""
        self._left = 0
        self._trained: set[str] = set()

    @contextmanager
    def showing(self, progress: Progress) -> Iterator[None]:
        self._said = progress.statuses()
        self._voids = {run.cell.name: run.voids for run in progress.runs}
        counts = _counts(progress, self._said)
        self.say(f"{progress.study.name}: {counts}, results in {progress.folder}")
        yield

    def refresh(self, progress: Progress) -> None:
        statuses = progress.statuses()
        if progress.note != self._noted:
            self._noted = progress.note
            self.say(f"  {progress.note}" if progress.note else "  going on")
        for line in progress.left[self._left :]:
            self._left += 1
            self.say(f"  left for a resume: {line}")
        for baseline in progress.baselines:
            if baseline.done and baseline.what not in self._trained:
                self._trained.add(baseline.what)
                self.say(f"  {baseline.what}: done; {_in_words(progress, self._said)}")
        for run in progress.runs:
            name, status = run.cell.name, statuses[run.cell.name]
            if run.voids > self._voids[name] and status != "interrupted":
                self._said[name] = "waiting"
                self.say(f"  {name}: void ({run.why}); it is run again")
            self._voids[name] = run.voids
            if status in (self._said[name], "measured"):
                continue
            self._said[name] = status
            if status == "running":
                self.say(f"  {name}: started")
            else:
                why = f" ({run.why})" if run.why else ""
                self.say(
                    f"  {name}: {status}{why}, {plural(run.count, 'evaluation')},"
                    + f" incumbent {_number(run.incumbent)};"
                    + f" {_in_words(progress, self._said)}"
                )

    def say(self, line: str) -> None:
        _print(self._console, line)


class LiveTable:
    """The running cells, and how far the study is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    @contextmanager
    def showing(self, progress: Progress) -> Iterator[None]:
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        with _even_unread():
            self._live.start()
        try:
            yield
        finally:
            with _even_unread():
                self._live.stop()
            self._live = None

    def refresh(self, progress: Progress) -> None:
        if self._live is not None:
            with _even_unread():
                self._live.update(self._table(progress), refresh=True)

    def say(self, line: str) -> None:
        _print(self._console, line)

    def _table(self, progress: Progress) -> Table:
        statuses = progress.statuses()
        running = [r for r in progress.runs if statuses[r.cell.name] in ("running", "measured")]
        shown = running[: max(self._console.height - FRAME_LINES, 1)]
        more = f"and {len(running) - len(shown)} more" if len(running) > len(shown) else ""
        left = f"left for a resume: {progress.left[-1]}" if progress.left else ""
        table = Table(
            title=f"{progress.study.name}: {_in_words(progress, statuses)}",
            caption="\n".join(filter(None, [more, str(progress.folder), left, progress.note])),
            title_justify="left",
            caption_justify="left",
        )
        for column in ("cell", "status"):
            table.add_column(column)
        for column in ("time", "evaluations", "incumbent (validation loss)"):
            table.add_column(column, justify="right")
        for run in shown:
            status = "testing" if statuses[run.cell.name] == "measured" else "running"
            time_ = f"{progress.running_for(run):.0f} s"
            table.add_row(run.cell.name, status, time_, str(run.count), _number(run.incumbent))
        return table


class CountLine:
    """How many of some trainings are done: a line that changes, elsewhere one each tenth."""

    def __init__(
        self, trainings: Sequence[Training], what: str, console: Console | None = None
    ) -> None:
        self._trainings, self._what, self._console = trainings, what, console or Console()
        self._status: Status | None = None
        self._said: tuple[int, str] | None = None
        self._left = 0

    @contextmanager
    def showing(self, progress: Progress) -> Iterator[None]:
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(self._words(progress)) as self._status:
            yield
        self._status = None

    def refresh(self, progress: Progress) -> None:
        for line in progress.left[self._left :]:
            self._left += 1
            self.say(f"  left undone: {line}")
        now = 10 * self._done() // max(len(self._trainings), 1), progress.note
        if self._status is not None:
            self._status.update(self._words(progress))
        elif now != self._said:
            self._said = now
            self.say(self._words(progress))

    def _done(self) -> int:
        return sum(training.done for training in self._trainings)

    def _words(self, progress: Progress) -> str:
        count = f"{self._done()} of {len(self._trainings)} {self._what} done"
        return f"{progress.study.name}: {count}" + (f"; {progress.note}" if progress.note else "")

    def say(self, line: str) -> None:
        _print(self._console, line)


def _print(console: Console, line: str) -> None:
    with _even_unread():
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _even_unread() -> AbstractContextManager[None]:
    """A pipe or a terminal that was closed meanwhile does not end the work."""
    return suppress(OSError, SystemExit)  # the latter is rich's answer to a closed pipe


def _in_words(progress: Progress, statuses: dict[str, str]) -> str:
    return ", ".join(filter(None, [_counts(progress, statuses), _left(progress)]))


def _counts(progress: Progress, statuses: dict[str, str]) -> str:
    settled = [status for status in statuses.values() if status in ("complete", "failed")]
    failed = settled.count("failed")
    trained, trainings = progress.trainings
    left = trained < trainings
    baselines = f" and {trained} of {trainings} baseline trainings" if left else ""
    return f"{len(settled)} of {len(progress.runs)} cells{baselines} done" + (
        f", {failed} failed" * bool(failed)
    )


def _left(progress: Progress) -> str:
    """How long it still takes, in words; nothing once all is done."""
    left = progress.time_left()
    if progress.done:
        return ""
    if left is None:
        return "time left unknown"
    seconds, about = left.seconds, "at least" if left.at_least else "about"
    if seconds < 1:
        return "soon done"
    how_long = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
    return f"{about} {how_long} left"


def _number(loss: float | None) -> str:
    return "none yet" if loss is None else f"{loss:.4g}"
