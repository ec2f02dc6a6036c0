"""Curves of regret over the clock, drawn with scripts: over every clock, as the reader chooses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, product
from typing import Any, TypeAlias

import pandas as pd

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.interactive import (
    LIGHT,
    PALE_LINE,
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
from hpobench.report.drawing.panel import Drawn, Panel
from hpobench.report.drawing.regret_panels import how_drawn, in_brackets, scale_of
from hpobench.report.drawing.regret_table import Panels
from hpobench.report.drawing.scale import Scale, tick_text
from hpobench.results.json_files import Record
from hpobench.results.regret import Clock, Curve

_Steps: TypeAlias = tuple[list[Any], list[Any], list[str]]

CURVES: dict[Curve, str] = {"incumbent": "incumbent", "in_hand": "model in hand"}
DECIMALS = 4  # of a decade on that scale: more than a screen shows
BAND = 0.08  # of a line's colour
BEHIND = {"lines": "mean", "weight": "front"}
PALE: tuple[When, Trace] = ({"weight": "pale"}, PALE_LINE)


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
            panel, rows, name, scales[curve], when, kind or kind_of(panel), trained, apart
        )
        traces += drawn.traces()
        until = f"; the budget ends at {tick_text(panel.end)}" if panel.end_is_budget else ""
        layouts.append((when, {"xaxis": {"title": {"text": CLOCKS[name].axis + until}}}))
        layouts += scale_layouts("across", log_begin(rows[name], panel.end), panel.end, when)
    several = any(len(drawn.curves) > 1 for panel in panels.values() for drawn in panel.drawn)
    lines = (("mean", "mean"), *([("seed", "each seed")] if several else []))
    for curve, (mode, _) in product(curves, lines):
        panel = panels[curve, clock]
        levels = data[(data["curve"] == curve) & data["line"].isin(["default", "reference"])]
        how = how_drawn(panel) if mode == "mean" else "a line for each seed"
        chosen: When = {"curve": str(curve), "lines": mode}
        how += in_brackets(panel)
        layouts += _vertical(panel.quantity, how, levels, scales[curve], chosen)
    log_too = any(scale.kind != "linear" for scale in scales.values())
    return Interactive(
        plot_of(traces, {}),
        (
            Control("clock", "clock", tuple((k, CLOCKS[k].unit) for k in clocks), clock),
            Control("curve", "curve", tuple((c, CURVES[c]) for c in curves), curves[0]),
            Control("lines", "lines", lines, "mean"),
            Control("across", "horizontal", SCALES, "log"),
            Control("up", "vertical", SCALES if log_too else (), "log"),
        ),
        tuple(searcher_entry(d.look, d.searcher, d.label, bool(d.curves)) for d in first.drawn),
        tuple(layouts),
        ranked=tuple(drawn.searcher for drawn in first.ranked),
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
        """What is behind the lines first, then the lines, the lowest last and so on top."""
        where = self.rows.groupby(["line", "searcher"], sort=False).indices
        behind: list[Trace] = []
        lines: list[Trace] = []
        for drawn in reversed(self.panel.ranked):
            mean = self.rows.iloc[where.get(("mean", drawn.searcher), [])]
            seeds = self.rows.iloc[where.get(("seed", drawn.searcher), [])]
            if drawn.one:
                lines += self._seeds(drawn, seeds, 2.2, {})
                continue
            behind += self._band(drawn, mean) if drawn.banded else self._faint(drawn, seeds)
            lines.append(self._mean(drawn, mean))
            lines += self._seeds(drawn, seeds, 1.3, {"lines": "seed"})
        return [*behind, *lines]

    def _band(self, drawn: Drawn, rows: pd.DataFrame) -> list[Trace]:
        x = [*plain_list(rows[self.clock]), self.panel.end]
        colour = faded(line_colour(drawn.look), BAND)
        meta = shown(drawn.searcher, {**self.when, **BEHIND})
        low, high = (held(plain_list(rows[end])) for end in ("low", "high"))
        return [self._scaled(trace, trace["y"], meta) for trace in band(x, low, high, colour, meta)]

    def _faint(self, drawn: Drawn, rows: pd.DataFrame) -> list[Trace]:
        """Each seed behind a mean that has no band."""
        meta = shown(drawn.searcher, {**self.when, **BEHIND})
        look = {"mode": "lines", "hoverinfo": "skip", "hovertemplate": None, "opacity": 0.45}
        trace = line_look(drawn.look, 1.0) | look
        return [self._scaled(trace | {"x": x}, y, meta) for x, y, _ in _in_one(self._steps(rows))]

    def _mean(self, drawn: Drawn, rows: pd.DataFrame) -> Trace:
        head = f"{bold(drawn.searcher)}, mean of {len(drawn.curves)} seeds"
        columns = (plain_list(rows[name]) for name in (self.clock, "value", "low", "high"))
        text = [
            f"{head}<br>{self.kind} {told(value)} at {told(time)} {CLOCKS[self.clock].unit}"
            f"{'' if low is None else f'<br>95 % band {told(low)} to {told(high)}'}"
            for time, value, low, high in zip(*columns, strict=True)
        ]
        look = line_look(drawn.look, 2.4)
        look["marker"] |= {"maxdisplayed": 6}
        x = [*plain_list(rows[self.clock]), self.panel.end]
        meta = shown(drawn.searcher, {**self.when, "lines": "mean"}, [PALE])
        return self._scaled(
            look | {"x": x, "text": held(text)}, held(plain_list(rows["value"])), meta
        )

    def _seeds(self, drawn: Drawn, rows: pd.DataFrame, width: float, when: When) -> list[Trace]:
        meta = shown(drawn.searcher, {**self.when, **when}, [PALE])
        steps = self._steps(rows, self._texts(drawn, rows))
        look = line_look(drawn.look, width)
        return [
            self._scaled(look | {"x": x, "text": text}, y, meta)
            for x, y, text in (steps if self.apart else _in_one(steps))
        ]

    def _steps(self, rows: pd.DataFrame, texts: Sequence[str] | None = None) -> list[_Steps]:
        """Of each seed: times, values and texts, held until the end."""
        times, values = (plain_list(rows[name]) for name in (self.clock, "value"))
        texts = [""] * len(rows) if texts is None else texts
        steps = []
        for of_seed in rows.groupby("seed", sort=False).indices.values():
            x, y, text = ([column[row] for row in of_seed] for column in (times, values, texts))
            steps.append(([*x, self.panel.end], held(y), held(text)))
        return steps

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
        placed = [None if value is None else _placed(self.scale, value) for value in values]
        return trace | {"y": placed, "meta": meta | {"variants": [*meta["variants"], linear]}}


def _in_one(steps: Sequence[_Steps]) -> list[_Steps]:
    """One after the other, with a gap between any two."""
    gaps = [([*x, None], [*y, None], [*text, ""]) for x, y, text in steps]
    x, y, text = (list(chain(*column))[:-1] for column in zip(*gaps, strict=True))
    return [(x, y, text)]


def _which(evaluation: int | None) -> str:
    return "the task's default" if evaluation is None else f"evaluation {evaluation}"


def _set(hyperparameters: str | None) -> str:
    return f"<br>{wrapped(hyperparameters)}" if hyperparameters else ""


def _placed(scale: Scale, value: float) -> float:
    return round(scale.placed(value), DECIMALS)


def _vertical(
    quantity: str, how: str, levels: pd.DataFrame, scale: Scale, when: When
) -> list[Layout]:
    """The vertical axis on each of its scales, with the default's level and the reference's.

    ``how``: What the lines are; ``when``: the choices that it belongs to.
    """
    plain = {"title": {"text": f"{quantity}; {how}"}, "yaxis": {"type": "linear"}}
    linear = plain | _levels(levels, lambda value: value)
    if scale.kind == "linear":
        return [(when, linear)]
    ticks = scale.ticks()
    axis: Record = {"ticktext": [tick_text(tick) for tick in ticks]}
    if scale.kind == "log":
        axis |= {"type": "log", "tickvals": ticks}
        axis |= {"range": [math.log10(scale.low), math.log10(scale.high)]}
        levels_there = _levels(levels, lambda value: value, math.log10)
    else:
        place = partial(_placed, scale)
        axis |= {"type": "linear", "tickvals": [place(tick) for tick in ticks]}
        axis |= {"range": [place(scale.low), place(scale.high)], "fixedrange": True}
        levels_there = _levels(levels, place)
    log = {"title": {"text": f"{quantity}{scale.note}; {how}"}, "yaxis": axis} | levels_there
    return [({**when, "up": "linear"}, linear), ({**when, "up": "log"}, log)]


def _levels(
    levels: pd.DataFrame,
    place: Callable[[float], float],
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
                "bgcolor": faded(LIGHT.background, 0.75),  # lines pass under it
                "borderpad": 1,
                "font": {"size": 11, "color": LIGHT.faint},
                "text": "default's level"
                if default
                else ("reference" if certain else "reference ± s.e."),
            }
        )
    return {"shapes": shapes, "annotations": names}


def kind_of(panel: Panel) -> str:
    """What its curves show, in a word or two."""
    return "regret" if panel.regret else "test loss"
