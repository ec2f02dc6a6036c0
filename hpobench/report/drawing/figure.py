"""What a figure of a run is: its data, how it is drawn without scripts and with them, its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import pandas as pd

from hpobench.report.drawing.interactive import Interactive
from hpobench.report.drawing.source import FigureSource
from hpobench.report.failures import Failure, attempted, failures_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw: TypeAlias = "Callable[[], Figure]"
T = TypeVar("T")


@dataclass(frozen=True)
class RunFigure:
    """One figure of a run.

    Args:
        section: Where on the page it stands; see `hpobench.report.figures.SECTIONS`.
        heading: Under which heading there; empty for none.
        name: What its files are called; unique.
        label: What it is, in a line.
        caption: What stands below it.
        data: What it shows: its CSV file.
        static: Draws it with matplotlib, for files, for paper, and where no scripts run.
        interactive: Draws it with Plotly; None where there is nothing to draw but the caption.
        spoken: What a screen reader says of the static drawing; the label, unless told.
        task: What it is about, if that is a single task: a section goes task by task.
    """

    section: str
    heading: str
    name: str
    label: str
    caption: str
    data: pd.DataFrame
    static: Draw
    interactive: Callable[[], Interactive] | None
    spoken: str = ""
    task: str = ""


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure, which a run has once, for each task, or not at all.

    Args:
        figures: Those of a run that have something to show.
        files: What is drawn into files, by name; unless told, its figures.
        of_large_runs: Whether files are drawn of a run with very many evaluations, too.
        name: What it is called; that of a task has the task's name after it.
        section: Where on the page it says so if its figures cannot be made.
        by_task: Whether each figure is of one task: one that fails is not in the others' way.
        also: What else its files are called.
    """

    figures: Callable[[FigureSource], list[RunFigure]]
    files: Callable[[FigureSource], Mapping[str, Draw]] | None = None
    of_large_runs: bool = False
    name: str = ""
    section: str = "regret"
    by_task: bool = False
    also: tuple[str, ...] = ()

    def made(self, source: FigureSource) -> list[RunFigure | Failure]:
        """Its figures, and in place of those that cannot be made why that is."""
        return [*self._apart(source, self._figures).values()]

    def drawn(
        self, source: FigureSource, figures: Sequence[RunFigure] | None = None
    ) -> dict[str, Draw | Failure]:
        """What draws each of its files, by name; ``figures``: its own, if they are made already."""
        if self.files is not None:
            return self._apart(source, self.files)
        if figures is not None:
            return {figure.name: figure.static for figure in figures}
        made = self._apart(source, self._figures).items()
        return {name: one if isinstance(one, Failure) else one.static for name, one in made}

    def names(self, tasks: Sequence[str]) -> set[str]:
        """What its files may be called."""
        stems = (self.called, *self.also)
        return {*stems, *(f"{stem}-{task}" for stem in stems for task in tasks)}

    @property
    def called(self) -> str:
        return self.name or getattr(self.figures, "__name__", "without a name")

    def _figures(self, source: FigureSource) -> dict[str, RunFigure]:
        return {figure.name: figure for figure in self.figures(source)}

    def _apart(
        self, source: FigureSource, make: Callable[[FigureSource], Mapping[str, T]]
    ) -> dict[str, T | Failure]:
        """What is made of a run, by name; if that fails, of each task by itself."""
        whole = attempted(self.called, partial(make, source))
        if not isinstance(whole, Failure):
            return {**whole}
        failed: dict[str, T | Failure] = {self.called: replace(whole, section=self.section)}
        if not self.by_task:
            return failed
        found: dict[str, T | Failure] = {}
        for task in source.tasks:
            name = f"{self.called}-{task}"
            part = attempted(name, partial(make, source.of_task(task)))
            if isinstance(part, Failure):
                found[name] = replace(part, section=self.section, heading=task, task=task)
            elif part.keys() <= self.names([task]) - self.names([]):
                found |= part
            else:  # of all tasks together, and so not without one of them
                return failed
        return found if any(failures_in(found)) else failed
