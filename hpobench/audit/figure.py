"""An audit as a figure: cost, memory, and how noisy hypergradients are, one under the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from hpobench.audit.cost import HORIZON, PLAIN, USUAL
from hpobench.audit.rows import Cost, Spread, named, over_draws, own_draws
from hpobench.report.drawing.labels import Entry, draw_labels, height_of, width_of
from hpobench.report.drawing.scale import log_ticks, regret_scale, tick_text
from hpobench.report.drawing.style import LineStyle, Style, StyleName, part_style, themed
from hpobench.text import plural

WIDTH, LEFT, TOP, BOTTOM = 8.8, 0.75, 0.62, 0.62  # inches
LOWEST, ROW, LEGEND = 2.9, 0.3, 0.3  # inches: a panel of curves; one coefficient; one line


@dataclass(frozen=True)
class Curves:
    """A log-log panel: engine → (x, y) where measured, ascending in x."""

    title: str
    across: str
    upwards: str
    points: dict[str, list[tuple[float, float]]]
    guides: dict[str, list[tuple[float, float]]]

    @property
    def ends(self) -> tuple[float, float]:
        places = [x for points in self.points.values() for x, _ in points]
        return min(places), max(places)


def audit_figure(
    spread: Sequence[Spread], cost: Sequence[Cost], style: StyleName = "light"
) -> Figure:
    """Three panels: steps over windows, memory over the horizon, derivatives by coefficient."""
    looks = _looks(cost, style)
    panels = [panel for panel in (_steps(cost), _memory(cost)) if any(panel.points.values())]
    with themed(style) as theme:
        columns = [_entries(panel, cost, looks, theme) for panel in panels]
        heights = [max(LOWEST, height_of(column)) for column in columns]
        names = list(dict.fromkeys(row.coefficient for row in spread))
        heights.append(ROW * (len(names) + 1))
        total = sum(heights) + len(heights) * (TOP + BOTTOM) + LEGEND
        figure = Figure(figsize=(WIDTH, total))

        def place(i: int, left: float, width: float) -> Axes:
            floor = total - sum(heights[: i + 1]) - TOP - i * (TOP + BOTTOM)
            return figure.add_axes((left / WIDTH, floor / total, width / WIDTH, heights[i] / total))

        width = WIDTH - LEFT - max(map(width_of, columns))
        for i, (panel, column) in enumerate(zip(panels, columns, strict=True)):
            axes = place(i, LEFT, width)
            _draw_curves(axes, panel, looks, theme)
            draw_labels(axes, column, panel.ends[1], (width, heights[i]))
        left = 0.35 + max(_inches(name) for name in names)
        _draw_spread(place(len(panels), left, WIDTH - left - 0.25), spread, names, style, theme)
    return figure


def _looks(cost: Sequence[Cost], style: StyleName) -> dict[str, LineStyle]:
    engines = dict.fromkeys(row.engine for row in cost if row.engine != PLAIN)
    return {engine: part_style(place, style) for place, engine in enumerate(engines)}


def _steps(cost: Sequence[Cost]) -> Curves:
    rows = [row for row in cost if row.horizon == HORIZON]
    return Curves(
        f"Time over hyperparameters, {HORIZON} steps",
        "hyperparameters: windows of the learning rate",
        "in steps of plain training, for each step",
        _points(rows, lambda row: (row.windows, row.steps)),
        {},
    )


def _memory(cost: Sequence[Cost]) -> Curves:
    """With lines that grow as the horizon and as its root, through the middle of the curves."""
    rows = [row for row in cost if row.windows == USUAL]
    points = _points(rows, lambda row: (row.horizon, row.mebibytes))
    drawn = [y for engine, own in points.items() for _, y in own if engine != PLAIN and y > 0]
    guides: dict[str, list[tuple[float, float]]] = {}
    if drawn:
        first, last = min(row.horizon for row in rows), max(row.horizon for row in rows)
        middle = math.sqrt(first * last)
        for name, power, anchor in (("∝ T", 1.0, max(drawn)), ("∝ √T", 0.5, np.median(drawn))):
            at = last if power == 1.0 else middle
            guides[name] = [(t, 1.5 * float(anchor) * (t / at) ** power) for t in (first, last)]
    return Curves(
        f"Memory over the horizon, {plural(USUAL, 'hyperparameter')}",
        "horizon T: training steps",
        f"growth of the peak, MiB: {rows[0].memory}",
        points,
        guides,
    )


def _points(
    rows: Sequence[Cost], point: Callable[[Cost], tuple[float, float]]
) -> dict[str, list[tuple[float, float]]]:
    engines = dict.fromkeys(row.engine for row in rows)
    return {
        engine: sorted(
            (x, y) for x, y in (point(row) for row in rows if row.engine == engine) if y > 0
        )
        for engine in engines
    }


def _entries(
    panel: Curves, cost: Sequence[Cost], looks: dict[str, LineStyle], theme: Style
) -> list[Entry]:
    entries = []
    for engine, points in panel.points.items():
        look = looks.get(engine)
        line = look.line(1.9) if look else _faint(theme)
        ends = tuple(y for _, y in points[-1:])
        marker = look.points(5) if look else None
        entries.append(Entry(named(engine, cost), ends, line, marker, theme.text))
    for name, points in panel.guides.items():
        ends = (points[-1][1],)
        entries.append(Entry(name, ends, _dotted(theme), None, theme.faint))
    return entries


def _faint(theme: Style) -> dict:
    return {"color": theme.faint, "linewidth": 1.2, "linestyle": "-"}


def _dotted(theme: Style) -> dict:
    return {"color": theme.faint, "linewidth": 1.0, "linestyle": (0, (1, 2))}


def _draw_curves(axes: Axes, panel: Curves, looks: dict[str, LineStyle], theme: Style) -> None:
    axes.set_title(panel.title, loc="left", fontsize=11, fontweight="bold", pad=20)
    for points in panel.guides.values():
        axes.plot(*zip(*points, strict=True), **_dotted(theme))
    for engine, points in panel.points.items():
        if not points:
            continue
        look = looks.get(engine)
        across, upwards = zip(*points, strict=True)
        axes.plot(across, upwards, **(look.line(1.9) if look else _faint(theme)))
        if look:
            axes.plot(across, upwards, linestyle="none", clip_on=False, **look.points(5))
    every = [
        point for own in (panel.points, panel.guides) for each in own.values() for point in each
    ]
    low, high = min(y for _, y in every) / 1.25, max(y for _, y in every) * 1.25
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(panel.ends[0] / 1.08, panel.ends[1])
    axes.set_ylim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(sorted({x for x, _ in every})))
    axes.yaxis.set_major_locator(FixedLocator(log_ticks(low, high)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
    axes.set_xlabel(f"{panel.across} (log scale)")
    _name_upwards(axes, f"{panel.upwards} (log scale)")


def _draw_spread(
    axes: Axes, rows: Sequence[Spread], names: Sequence[str], style: StyleName, theme: Style
) -> None:
    """A line for each coefficient, the first on top; on it each engine's mean ± deviation."""
    axes.set_title(
        f"Hypergradient at the initial configuration of {rows[0].task}",
        loc="left",
        fontsize=11,
        fontweight="bold",
        pad=20,
    )
    engines = list(dict.fromkeys(row.engine for row in rows))
    draws = own_draws(rows)
    reach: list[float] = []
    for place, engine in enumerate(engines):
        own = [row for row in rows if row.engine == engine and math.isfinite(row.mean)]
        look = part_style(place, style)
        shift = 0.28 * (place - (len(engines) - 1) / 2)
        means = [row.mean for row in own]
        errors = [row.deviation if math.isfinite(row.deviation) else 0.0 for row in own]
        reach += [m + side * e for m, e in zip(means, errors, strict=True) for side in (-1, 1)]
        axes.errorbar(
            means,
            [names.index(row.coefficient) + shift for row in own],
            xerr=errors,
            fmt=look.marker,
            color=look.colour,
            markersize=4.5,
            linewidth=1.5,
            label=": ".join(filter(None, [named(engine, rows), draws.get(engine)])),
        )
    axes.axvline(0.0, color=theme.faint, linewidth=1.0, zorder=1.5)
    _set_signed(axes, reach)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    epochs = plural(rows[0].epochs, "epoch")
    _name_upwards(axes, f"mean ± standard deviation {over_draws(rows)}, {epochs}")
    below = BOTTOM / (ROW * (len(names) + 1))
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0.0, -below),
        borderaxespad=0.0,
        borderpad=0.0,
        ncols=len(engines),
        frameon=False,
    )


def _set_signed(axes: Axes, values: Sequence[float]) -> None:
    scale = regret_scale(values or [0.0, 1.0], math.nan, 0.0)
    note = ""
    if scale.kind == "symlog":
        axes.set_xscale("symlog", linthresh=scale.linear_below, linscale=0.5)
        note = f" (log scale; linear within ±{tick_text(scale.linear_below)})"
    axes.set_xlim(scale.low, scale.high)
    axes.xaxis.set_major_locator(FixedLocator(scale.ticks()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick_text(x)))
    axes.set_xlabel(f"derivative of the validation loss by the fraction of each range{note}")


def _name_upwards(axes: Axes, words: str) -> None:
    axes.set_ylabel(words, rotation=0, ha="left", va="bottom")
    axes.yaxis.set_label_coords(0, 1.03)


def _inches(text: str) -> float:
    size = matplotlib.rcParams["font.size"]
    return float(TextPath((0, 0), text, size=size).get_extents().width) / 72
