"""The mean rank of each searcher on a task over the clock."""

from __future__ import annotations

from collections.abc import Sequence
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
from hpobench.statistics.ranks import mean_ranks

COLUMNS = ("searcher", "time", "rank")
PAGE_STEPS = 10_000
"""Steps of mean ranks on a page."""


def rank_data(panel: Panel, seeds: Sequence[int], at_most: int = MOST_STEPS) -> pd.DataFrame:
    """Mean ranks over the seeds on which some cell is complete, 1 for the lowest; ties share.

    A cell of theirs that is not complete ranks last. Times are those at which a curve steps, at
    most ``at_most``; a rank holds until the next. No rows for searchers without curves, and none
    at all for fewer than two searchers.
    """
    drawn = [d for d in panel.drawn if d.curves]
    if len(drawn) < 2:
        return pd.DataFrame(columns=list(COLUMNS))
    times = np.unique(np.concatenate([curve.times for d in drawn for curve in d.curves]))
    times = times[kept_steps(times, panel.end, at_most)]
    own = [dict(zip(d.seeds, d.curves, strict=True)) for d in drawn]
    some = [seed for seed in seeds if any(seed in curves for curves in own)]
    values = np.full((len(times), len(some), len(drawn)), np.nan)
    for place, curves in enumerate(own):
        for block, seed in enumerate(some):
            if seed in curves:
                values[:, block, place] = curves[seed].at(times)
    ranks = mean_ranks(values)
    parts = [
        pd.DataFrame({"searcher": d.searcher, "time": times, "rank": ranks[:, place]})
        for place, d in enumerate(drawn)
    ]
    return rounded(pd.concat(parts, ignore_index=True))


HEADING = "mean rank over seeds, 1 is best"


def rank_figure(
    data: pd.DataFrame, panel: Panel, clock: Clock, style: StyleName = "light"
) -> Figure:
    """``data``: of `rank_data`; ``panel``: whose curves are ranked."""
    return clock_figure(data, "rank", panel, clock, HEADING, _span(data), style)


def rank_plot(data: pd.DataFrame, panel: Panel, clock: Clock) -> Interactive:
    """``data``: of `rank_data`; ``panel``: whose curves are ranked."""
    return clock_plot(data, "rank", panel, clock, HEADING, _span(data), "mean rank")


def _span(data: pd.DataFrame) -> tuple[float, float]:
    """The lowest rank is on top."""
    return data["searcher"].nunique() + 0.3, 0.7


def rank_figures(source: FigureSource) -> list[RunFigure]:
    """That of each task on which two searchers have complete cells."""
    at_most = steps_for(len(source.tasks) * len(source.searchers), PAGE_STEPS)
    seeds = source.results.study["seeds"]
    ranked = [(panel, rank_data(panel, seeds, at_most)) for panel in source.incumbents]
    return [_rank(panel, data, source.clock) for panel, data in ranked if len(data)]


RANK = FigureKind(rank_figures, name="rank", section="ranks", by_task=True)


def _rank(panel: Panel, data: pd.DataFrame, clock: Clock) -> RunFigure:
    return RunFigure(
        section="ranks",
        heading=panel.task,
        task=panel.task,
        name=f"rank-{panel.task}",
        label=f"Figure: mean rank over {CLOCKS[clock].unit}, on {panel.task}",
        caption="Mean rank of the incumbents over seeds: 1 is the lowest, ties share theirs. A cell"
        " that is not complete ranks last.",
        data=data,
        static=partial(rank_figure, data, panel, clock),
        interactive=partial(rank_plot, data, panel, clock),
    )
