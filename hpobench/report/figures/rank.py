"""The mean rank of each searcher on a task over the clock."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.downsampling import MOST_STEPS, kept_steps, rounded
from hpobench.report.drawing.figure import FigureKind, RunFigure
from hpobench.report.drawing.interactive import (
    SCALES,
    Control,
    Interactive,
    bold,
    held,
    line_look,
    log_begin,
    plot_of,
    scale_layouts,
    searcher_entry,
    shown,
    told,
)
from hpobench.report.drawing.labels import Entry, draw_labels, height_of, width_of
from hpobench.report.drawing.panel import Panel
from hpobench.report.drawing.regret_table import steps_for
from hpobench.report.drawing.scale import log_ticks, tick_text
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import StyleName, line_style, themed
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


def rank_figure(
    data: pd.DataFrame, panel: Panel, clock: Clock, style: StyleName = "light"
) -> Figure:
    """``data``: of `rank_data`; ``panel``: whose curves are ranked."""
    with themed(style) as theme:
        lines = {str(name): rows for name, rows in data.groupby("searcher", sort=False)}
        entries = []
        for drawn in panel.drawn:
            look, rows = line_style(drawn.place, style), lines.get(drawn.searcher)
            ends = () if rows is None else (float(rows["rank"].iloc[-1]),)
            text = theme.text if ends else theme.faint
            entries.append(Entry(drawn.label, ends, look.line(1.7), None, text))
        width, height = 8.8 - 0.75 - width_of(entries), max(2.2, height_of(entries))
        total = height + 1.2
        figure = Figure(figsize=(8.8, total))
        box = (0.75 / 8.8, 0.6 / total, width / 8.8, height / total)
        axes = figure.add_axes(box, label=panel.task)
        start = 0.85 * float(data.loc[data["time"] > 0, "time"].min())
        axes.set_xscale("log")
        axes.set_xlim(start, panel.end)
        axes.set_ylim(len(lines) + 0.3, 0.7)
        axes.xaxis.set_major_locator(FixedLocator(log_ticks(start, panel.end)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick_text(x)))
        axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel(CLOCKS[clock].axis)
        axes.set_title("mean rank over seeds, 1 is best", loc="left", fontsize=9, pad=8)
        for drawn in panel.drawn:
            if drawn.searcher in lines:
                rows = lines[drawn.searcher]
                times = [*np.maximum(rows["time"], start), panel.end]
                values = [*rows["rank"], rows["rank"].iloc[-1]]
                look = line_style(drawn.place, style)
                axes.plot(times, values, drawstyle="steps-post", **look.line(1.7))
        draw_labels(axes, entries, panel.end, (width, height))
    return figure


def rank_plot(data: pd.DataFrame, panel: Panel, clock: Clock) -> Interactive:
    """``data``: of `rank_data`; ``panel``: whose curves are ranked."""
    lines = dict(iter(data.groupby("searcher", sort=False)))
    unit, traces = CLOCKS[clock].unit, []
    for drawn in panel.drawn:
        if drawn.searcher in lines:
            rows = lines[drawn.searcher]
            times, ranks = rows["time"].tolist(), rows["rank"].tolist()
            text = [
                f"{bold(drawn.searcher)}<br>mean rank {told(rank)} at {told(time)} {unit}"
                for time, rank in zip(times, ranks, strict=True)
            ]
            look = line_look(drawn.place, 2.0)
            look["marker"] |= {"maxdisplayed": 6}
            points = {"x": [*times, panel.end], "y": held(ranks), "text": held(text)}
            traces.append(look | points | {"meta": shown(drawn.searcher)})
    layout = {
        "title": {"text": "mean rank over seeds, 1 is best"},
        "xaxis": {"title": {"text": CLOCKS[clock].axis}},
        "yaxis": {"range": [len(lines) + 0.3, 0.7], "fixedrange": True},
    }
    return Interactive(
        plot_of(traces, layout),
        (Control("across", "horizontal", SCALES, "log"),),
        tuple(
            searcher_entry(d.place, d.searcher, d.label, d.searcher in lines) for d in panel.drawn
        ),
        tuple(scale_layouts("across", log_begin(data["time"], panel.end), panel.end)),
    )


def rank_figures(source: FigureSource) -> list[RunFigure]:
    """That of each task on which two searchers have complete cells."""
    at_most = steps_for(len(source.tasks) * len(source.searchers), PAGE_STEPS)
    seeds = source.results.study["seeds"]
    ranked = [(panel, rank_data(panel, seeds, at_most)) for panel in source.incumbents]
    return [_rank(panel, data, source.clock) for panel, data in ranked if len(data)]


RANK = FigureKind(rank_figures)


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
