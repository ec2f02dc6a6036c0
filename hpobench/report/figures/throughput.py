"""How many evaluations each searcher had measured on a task, over the clock."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.clock_lines import clock_figure, clock_plot
from hpobench.report.drawing.downsampling import MOST_STEPS, kept_steps, rounded
from hpobench.report.drawing.figure import FigureKind, RunFigure
from hpobench.report.drawing.interactive import Interactive
from hpobench.report.drawing.panel import Panel
from hpobench.report.drawing.regret_table import steps_for
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import StyleName
from hpobench.results.regret import Clock
from hpobench.statistics.curves import StepCurve, mean_curve

COLUMNS = ("searcher", "time", "evaluations")
HEADING = "evaluations at any budget, mean over complete cells"
PAGE_STEPS = 10_000
"""Steps of mean counts on a page."""


def throughput_data(source: FigureSource, panel: Panel, at_most: int = MOST_STEPS) -> pd.DataFrame:
    """Mean counts over a searcher's complete cells, where one of them has another evaluation.

    Args:
        source: The run, over the clock of ``time``.
        panel: Of the task.
        at_most: How many of a searcher's steps are kept, by `kept_steps`; each that is, is exact.
    """
    times = source.results.evaluations[source.clock].to_numpy(float)
    curves: dict[str, list[StepCurve]] = {}
    for cell in source.evaluated.cells[panel.task]:
        arrived = np.append(0.0, times[cell.begin : cell.end])
        count = np.arange(len(arrived), dtype=float)
        curves.setdefault(cell.searcher, []).append(StepCurve(arrived, count))
    parts = [pd.DataFrame(columns=list(COLUMNS))]
    for searcher, of_cells in curves.items():
        mean = mean_curve(of_cells).mean
        kept = kept_steps(mean.times, panel.end, at_most)
        columns = (searcher, mean.times[kept], mean.values[kept])
        parts.append(pd.DataFrame(dict(zip(COLUMNS, columns, strict=True))))
    return rounded(pd.concat(parts[1:] or parts, ignore_index=True))


def throughput_figure(
    data: pd.DataFrame, panel: Panel, clock: Clock, style: StyleName = "light"
) -> Figure:
    """``data``: of `throughput_data`; ``panel``: of the task."""
    return clock_figure(data, "evaluations", panel, clock, HEADING, _span(data), style)


def throughput_plot(data: pd.DataFrame, panel: Panel, clock: Clock) -> Interactive:
    """``data``: of `throughput_data`; ``panel``: of the task."""
    return clock_plot(data, "evaluations", panel, clock, HEADING, _span(data), "evaluations:")


def _span(data: pd.DataFrame) -> tuple[float, float]:
    return 0.0, 1.05 * float(data["evaluations"].max())


def throughput_figures(source: FigureSource) -> list[RunFigure]:
    """That of each task of which some complete cell has evaluations."""
    at_most = steps_for(len(source.tasks) * len(source.searchers), PAGE_STEPS)
    counted = [(panel, throughput_data(source, panel, at_most)) for panel in source.incumbents]
    return [_throughput(panel, data, source.clock) for panel, data in counted if len(data)]


THROUGHPUT = FigureKind(throughput_figures, name="throughput", section="tried", by_task=True)


def _throughput(panel: Panel, data: pd.DataFrame, clock: Clock) -> RunFigure:
    return RunFigure(
        section="tried",
        heading=f"{panel.task}: how many, and when",
        task=panel.task,
        name=f"throughput-{panel.task}",
        label=f"Figure: evaluations over {CLOCKS[clock].unit}, on {panel.task}",
        caption="How many trainings had been measured, full ones and those to a smaller budget"
        " alike: a searcher of many short trainings is high, one of few long ones, or one that"
        " thinks for long, is low.",
        data=data,
        static=partial(throughput_figure, data, panel, clock),
        interactive=partial(throughput_plot, data, panel, clock),
    )
