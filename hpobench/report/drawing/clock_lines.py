"""One step curve for each searcher over the clock, drawn with and without scripts.

What is drawn is a table with a searcher, a time and a value in each row; a value holds until the
next time, and the last one until the end of the panel.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from hpobench.report.clocks import CLOCKS
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
from hpobench.report.drawing.scale import log_ticks, tick_text
from hpobench.report.drawing.style import StyleName, line_style, themed
from hpobench.results.json_files import Record
from hpobench.results.regret import Clock


def clock_figure(
    data: pd.DataFrame,
    value: str,
    panel: Panel,
    clock: Clock,
    heading: str,
    span: tuple[float, float],
    style: StyleName = "light",
) -> Figure:
    """Drawn by matplotlib, over a log clock.

    Args:
        data: Rows with searcher, time and ``value``.
        value: The column that is drawn.
        panel: Of the task whose searchers they are.
        clock: What the times are on.
        heading: What stands over it.
        span: The values at the bottom and at the top.
        style: Light or dark.
    """
    with themed(style) as theme:
        lines = _lines(data)
        entries = []
        for drawn in panel.drawn:
            look, rows = line_style(drawn.look, style), lines.get(drawn.searcher)
            ends = () if rows is None else (float(rows[value].iloc[-1]),)
            text = theme.text if ends else theme.faint
            entries.append(Entry(drawn.label, ends, look.line(1.7), None, text))
        width, height = 8.8 - 0.75 - width_of(entries), max(2.2, height_of(entries))
        total = height + 1.2
        figure = Figure(figsize=(8.8, total))
        box = (0.75 / 8.8, 0.6 / total, width / 8.8, height / total)
        axes = figure.add_axes(box, label=panel.task)
        start = log_begin(data["time"], panel.end)
        _set_axes(axes, start, panel.end, span)
        axes.set_xlabel(CLOCKS[clock].axis)
        axes.set_title(heading, loc="left", fontsize=9, pad=8)
        for drawn in panel.drawn:
            if drawn.searcher in lines:
                rows = lines[drawn.searcher]
                times = [*np.maximum(rows["time"], start), panel.end]
                look = line_style(drawn.look, style)
                axes.plot(
                    times, held(rows[value].tolist()), drawstyle="steps-post", **look.line(1.7)
                )
        draw_labels(axes, entries, panel.end, (width, height))
    return figure


def _set_axes(axes: Axes, start: float, end: float, span: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(start, end)
    axes.set_ylim(*span)
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(start, end)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick_text(x)))
    axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))


def clock_plot(
    data: pd.DataFrame,
    value: str,
    panel: Panel,
    clock: Clock,
    heading: str,
    span: tuple[float, float],
    words: str,
) -> Interactive:
    """Drawn by Plotly; the reader chooses the scale of the clock.

    Args:
        data, value, panel, clock, heading, span: As in `clock_figure`.
        words: What a value is, for what is said of a point: ``words`` 12 at 3 seconds.
    """
    lines, unit, traces = _lines(data), CLOCKS[clock].unit, []
    for drawn in panel.drawn:
        if drawn.searcher in lines:
            rows = lines[drawn.searcher]
            times, values = rows["time"].tolist(), rows[value].tolist()
            text = [
                f"{bold(drawn.searcher)}<br>{words} {told(one)} at {told(time)} {unit}"
                for time, one in zip(times, values, strict=True)
            ]
            look = line_look(drawn.look, 2.0)
            look["marker"] |= {"maxdisplayed": 6}
            points = {"x": [*times, panel.end], "y": held(values), "text": held(text)}
            traces.append(look | points | {"meta": shown(drawn.searcher)})
    layout: Record = {
        "title": {"text": heading},
        "xaxis": {"title": {"text": CLOCKS[clock].axis}},
        "yaxis": {"range": [*span], "fixedrange": True},
    }
    return Interactive(
        plot_of(traces, layout),
        (Control("across", "horizontal", SCALES, "log"),),
        tuple(
            searcher_entry(d.look, d.searcher, d.label, d.searcher in lines) for d in panel.drawn
        ),
        tuple(scale_layouts("across", log_begin(data["time"], panel.end), panel.end)),
    )


def _lines(data: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    return {str(name): rows for name, rows in data.groupby("searcher", sort=False)}
