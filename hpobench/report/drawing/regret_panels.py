"""Curves of regret over the clock, drawn without scripts: one panel for each task.

From five complete seeds on, a searcher is drawn as its mean with a 95 % t-band; below, as one
thin line for each seed. Only complete cells are drawn; a label says where some are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.downsampling import thinned
from hpobench.report.drawing.labels import Entry, draw_labels, height_of, width_of
from hpobench.report.drawing.panel import Drawn, Panel
from hpobench.report.drawing.scale import Scale, log_ticks, loss_scale, regret_scale, tick_text
from hpobench.report.drawing.style import LineStyle, Style, StyleName, line_style, themed
from hpobench.results.regret import Clock
from hpobench.statistics.curves import Array, StepCurve

if TYPE_CHECKING:
    pass

WIDTH, LEFT, TOP, BOTTOM = 8.8, 0.75, 0.8, 0.62  # inches
LOWEST = 2.7
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
    axes.annotate(_how(panel), (0, 1), (0, 20), fontsize=8, color=theme.faint, **above)
    start = _set_clock(axes, panel, clock)
    _set_scale(axes, panel)
    for entry in _yardsticks(panel, theme):
        axes.axhline(entry.ends[0], zorder=1.5, **entry.line)
    if panel.regret:
        axes.axhspan(-panel.tolerance, panel.tolerance, color=theme.faint, alpha=0.15, lw=0)
    shade = 0.14 if sum(drawn.banded for drawn in panel.drawn) <= 6 else 0.08
    for drawn in panel.drawn:
        if drawn.curves:
            look = line_style(drawn.place, style)
            _draw_searcher(axes, drawn, look, start, panel.end, shade)


def _how(panel: Panel) -> str:
    banded = {drawn.banded for drawn in panel.drawn if drawn.curves}
    if banded == {True}:
        how = "mean and 95 % band over seeds"
    elif banded == {False}:
        how = "one line for each seed"
    else:
        how = "mean and 95 % band from five seeds on, else one line for each seed"
    if any(len(drawn.curves) < drawn.planned for drawn in panel.drawn):
        how += "; in brackets: complete seeds"
    return how if panel.regret else f"no reference, so no regret; {how}"


def _set_clock(axes: Axes, panel: Panel, clock: Clock) -> float:
    """A log clock from just before the first event; returns where it starts."""
    events = [float(t) for drawn in panel.drawn for c in drawn.curves for t in c.times if t > 0]
    start = 0.85 * min([*events, 0.5 * panel.end])
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
    note = {
        "linear": "",
        "log": " (log scale)",
        "symlog": f" (log scale; linear within ±{tick_text(scale.linear_below)})",
    }[scale.kind]
    if scale.kind == "symlog":
        axes.set_yscale("symlog", linthresh=scale.linear_below, linscale=0.5)
    else:
        axes.set_yscale(scale.kind)
    axes.set_ylim(scale.low, scale.high)
    axes.yaxis.set_major_locator(FixedLocator(scale.ticks()))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: tick_text(y)))
    axes.set_ylabel(panel.quantity + note, rotation=0, ha="left", va="bottom")
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
        entries.append(Entry("default, mean", (panel.default,), dotted, None, theme.faint))
    if panel.regret:
        name = "reference ± s.e." if panel.tolerance > 0 else "reference"
        entries.append(Entry(name, (0.0,), line, None, theme.faint))
    return entries


def _entries(panel: Panel, style: StyleName, theme: Style) -> list[Entry]:
    entries = []
    for drawn in panel.drawn:
        look = line_style(drawn.place, style)
        shown = (drawn.mean,) if drawn.banded else drawn.curves
        ends = tuple(float(curve.at(panel.end)) for curve in shown)
        text = theme.text if ends else theme.faint
        entries.append(Entry(drawn.label, ends, look.line(1.9), look.points(5), text))
    return entries + _yardsticks(panel, theme)


def _draw_searcher(
    axes: Axes, drawn: Drawn, look: LineStyle, start: float, end: float, shade: float
) -> None:
    """The mean and its band, or each seed's curve, as steps that hold until the end."""
    if drawn.band is not None:
        (times, low), (_, high) = (_steps(curve, start, end) for curve in drawn.band)
        axes.fill_between(times, low, high, step="post", color=look.colour, alpha=shade, lw=0)
    for curve in (drawn.mean,) if drawn.banded else drawn.curves:
        times, values = _steps(curve, start, end)
        width = 1.9 if drawn.banded else 1.1
        axes.plot(times, values, drawstyle="steps-post", **look.line(width))
        where = np.geomspace(start, end, MARKS + 2)[1:-1] * (1 + 0.03 * (drawn.place % 6))
        where = where[where > curve.times[min(1, len(curve.times) - 1)]]
        axes.plot(where, curve.at(where), linestyle="none", **look.points(4.5))


def _steps(curve: StepCurve, start: float, end: float) -> tuple[Array, Array]:
    """The curve inside [start, end]: what held at the start, the changes, what holds at the end."""
    curve = thinned(curve, end)
    inside = curve.times[(curve.times > start) & (curve.times < end)]
    times = np.concatenate([[start], inside, [end]])
    return times, curve.at(times)
