"""Figures as files."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from hpobench.report.figures.panel import Panel, panel_of
from hpobench.report.figures.regret import figure_of
from hpobench.report.figures.style import StyleName, themed
from hpobench.results.curves import Clock
from hpobench.results.records import make_folder, write_whole

if TYPE_CHECKING:
    from hpobench.results.run import Results


def render(figure: Figure, form: Literal["png", "svg"], style: StyleName) -> bytes:
    """A figure as PNG (200 dots per inch) or SVG; the same bytes for the same numbers."""
    buffer = io.BytesIO()
    with themed(style):
        if form == "png":
            FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=200)
        else:
            FigureCanvasSVG(figure).print_figure(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def write_figures(results: Results, clock: Clock = "seconds") -> tuple[Path, ...]:
    """Write `figures/regret.png` and `.svg` into the run's folder."""
    return write_files(results, figure_files(results, clock)())


def figure_files(results: Results, clock: Clock) -> Callable[[], dict[str, bytes]]:
    """What draws the files that `write_files` writes; it holds no more than the curves."""
    return partial(_drawn, [panel_of(results, task, clock=clock) for task in results.tasks], clock)


def write_files(results: Results, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write files, by name, into the folder of the run's figures."""
    folder = make_folder(results.path / "figures")
    for name, content in files.items():
        write_whole(folder / name, content)
    return tuple(folder / name for name in files)


def _drawn(panels: Sequence[Panel], clock: Clock) -> dict[str, bytes]:
    figure = figure_of(panels, clock)
    return {
        "regret.png": render(figure, "png", "light"),
        "regret.svg": render(figure, "svg", "light"),
    }
