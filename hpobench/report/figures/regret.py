"""Regret over the clock, one panel for each task.

From five complete seeds on, a searcher is drawn as its mean with a 95 % t-band; below, as one
thin line for each seed. Only complete cells are drawn; a label says where some are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.downsampling import thinned
from hpobench.report.drawing.figure import Draw, FigureKind, RunFigure
from hpobench.report.drawing.interactive import (
    LIGHT,
    SCALES,
    Control,
    Interactive,
    Layout,
    Trace,
    When,
    band,
    bold,
    faded,
    held,
    line_colour,
    line_look,
    log_begin,
    plain_list,
    plot_of,
    scale_layouts,
    searcher_entry,
    shown,
    told,
    wrapped,
)
from hpobench.report.drawing.labels import Entry, draw_labels, height_of, width_of
from hpobench.report.drawing.panel import Drawn, Panel, panel_of
from hpobench.report.drawing.regret_table import Panels, regret_table, steps_for
from hpobench.report.drawing.scale import Scale, log_ticks, loss_scale, regret_scale, tick_text
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import LineStyle, Style, StyleName, line_style, themed
from hpobench.results.json_files import Record
from hpobench.results.regret import Clock, Curve
from hpobench.statistics.curves import Array, StepCurve

if TYPE_CHECKING:
    from hpobench.results.run import Results

CURVES: dict[Curve, str] = {"incumbent": "incumbent", "in_hand": "model in hand"}
LINEAR_SHARE = 0.5  # of a decade, for each side of zero on a log scale of both signs

WIDTH, LEFT, TOP, BOTTOM = 8.8, 0.75, 0.8, 0.62  # inches
LOWEST = 2.7
MARKS = 4  # along a curve, so that crossing curves can be followed

NOTHING = "Nothing to draw: no cell of this task is complete and measured."


def regret_figure(
    results: Results,
    tasks: Sequence[str] | None = None,
    curve: Curve = "incumbent",
    clock: Clock = "seconds",
    style: StyleName = "light",
) -> Figure:
    """Regret over the clock, the panels of ``tasks`` (all, unless told) one under the other.

    A task without a reference has no regret: its panel shows the test loss, and says so.
    """
    panels = [panel_of(results, task, curve, clock) for task in tasks or results.tasks]
    return figure_of(panels, clock, style)


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


def regret_figures(source: FigureSource) -> list[RunFigure]:
    """That of each task, over every clock and for both curves; the run's clock at first."""
    at_most = steps_for(len(source.panels) * len(source.searchers))
    return [_regret(source, task, at_most) for task in source.tasks]


def whole_regret(source: FigureSource) -> RunFigure:
    """All tasks in one drawing, for files, and for a page of very many figures."""
    references = source.results.references
    kinds = dict.fromkeys("regret" if references[task] else "test loss" for task in source.tasks)
    words = f"{' or '.join(kinds)} of the incumbent over {CLOCKS[source.clock].unit}, task by task"
    return RunFigure(
        section="regret",
        heading="",
        name="regret",
        label=f"Figure: {words}",
        caption="Of a run as large as this one, the other figures are drawn by the page's scripts.",
        data=pd.DataFrame(),
        static=partial(figure_of, source.incumbents, source.clock),
        interactive=None,
        spoken=f"Figure: {words}; the tables in the summary have the numbers",
    )


def _files(source: FigureSource) -> dict[str, Draw]:
    return {"regret": whole_regret(source).static}


REGRET = FigureKind(regret_figures, _files, of_large_runs=True)


def _regret(source: FigureSource, task: str, at_most: int) -> RunFigure:
    panels: Panels = {
        (curve, clock): source.panels[task, curve, clock]
        for of_task, curve in source.shown_curves
        if of_task == task
        for clock in CLOCKS
    }
    first = panels["incumbent", source.clock]
    words = f"{_kind(first)} of the incumbent over {CLOCKS[source.clock].unit}, on {task}"
    empty = not any(panel.has_curves for panel in panels.values())
    data = regret_table(panels, source.changes[task], at_most)
    return RunFigure(
        section="regret",
        heading=task,
        task=task,
        name=f"regret-{task}",
        label=f"Figure: {_kind(first)} over a clock, on {task}",
        caption=NOTHING
        if empty
        else f"{words[0].upper()}{words[1:]}. Lower is better; a curve holds until the next step,"
        " that of the incumbent the default's level until the first full training.",
        data=data,
        static=partial(figure_of, [first], source.clock),
        interactive=None
        if empty
        else partial(regret_plot, panels, data, source.clock, apart=source.few_cells),
        spoken=f"Figure: {words}; the table in the summary has the numbers",
    )


def _kind(panel: Panel) -> str:
    return "regret" if panel.regret else "test loss"


def regret_plot(
    panels: Panels,
    data: pd.DataFrame,
    clock: Clock,
    kind: str = "",
    trained: str = "",
    apart: bool = True,
) -> Interactive:
    """The curves of one task, over the clock and along the scales that the reader chooses.

    Args:
        panels: By curve and clock.
        data: Their `regret_table`.
        clock: That at first.
        kind: What is shown; "regret" or "test loss", unless told.
        trained: What is said behind the losses of an evaluation.
        apart: Whether each seed is a trace of its own, which takes Plotly longer.
    """
    curves, clocks = (tuple(dict.fromkeys(names)) for names in zip(*panels, strict=True))
    first = panels[curves[0], clock]
    scales = {curve: _scale_of_plot(panels[curve, clock]) for curve in curves}
    traces: list[Trace] = []
    layouts: list[Layout] = []
    for (curve, name), panel in panels.items():
        when = {"clock": name, "curve": curve}
        rows = data[(data["curve"] == curve) & data[name].notna()]
        drawn = _Curves(
            panel, rows, name, scales[curve], when, kind or _kind(panel), trained, apart
        )
        traces += drawn.traces()
        until = f"; the budget ends at {tick_text(panel.end)}" if panel.end_is_budget else ""
        layouts.append((when, {"xaxis": {"title": {"text": CLOCKS[name].axis + until}}}))
        layouts += scale_layouts("across", log_begin(rows[name], panel.end), panel.end, when)
    for curve in curves:
        levels = data[(data["curve"] == curve) & data["line"].isin(["default", "reference"])]
        layouts += _vertical(panels[curve, clock].quantity, levels, scales[curve], curve)
    banded = any(drawn.banded for panel in panels.values() for drawn in panel.drawn)
    lines = (("mean", "mean and band"), ("seed", "each seed"))
    log_too = any(scale.kind != "linear" for scale in scales.values())
    return Interactive(
        plot_of(traces, {}),
        (
            Control("clock", "clock", tuple((k, CLOCKS[k].unit) for k in clocks), clock),
            Control("curve", "curve", tuple((c, CURVES[c]) for c in curves), curves[0]),
            Control("lines", "lines", lines if banded else (), "mean"),
            Control("across", "horizontal", SCALES, "log"),
            Control("up", "vertical", SCALES if log_too else (), "log"),
        ),
        tuple(searcher_entry(d.place, d.searcher, d.label, bool(d.curves)) for d in first.drawn),
        tuple(layouts),
    )


def _scale_of_plot(panel: Panel) -> Scale:
    return scale_of(panel) if panel.has_curves else Scale("linear", 0.0, 1.0)


@dataclass(frozen=True)
class _Curves:
    """The traces of one curve of one task over one clock.

    Args:
        panel: What the static figure shows of it.
        rows: Of `regret_table`, those of this curve over this clock.
        clock: The clock.
        scale: The vertical scale that suits them.
        when: The choices that they belong to.
        kind: What is shown.
        trained: What is said behind the losses of an evaluation.
        apart: Whether each seed is a trace of its own.
    """

    panel: Panel
    rows: pd.DataFrame
    clock: Clock
    scale: Scale
    when: When
    kind: str
    trained: str
    apart: bool

    def traces(self) -> list[Trace]:
        """Bands first, and the lines over them."""
        where = self.rows.groupby(["line", "searcher"], sort=False).indices
        present = [drawn for drawn in self.panel.drawn if drawn.curves]
        shade = min(0.15, 0.8 / max(len(present), 1))
        bands: list[Trace] = []
        lines: list[Trace] = []
        for drawn in present:
            mean = self.rows.iloc[where.get(("mean", drawn.searcher), [])]
            seeds = self.rows.iloc[where.get(("seed", drawn.searcher), [])]
            if len(mean):
                bands += self._band(drawn, mean, shade)
                lines.append(self._mean(drawn, mean))
            lines += self._seeds(drawn, seeds, {"lines": "seed"} if len(mean) else {})
        return [*bands, *lines]

    def _band(self, drawn: Drawn, rows: pd.DataFrame, shade: float) -> list[Trace]:
        x = [*plain_list(rows[self.clock]), self.panel.end]
        colour = faded(line_colour(drawn.place), shade)
        meta = shown(drawn.searcher, {**self.when, "lines": "mean"})
        low, high = (held(plain_list(rows[end])) for end in ("low", "high"))
        return [self._scaled(trace, trace["y"], meta) for trace in band(x, low, high, colour, meta)]

    def _mean(self, drawn: Drawn, rows: pd.DataFrame) -> Trace:
        head = f"{bold(drawn.searcher)}, mean of {len(drawn.curves)} seeds"
        columns = (rows[name] for name in (self.clock, "value", "low", "high"))
        text = [
            f"{head}<br>{self.kind} {told(value)} at {told(time)} {CLOCKS[self.clock].unit}"
            f"<br>95 % band {told(low)} to {told(high)}"
            for time, value, low, high in zip(*columns, strict=True)
        ]
        look = line_look(drawn.place, 2.2)
        look["marker"] |= {"maxdisplayed": 6}
        x = [*plain_list(rows[self.clock]), self.panel.end]
        meta = shown(drawn.searcher, {**self.when, "lines": "mean"})
        return self._scaled(
            look | {"x": x, "text": held(text)}, held(plain_list(rows["value"])), meta
        )

    def _seeds(self, drawn: Drawn, rows: pd.DataFrame, when: When) -> list[Trace]:
        meta = shown(drawn.searcher, {**self.when, **when})
        texts = pd.Series(self._texts(drawn, rows), index=rows.index, dtype=object)
        steps = [
            (
                [*plain_list(of_seed[self.clock]), self.panel.end],
                held(plain_list(of_seed["value"])),
                held(texts[of_seed.index].tolist()),
            )
            for _, of_seed in rows.groupby("seed", sort=False)
        ]
        if not self.apart:  # one after the other, with a gap between any two
            gaps = [([*x, None], [*y, None], [*text, ""]) for x, y, text in steps]
            x, y, text = (list(chain(*column))[:-1] for column in zip(*gaps, strict=True))
            steps = [(x, y, text)] if gaps else []
        look = line_look(drawn.place, 1.3)
        return [self._scaled(look | {"x": x, "text": text}, y, meta) for x, y, text in steps]

    def _texts(self, drawn: Drawn, rows: pd.DataFrame) -> list[str]:
        head, unit = bold(drawn.searcher), CLOCKS[self.clock].unit
        names = ("seed", "evaluation", self.clock, "value", "validation_loss", "test_loss")
        columns = [plain_list(rows[name]) for name in names]
        return [
            f"{head}, seed {seed}, {_which(number)}<br>{self.kind} {told(value)} at {told(time)}"
            f" {unit}<br>validation loss {told(validation)}, test loss {told(test)}{self.trained}"
            f"{_set(hyperparameters)}"
            for seed, number, time, value, validation, test, hyperparameters in zip(
                *columns, rows["hyperparameters"], strict=True
            )
        ]

    def _scaled(self, trace: Trace, values: Sequence[float | None], meta: Record) -> Trace:
        """Plotly has no scale that is log in both directions: values are placed on one here."""
        if self.scale.kind != "symlog":
            return trace | {"y": values, "meta": meta}
        linear = {"when": {"up": "linear"}, "trace": {"y": values}}
        placed = [_placed(value, self.scale.linear_below) for value in values]
        return trace | {"y": placed, "meta": meta | {"variants": [linear]}}


def _which(evaluation: int | None) -> str:
    return "the task's default" if evaluation is None else f"evaluation {evaluation}"


def _set(hyperparameters: str | None) -> str:
    return f"<br>{wrapped(hyperparameters)}" if hyperparameters else ""


def _placed(value: float | None, linear_below: float) -> float | None:
    """Where a value is on a scale that is log in both directions, and linear around zero."""
    if value is None:
        return None
    size = abs(value) / linear_below
    if size <= 1:
        return LINEAR_SHARE * value / linear_below
    return math.copysign(LINEAR_SHARE + math.log10(size), value)


def _vertical(quantity: str, levels: pd.DataFrame, scale: Scale, curve: Curve) -> list[Layout]:
    """The vertical axis on each of its scales, with the default's level and the reference's."""
    of_curve = {"curve": curve}
    plain = {"title": {"text": quantity}, "yaxis": {"type": "linear"}}
    linear = plain | _levels(levels, lambda value: value)
    if scale.kind == "linear":
        return [(of_curve, linear)]
    ticks = scale.ticks()
    axis: Record = {"ticktext": [tick_text(tick) for tick in ticks]}
    if scale.kind == "log":
        axis |= {"type": "log", "tickvals": ticks}
        axis |= {"range": [math.log10(scale.low), math.log10(scale.high)]}
        log = {"title": {"text": f"{quantity} (log scale)"}, "yaxis": axis}
        log |= _levels(levels, lambda value: value, math.log10)
    else:
        place = partial(_placed, linear_below=scale.linear_below)
        axis |= {"type": "linear", "tickvals": [place(tick) for tick in ticks]}
        axis |= {"range": [place(scale.low), place(scale.high)], "fixedrange": True}
        near = f"{quantity} (log scale; linear within ±{tick_text(scale.linear_below)})"
        log = {"title": {"text": near}, "yaxis": axis} | _levels(levels, place)
    return [({**of_curve, "up": "linear"}, linear), ({**of_curve, "up": "log"}, log)]


def _levels(
    levels: pd.DataFrame,
    place: Callable[[float], float | None],
    of_text: Callable[[float], float] | None = None,
) -> Record:
    """Lines across the plot, and their names; ``place``: where a value is on the axis."""
    shapes: list[Record] = []
    names: list[Record] = []
    across = {"xref": "paper", "x0": 0, "x1": 1, "layer": "below"}
    for row in levels.to_dict("records"):
        default = row["line"] == "default"
        value, certain = row["value"], not row["low"] < row["high"]
        ruled = {"color": LIGHT.faint, "width": 1, "dash": "dot" if default else "solid"}
        ends = {"y0": place(value), "y1": place(value)}
        shapes.append({**across, **ends, "type": "line", "line": ruled})
        if not certain:
            area = {"y0": place(row["low"]), "y1": place(row["high"]), "line": {"width": 0}}
            shapes.append({**across, **area, "type": "rect", "fillcolor": faded(LIGHT.faint, 0.15)})
        names.append(
            {
                "xref": "paper",
                "x": 1 if default else 0,
                "y": of_text(value) if of_text else place(value),
                "xanchor": "right" if default else "left",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 11, "color": LIGHT.faint},
                "text": "default, mean"
                if default
                else ("reference" if certain else "reference ± s.e."),
            }
        )
    return {"shapes": shapes, "annotations": names}
