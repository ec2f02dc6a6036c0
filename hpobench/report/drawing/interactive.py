"""A figure that a reader can change: Plotly's traces, and which of them each choice shows.

Everything is made here; the page's script shows and hides. A trace says in its ``meta`` whose it is
(``of``: an entry of the legend) and which choices it belongs to (``when``: control → value). What
else a choice changes is in ``variants``: other properties of that trace, and `Interactive.layouts`.
Beside the choices there is the ``screen``, "narrow" or "wide", to which layouts can belong too, and
where searchers are ``ranked`` the ``weight`` of a trace's, "front" or "pale".
Colours are those of the light style; the page turns them into the reader's.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from hpobench.report.drawing.bars import PALE, THICK, filled
from hpobench.report.drawing.panel import CROWD, FRONT
from hpobench.report.drawing.scale import log_ticks, tick_text
from hpobench.report.drawing.style import (
    PLOTLY_DASHES,
    PLOTLY_MARKERS,
    STYLES,
    Look,
    colour_name,
)
from hpobench.results.json_files import Record
from hpobench.text import UNKNOWN, number

When: TypeAlias = Mapping[str, str]
Trace: TypeAlias = dict[str, Any]
Layout: TypeAlias = tuple[When, Record]
"""A part of Plotly's layout, and the choices that it belongs to."""

LIGHT = STYLES["light"]
CLEAR = "rgba(0, 0, 0, 0)"
HOVER = "%{text}<extra></extra>"

BAR: dict[str, Any] = {
    "type": "bar",
    "orientation": "h",
    "width": THICK,
    "textposition": "none",
    "hovertemplate": HOVER,
}
"""A bar in a row; its text is for the pointer alone."""

LONGEST_LINE = 60
SCALES = (("log", "log"), ("linear", "linear"))

_AXIS = {
    "gridcolor": LIGHT.grid,
    "zeroline": False,
    "linecolor": LIGHT.faint,
    "showline": True,
    "ticks": "outside",
    "tickcolor": LIGHT.faint,
    "automargin": True,
    "title": {"standoff": 8, "font": {"size": 12}},
}
TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"size": 12, "color": LIGHT.text},
        "title": {"font": {"size": 12}},
        "hovermode": "closest",
        "showlegend": False,
        "hoverlabel": {
            "bgcolor": LIGHT.background,
            "bordercolor": LIGHT.faint,
            "align": "left",
            "font": {"color": LIGHT.text},
            "namelength": 0,
        },
        "xaxis": _AXIS | {"exponentformat": "none"},
        "yaxis": _AXIS,
    }
)


@dataclass(frozen=True)
class Control:
    """A choice that a reader has.

    Args:
        name: What ``when`` calls it.
        legend: What stands beside it.
        options: Its values, and what they are called.
        chosen: The value at first.
    """

    name: str
    legend: str
    options: tuple[tuple[str, str], ...]
    chosen: str


@dataclass(frozen=True)
class LegendEntry:
    """Something that can be hidden, and how it looks: a line, or a square of its colour.

    Args:
        name: What a trace's ``of`` calls it.
        label: What the legend calls it.
        colour: A colour of every style, by its name there.
        dash: Of its line, in Plotly's words.
        drawn: Whether there is anything of it to show.
        square: Whether it is told by an area rather than by a line.
        pale: Whether that area is pale.
    """

    name: str
    label: str
    colour: str
    dash: str = "solid"
    drawn: bool = True
    square: bool = False
    pale: bool = False


@dataclass(frozen=True)
class Interactive:
    """What the page needs to draw a figure and to let a reader change it.

    Args:
        plot: Every trace that some choice shows, over the layout that all choices share.
        controls: The choices; one with a single option is left out.
        legend: What can be hidden.
        layouts: Parts of a layout, each with the choices that it belongs to.
        panels: Names of small panels, side by side as there is room; a trace says in its ``meta``
            which ``panel`` it is in. None: a single plot.
        rows: Names of rows in order, of a layout of `rows_layout`; one that is no entry of the
            legend is always there. None: a row for each entry.
        ranked: Of a figure whose lines have their names at their ends, whose they are, in the order
            in which they come to the front. If more than a `CROWD` are shown, `FRONT` of them are
            in front and the others pale, until a reader brings one forward.
    """

    plot: go.Figure
    controls: tuple[Control, ...] = ()
    legend: tuple[LegendEntry, ...] = ()
    layouts: tuple[Layout, ...] = ()
    panels: tuple[str, ...] | None = None
    rows: tuple[str, ...] | None = None
    ranked: tuple[str, ...] | None = None

    def as_json(self) -> Record:
        """As `page.js` reads it."""
        return {
            "traces": [_plain(trace.to_plotly_json()) for trace in self.plot.data],
            "layout": self.plot.layout.to_plotly_json(),
            "controls": [asdict(one) for one in self.controls if len(one.options) > 1],
            "legend": [asdict(entry) for entry in self.legend],
            "layouts": [{"when": when, "layout": layout} for when, layout in self.layouts],
            "panels": self.panels,
            "rows": self.rows,
            "ranked": self.ranked and {"order": self.ranked, "front": FRONT, "crowd": CROWD},
        }


def plot_of(traces: Iterable[Trace], layout: Record) -> go.Figure:
    """Plotly's figure; it checks that every property of every trace is one."""
    return go.Figure([_in_arrays(trace) for trace in traces], {"template": TEMPLATE, **layout})


def _in_arrays(trace: Trace) -> Trace:
    """With its points as arrays: of a list, Plotly looks at each value, and copies it."""
    points: Trace = {name: _array(trace[name]) for name in ("x", "y", "text") if name in trace}
    meta = trace["meta"]
    variants = [
        {**one, "trace": {name: _array(values) for name, values in one["trace"].items()}}
        for one in meta["variants"]
    ]
    return {**trace, **points, "meta": {**meta, "variants": variants}}


def _array(values: Any) -> Any:
    """Numbers (what is missing is NaN) or texts as an array; anything else as it is."""
    if not isinstance(values, list) or not values:
        return values
    kinds = set(map(type, values))
    if kinds <= {int, float, type(None)}:
        return np.array(values, dtype=float)
    return np.array(values) if kinds == {str} else values


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, np.ndarray):
        plain: list[Any] = value.tolist()
        if value.dtype.kind == "f" and np.isnan(value).any():
            return [None if number != number else number for number in plain]
        return plain
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def shown(
    of: str | None = None,
    when: When | None = None,
    variants: Sequence[tuple[When, Trace]] = (),
    **more: Any,
) -> Record:
    """The ``meta`` of a trace.

    Args:
        of: The entry of the legend that it belongs to; None: it is always there.
        when: The choices that it belongs to.
        variants: Properties that a choice replaces.
        **more: ``each``: of its points, whose each is, where they are several entries'; ``repeat``:
            of how many points in a row a text and an ``each`` are, where not of one; ``most``: of
            how many shown entries it is still drawn; ``fewest``: with how many shown points it is
            drawn; ``panel``: the small panel that it is in; ``lines``: of its points, their texts
            line by line, each with whose it is (told while that is shown) or None.
    """
    other = [{"when": choices, "trace": trace} for choices, trace in variants]
    return {"of": of, "when": dict(when or {}), "variants": other, **more}


def searcher_entry(
    look: Look, name: str, label: str | None = None, drawn: bool = True
) -> LegendEntry:
    """A searcher told by its line, which looks the same in every figure."""
    return LegendEntry(name, label or name, look.colour, PLOTLY_DASHES[look.dash], drawn)


def searcher_area(look: Look, name: str, drawn: bool = True) -> LegendEntry:
    """A searcher told by areas of its colour: pale ones where its line has dashes."""
    return LegendEntry(name, name, look.colour, "solid", drawn, True, look.dash > 0)


def part_entry(place: int, name: str) -> LegendEntry:
    """Part number ``place`` of a whole, filled as `bars.filling` has it."""
    colour, pale = filled(place)
    return LegendEntry(name, name, colour_name("part", colour), "solid", True, True, pale)


def part_colours(place: int) -> tuple[str, str]:
    """Of the areas of part number ``place`` of a whole, and of their edges."""
    colour, pale = filled(place)
    return faded(LIGHT.parts[colour], PALE if pale else 1.0), LIGHT.parts[colour]


def area_colour(look: Look, share: float = 1.0) -> str:
    """Of the areas of a searcher; ``share``: of it, where something is drawn on top."""
    return faded(line_colour(look), share * (PALE if look.dash else 1.0))


def line_colour(look: Look) -> str:
    """Of a searcher's line, in the light style."""
    return LIGHT.colours[look.colour]


def faded(colour: str, share: float) -> str:
    """A colour ``#rrggbb`` that lets through what is behind it; ``share`` 1: nothing of it."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {share:g})"


PALE_LINE: Trace = {"mode": "lines", "opacity": 0.6, "line": {"width": 1.2}}
"""What becomes of the look of a line that is not in front."""


def line_look(look: Look, width: float) -> Trace:
    """How a searcher's curve is drawn, as steps."""
    colour, dash = line_colour(look), PLOTLY_DASHES[look.dash]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "line": {"shape": "hv", "width": width, "color": colour, "dash": dash},
        "marker": {"symbol": PLOTLY_MARKERS[look.marker], "size": 6, "color": colour},
        "hovertemplate": HOVER,
    }


def band(
    x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str, meta: Record
) -> list[Trace]:
    """The area between two step curves over the same times, (k,) each."""
    edge: Trace = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "x": x, "meta": meta}
    edge |= {"line": {"shape": "hv", "width": 0}}
    return [edge | {"y": low}, edge | {"y": high, "fill": "tonexty", "fillcolor": colour}]


def held(values: Sequence[Any]) -> list[Any]:
    """Steps that hold until the end: the last one again."""
    return [*values, values[-1]]


def scale_layouts(name: str, begin: float, end: float, when: When | None = None) -> list[Layout]:
    """The horizontal axis for each of `SCALES`.

    Args:
        name: The control that chooses one.
        begin: Where it begins if it is log; a linear one begins at 0.
        end: Where it ends.
        when: The other choices that it belongs to.
    """
    linear = {"type": "linear", "range": [0, end]}
    other = when or {}
    return [
        ({**other, name: "log"}, {"xaxis": log_axis(begin, end)}),
        ({**other, name: "linear"}, {"xaxis": linear}),
    ]


def log_axis(begin: float, end: float) -> Record:
    """An axis from ``begin`` to ``end`` with few ticks and enough."""
    ticks = log_ticks(begin, end)
    texts = [tick_text(tick) for tick in ticks]
    span = [math.log10(begin), math.log10(end)]
    return {"type": "log", "range": span, "tickvals": ticks, "ticktext": texts}


def log_begin(times: pd.Series, end: float) -> float:
    """Where a log axis begins: just before the first event after 0, of the times of a figure."""
    later = times[times > 0]
    return 0.85 * min([float(later.min())] * bool(len(later)) + [0.5 * end])


def rows_layout(rest: float, row: int = 26) -> Record:
    """A row for each name, the first on top.

    The page has a row for each name that is shown, and as many pixels as they need: ``row`` for
    each, and ``rest`` above and below them.
    """
    axis = {"type": "category", "fixedrange": True, "showgrid": False, "ticks": ""}
    return {"yaxis": axis, "meta": {"rest": rest, "row": row}}


def aside_layout() -> Record:
    """A second horizontal axis ``x2`` at the right, with a column for each name on it.

    The page gives it room for the columns that are shown.
    """
    axis = {"type": "category", "fixedrange": True, "visible": False, "anchor": "y"}
    return {"xaxis2": axis, "meta": {"column": 26}}


def told(value: float | None) -> str:
    """A number as a reader is told it, to four digits."""
    return UNKNOWN if value is None else number(value, 4)


def bold(name: object) -> str:
    """A name in bold letters, for what is shown beside the pointer."""
    return f"<b>{escaped(name)}</b>"


def escaped(text: object) -> str:
    """Text in which Plotly sees no markup."""
    return html.escape(str(text), quote=False)


@lru_cache(4096)  # the same configuration is told over every clock
def wrapped(text: str, longest: int = LONGEST_LINE) -> str:
    """Text in lines of so many characters; unless told, of as many as fit beside the pointer."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + len(word) >= longest:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return "<br>".join(map(escaped, lines))


def plain_list(column: pd.Series) -> list[Any]:
    """Values as JSON has them; what is missing is None."""
    values = column.tolist()
    if not column.hasnans:
        return values
    return [None if missing else v for v, missing in zip(values, column.isna(), strict=True)]
