"""A run's figures as files: `figures/NAME.png`, `.svg` and `.pdf` in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hpobench.report.drawing.figure import Draw
from hpobench.report.drawing.render import FORMS, render
from hpobench.report.drawing.source import FigureSource
from hpobench.report.figures import FIGURES, FiguresByKind
from hpobench.results.json_files import make_folder, write_whole


def files_of(source: FigureSource, figures: FiguresByKind) -> dict[str, Draw]:
    """What draws each of a run's files, by name; ``figures``: those of the page."""
    return {
        name: draw
        for kind, of_kind in figures.items()
        for name, draw in kind.drawn(source, of_kind).items()
    }


def files_of_large_run(source: FigureSource) -> dict[str, Draw]:
    """The same of a run so large that only some are drawn; each holds no more than its data."""
    kinds = [kind for kind in FIGURES if kind.of_large_runs]
    return {name: draw for kind in kinds for name, draw in kind.drawn(source).items()}


def write_drawn(run: Path, figures: Mapping[str, Draw]) -> tuple[Path, ...]:
    """Draw figures and write them into a run's folder; the files, in order."""
    folder = make_folder(run / "figures")
    files = []
    for name, draw in figures.items():
        figure = draw()
        for form in FORMS:
            file = folder / f"{name}.{form}"
            write_whole(file, render(figure, form, "light"))
            files.append(file)
    return tuple(files)
