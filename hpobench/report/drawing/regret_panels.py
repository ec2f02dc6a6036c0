"""Curves of regret over the clock, drawn without scripts: one panel for each task.

A searcher is a thick line, its mean over seeds; behind it, from five complete seeds on, is a 95 %
t-band, and below each seed as a thin line. Of many searchers, those that end lowest are in front
and the others pale. Only complete cells are drawn; a label says where some are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.downsampling import thinned
from hpobench.report.drawing.labels import Entry, draw_labels, height_of, width_of
from hpobench.report.drawing.panel import Drawn, Panel
from hpobench.report.drawing.scale import (
    LINEAR_SHARE,
    Scale,
    log_ticks,
    loss_scale,
    regret_scale,
    tick_text,
)
from hpobench.report.drawing.style import LineStyle, Style, StyleName, line_style, themed
from hpobench.results.regret import Clock
from hpobench.statistics.curves import Array, StepCurve

WIDTH, LEFT, TOP, BOTTOM = 8.8, 0.75, 0.8, 0.62  # inches
LOWEST = 2.7
THICK = 2.0  # points, of a searcher's line
MARKS = 4  # along a curve, so that crossing curves can be followed

NOTHING = "Nothing to draw: no cell of this task is complete and measured."


def figure_of(
    panels: Sequence[Panel], clock: Clock = "seconds", style: StyleName = "light"
) -> Figure:
    """Panels one under the other."""
    with themed(style) as theme:
        columns = [_entries(panel, style, theme) for panel in panels]
        width = WIDTH - LEFT - max(map(width_of, columns))
        heights = [
            max(LOWEST, height_of(column)) if panel.has_curves else 0.3
            for panel, column in zip(panels, columns, strict=True)
        ]
        total = sum(heights) + len(panels) * (TOP + BOTTOM)
        figure = Figure(figsize=(WIDTH, total))
        floor = total
        for panel, column, height in zip(panels, columns, heights, strict=True):
            floor -= TOP + height
            box = (LEFT / WIDTH, floor / total, width / WIDTH, height / total)
            axes = figure.add_axes(box, label=panel.task)
            _draw(axes, panel, clock, style, theme)
            if panel.has_curves:
                draw_labels(axes, column, panel.end, (width, height))
            floor -= BOTTOM
    return figure


def _draw(axes: Axes, panel: Panel, clock: Clock, style: StyleName, theme: Style) -> None:
    place: dict[str, Any] = {"loc": "left", "y": 1.0}  # given, it need not be searched for
    axes.set_title(panel.task, fontsize=11, fontweight="bold", pad=34, **place)
    if not panel.has_curves:
        axes.set_axis_off()
        axes.text(0, 1, NOTHING, color=theme.faint, va="top", transform=axes.transAxes)
        return
    above: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(_below(panel), (0, 1), (0, 20), fontsize=8, color=theme.faint, **above)
    start = _set_clock(axes, panel, clock)
    _set_scale(axes, panel)
    for entry in _yardsticks(panel, theme):
        axes.axhline(entry.ends[0], zorder=1.5, **entry.line)
    if panel.regret:
        axes.axhspan(-panel.tolerance, panel.tolerance, color=theme.faint, alpha=0.15, lw=0)
    shade = 0.14 if len(panel.front) <= 3 else 0.08
    for drawn in reversed(panel.ranked):  # the lowest on top
        look = line_style(drawn.look, style)
        if drawn.searcher in panel.front:
            _draw_searcher(axes, drawn, look, (start, panel.end), shade)
        else:
            _draw_line(axes, drawn.mean, start, panel.end, _pale(look))


def _pale(look: LineStyle) -> dict[str, Any]:
    """How the line of a searcher that is not in front is drawn."""
    return look.line(1.0) | {"alpha": 0.6}


def _below(panel: Panel) -> str:
    """What stands below the task's name."""
    how = how_drawn(panel)
    if len(panel.front) < len(panel.ranked):
        how += f" ({len(panel.front)} that end lowest in front)"
    how += in_brackets(panel)
    return how if panel.regret else f"no reference, so no regret; {how}"


def in_brackets(panel: Panel) -> str:
    """What the numbers behind names are, if there are some."""
    few = any(len(drawn.curves) < drawn.planned for drawn in panel.drawn)
    return "; in brackets: complete seeds" if few else ""


def how_drawn(panel: Panel) -> str:
    """What the lines are."""
    how = _in_front(panel)
    pale = len(panel.front) < len(panel.ranked) and how != "one seed"
    return f"{how}; pale: other means" if pale else how


def _in_front(panel: Panel) -> str:
    shown = panel.ranked[: len(panel.front)]
    if all(drawn.one for drawn in shown):
        return "one seed"
    if all(drawn.banded for drawn in shown):
        return "mean and 95 % band over seeds"
    if any(drawn.banded for drawn in shown):
        return "thick: mean over seeds; behind it a 95 % band from five seeds on, else each seed"
    return "thick: mean over seeds; thin: each seed"


def start_of(panel: Panel) -> float:
    """Where a log clock begins: just before the first event after 0."""
    events = [float(t) for drawn in panel.drawn for c in drawn.curves for t in c.times if t > 0]
    return 0.85 * min([*events, 0.5 * panel.end])


def _set_clock(axes: Axes, panel: Panel, clock: Clock) -> float:
    """A log clock; returns where it starts."""
    start = start_of(panel)
    axes.set_xscale("log")
    axes.set_xlim(start, panel.end)
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(start, panel.end)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick_text(x)))
    budget = f"; the budget ends at {tick_text(panel.end)}" if panel.end_is_budget else ""
    axes.set_xlabel(CLOCKS[clock].axis + budget)
    return start


def _set_scale(axes: Axes, panel: Panel) -> None:
    scale = scale_of(panel)
    if scale.kind == "symlog":
        axes.set_yscale("symlog", linthresh=scale.linear_below, linscale=LINEAR_SHARE)
    else:
        axes.set_yscale(scale.kind)
    axes.set_ylim(scale.low, scale.high)
    axes.yaxis.set_major_locator(FixedLocator(scale.ticks()))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: tick_text(y)))
    axes.set_ylabel(panel.quantity + scale.note, rotation=0, ha="left", va="bottom")
    axes.yaxis.set_label_coords(0, 1.03)


def scale_of(panel: Panel) -> Scale:
    """The vertical scale that suits all of its curves."""
    values = np.concatenate([c.values for drawn in panel.drawn for c in drawn.curves])
    finite = [float(value) for value in values if math.isfinite(value)]
    if panel.regret:
        return regret_scale(finite, panel.default, panel.tolerance)
    return loss_scale(finite)


def _yardsticks(panel: Panel, theme: Style) -> list[Entry]:
    """The levels of the default and of the reference, which is zero regret."""
    line = {"color": theme.faint, "linewidth": 1.0}
    entries = []
    if math.isfinite(panel.default):
        dotted = line | {"linestyle": (0, (1, 2))}
        entries.append(Entry("default's level", (panel.default,), dotted, None, theme.faint))
    if panel.regret:
        name = "reference ± s.e." if panel.tolerance > 0 else "reference"
        entries.append(Entry(name, (0.0,), line, None, theme.faint))
    return entries


def _entries(panel: Panel, style: StyleName, theme: Style) -> list[Entry]:
    entries = []
    for drawn in panel.drawn:
        look, in_front = line_style(drawn.look, style), drawn.searcher in panel.front
        ends = (float(drawn.mean.at(panel.end)),) if drawn.curves else ()
        line = look.line(THICK) if in_front or not ends else _pale(look)
        marks = look.points(5) if in_front else None
        text = theme.text if in_front else theme.faint
        entries.append(Entry(drawn.label, ends, line, marks, text))
    return entries + _yardsticks(panel, theme)


def _draw_searcher(
    axes: Axes, drawn: Drawn, look: LineStyle, span: tuple[float, float], shade: float
) -> None:
    """The mean in front of its band, or of each seed's curve."""
    start, end = span
    if drawn.band is not None:
        (times, low), (_, high) = (_steps(curve, start, end) for curve in drawn.band)
        axes.fill_between(times, low, high, step="post", color=look.colour, alpha=shade, lw=0)
    elif not drawn.one:
        for curve in drawn.curves:
            _draw_line(axes, curve, start, end, look.line(0.8) | {"alpha": 0.4})
    _draw_line(axes, drawn.mean, start, end, look.line(THICK))
    where = np.geomspace(start, end, MARKS + 2)[1:-1] * (1 + 0.03 * (drawn.look.marker % 6))
    where = where[where > drawn.mean.times[min(1, len(drawn.mean.times) - 1)]]
    axes.plot(where, drawn.mean.at(where), linestyle="none", **look.points(4.5))


def _draw_line(
    axes: Axes, curve: StepCurve, start: float, end: float, line: dict[str, Any]
) -> None:
    """Steps that hold until the end."""
    times, values = _steps(curve, start, end)
    axes.plot(times, values, drawstyle="steps-post", **line)


def _steps(curve: StepCurve, start: float, end: float) -> tuple[Array, Array]:
    """The curve inside [start, end]: what held at the start, the changes, what holds at the end."""
    curve = thinned(curve, end)
    inside = curve.times[(curve.times > start) & (curve.times < end)]
    times = np.concatenate([[start], inside, [end]])
    return times, curve.at(times)
