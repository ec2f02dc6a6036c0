"""Figures as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from hpobench.report.figures.ledger import ledger_data, ledger_figure
from hpobench.report.figures.memory import memory_data, memory_figure
from hpobench.report.figures.panel import panel_of
from hpobench.report.figures.rank import rank_data, rank_figure
from hpobench.report.figures.regret import regret_figure
from hpobench.report.figures.style import StyleName, themed
from hpobench.report.figures.time_to_target import time_to_target_data, time_to_target_figure
from hpobench.results.curves import Clock
from hpobench.results.records import make_folder, write_whole

if TYPE_CHECKING:
    from hpobench.results.run import Results


Form: TypeAlias = Literal["png", "svg", "pdf"]
FORMS: tuple[Form, ...] = ("png", "svg", "pdf")


def render(figure: Figure, form: Form, style: StyleName) -> bytes:
    """A figure as PNG (200 dots per inch), SVG or PDF; the same bytes for the same numbers."""
    buffer = io.BytesIO()
    with themed(style):
        if form == "png":
            FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=200)
        elif form == "svg":
            FigureCanvasSVG(figure).print_figure(buffer, format="svg", metadata={"Date": None})
        else:
            undated = {"CreationDate": None}
            FigureCanvasPdf(figure).print_figure(buffer, format="pdf", metadata=undated)
    return buffer.getvalue()


def write_figures(results: Results, clock: Clock = "seconds") -> tuple[Path, ...]:
    """Write the run's figures into its folder: `figures/regret.png`, `.svg` and `.pdf`, and so on.

    Regret over a clock, all tasks in one; the ledger and memory, where they are known.
    """
    figures = {"regret": regret_figure(results, clock=clock)}
    ledger, memory = ledger_data(results), memory_data(results)
    if len(ledger):
        figures["ledger"] = ledger_figure(ledger)
    if len(memory):
        figures["memory"] = memory_figure(memory)
    return _written(results, figures)


def write_task_figures(results: Results, clock: Clock = "seconds") -> tuple[Path, ...]:
    """Write the figures of each task: `figures/time-to-target-TASK.*` and `rank-TASK.*`.

    A figure that would show nothing is not written.
    """
    figures = {}
    for task in results.tasks:
        panel = panel_of(results, task, clock=clock)
        times = time_to_target_data(results, panel)
        if len(times):
            figures[f"time-to-target-{task}"] = time_to_target_figure(times, clock, panel.end)
        ranks = rank_data(panel, results.study["seeds"])
        if len(ranks):
            figures[f"rank-{task}"] = rank_figure(ranks, panel, clock)
    return _written(results, figures)


def _written(results: Results, figures: dict[str, Figure]) -> tuple[Path, ...]:
    folder = make_folder(results.path / "figures")
    files = []
    for name, figure in figures.items():
        for form in FORMS:
            file = folder / f"{name}.{form}"
            write_whole(file, render(figure, form, "light"))
            files.append(file)
    return tuple(files)
