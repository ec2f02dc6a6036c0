"""What a figure of a run is: its data, how it is drawn without scripts and with them, its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from hpobench.report.drawing.interactive import Interactive
from hpobench.report.drawing.source import FigureSource

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw: TypeAlias = "Callable[[], Figure]"


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
    """

    figures: Callable[[FigureSource], list[RunFigure]]
    files: Callable[[FigureSource], Mapping[str, Draw]] | None = None
    of_large_runs: bool = False

    def drawn(
        self, source: FigureSource, figures: Sequence[RunFigure] | None = None
    ) -> Mapping[str, Draw]:
        """What draws each of its files, by name; ``figures``: its own, if they are made already."""
        if self.files is not None:
            return self.files(source)
        made = self.figures(source) if figures is None else figures
        return {figure.name: figure.static for figure in made}
