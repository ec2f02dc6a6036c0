"""Figures as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from hpobench.report.figures.regret import regret_figure
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
    figure = regret_figure(results, clock=clock)
    folder = make_folder(results.path / "figures")
    files = folder / "regret.png", folder / "regret.svg"
    write_whole(files[0], render(figure, "png", "light"))
    write_whole(files[1], render(figure, "svg", "light"))
    return files
