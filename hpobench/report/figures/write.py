"""Figures as files."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from hpobench.report.drawing.panel import panel_of
from hpobench.report.drawing.style import StyleName, themed
from hpobench.report.figures.critical_difference import (
    critical_difference_data,
    critical_difference_figure,
    few_blocks,
    standing_of,
)
from hpobench.report.figures.learned import learned_drawings
from hpobench.report.figures.ledger import ledger_data, ledger_figure
from hpobench.report.figures.memory import memory_data, memory_figure
from hpobench.report.figures.profile import profile_data, profile_figure
from hpobench.report.figures.rank import rank_data, rank_figure
from hpobench.report.figures.regret import figure_of
from hpobench.report.figures.replay import replay_panels
from hpobench.report.figures.time_to_target import time_to_target_data, time_to_target_figure
from hpobench.report.figures.timeline import timeline_data, timeline_figure
from hpobench.results.flat_curves import FlatCurves
from hpobench.results.json_files import make_folder, write_whole
from hpobench.results.regret import Clock

if TYPE_CHECKING:
    from hpobench.results.run import Results


Form: TypeAlias = Literal["png", "svg", "pdf"]
FORMS: tuple[Form, ...] = ("png", "svg", "pdf")


def render(figure: Figure, form: Form, style: StyleName) -> bytes:
    """A figure as PNG (200 dots per inch), SVG or PDF; the same bytes for the same numbers."""
    buffer = io.BytesIO()
    with themed(style):
        if form == "png":
            fast = {"compress_level": 3}  # three times as fast, and little larger
            FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=200, pil_kwargs=fast)
        elif form == "svg":
            FigureCanvasSVG(figure).print_figure(buffer, format="svg", metadata={"Date": None})
        else:
            undated = {"CreationDate": None}
            FigureCanvasPdf(figure).print_figure(buffer, format="pdf", metadata=undated)
    return buffer.getvalue()


def write_figures(results: Results, clock: Clock = "seconds") -> tuple[Path, ...]:
    """Write the run's figures into its folder: `figures/regret.png`, `.svg` and `.pdf`, and so on.

    Regret over a clock, all tasks in one, and replay regret, where every incumbent was trained
    again; the ledger and memory, where they are known.
    """
    return write_drawn(results.path, run_figures(results, clock))


def run_figures(results: Results, clock: Clock = "seconds") -> dict[str, Callable[[], Figure]]:
    """What draws each of the run's figures, by name; it holds no more than the figure's data."""
    panels = [panel_of(results, task, clock=clock) for task in results.tasks]
    figures: dict[str, Callable[[], Figure]] = {"regret": partial(figure_of, panels, clock)}
    replays = replay_panels(results)
    if replays:
        figures["replay"] = partial(figure_of, replays)
    ledger, memory = ledger_data(results), memory_data(results)
    if len(ledger):
        figures["ledger"] = partial(ledger_figure, ledger)
    if len(memory):
        figures["memory"] = partial(memory_figure, memory)
    return figures


def write_task_figures(results: Results, clock: Clock = "seconds") -> tuple[Path, ...]:
    """Write the figures of each task: `figures/time-to-target-TASK.*` and `rank-TASK.*`.

    And those of `learned_drawings` and `across_figures`. A figure that would show nothing is not
    written.
    """
    figures: dict[str, Callable[[], Figure]] = {}
    for task in results.tasks:
        panel = panel_of(results, task, clock=clock)
        times = time_to_target_data(results, panel)
        if len(times):
            figures[f"time-to-target-{task}"] = partial(
                time_to_target_figure, times, clock, panel.end
            )
        ranks = rank_data(panel, results.study["seeds"])
        if len(ranks):
            figures[f"rank-{task}"] = partial(rank_figure, ranks, panel, clock)
    figures |= learned_drawings(results)
    return write_drawn(results.path, figures | across_figures(results, clock))


def across_figures(results: Results, clock: Clock = "seconds") -> dict[str, Callable[[], Figure]]:
    """What draws the figures over all tasks, by name: ranks, profiles and what slots ran."""
    searchers, curves = results.searchers, FlatCurves.of(results, clock)
    figures: dict[str, Callable[[], Figure]] = {}
    standing = standing_of(curves)
    if standing:
        ranks = critical_difference_data(standing.found, searchers)
        note = few_blocks(standing.found)
        figures["critical-difference"] = partial(critical_difference_figure, ranks, searchers, note)
    profiles = profile_data(results, curves)
    if len(profiles):
        figures["performance-profile"] = partial(profile_figure, profiles, searchers)
    timeline = timeline_data(results)
    if len(timeline):
        figures["timeline"] = partial(timeline_figure, timeline, searchers)
    return figures


def write_drawn(run: Path, figures: Mapping[str, Callable[[], Figure]]) -> tuple[Path, ...]:
    """Draw figures and write them into a run's folder, `figures/NAME.*`."""
    folder = make_folder(run / "figures")
    files = []
    for name, draw in figures.items():
        figure = draw()
        for form in FORMS:
            file = folder / f"{name}.{form}"
            write_whole(file, render(figure, form, "light"))
            files.append(file)
    return tuple(files)
