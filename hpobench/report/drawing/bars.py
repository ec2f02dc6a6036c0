"""Horizontal bars, one row for each searcher, and how the parts of a bar are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hpobench.report.drawing.labels import shortened, text_width
from hpobench.report.drawing.scale import tick_text
from hpobench.report.drawing.style import STYLES, Look, StyleName

WIDTH, ROW, TOP, BOTTOM, RIGHT = 8.8, 0.24, 0.62, 0.55, 0.2  # inches
PALE = 0.4
THICK = 0.62  # of a row


def rows_of_bars(
    names: Sequence[str], columns: int = 1, top: float = TOP
) -> tuple[Figure, list[Axes]]:
    """A figure with a row for each name, the first on top, and axes side by side over them."""
    shown = [shortened(name) for name in names]
    left = 0.25 + max(map(text_width, shown), default=0.0)
    height = ROW * max(len(names), 1)
    total = top + height + BOTTOM
    figure = Figure(figsize=(WIDTH, total))
    gap = 0.3
    width = (WIDTH - left - RIGHT - gap * (columns - 1)) / columns
    found = []
    for column in range(columns):
        box = ((left + column * (width + gap)) / WIDTH, BOTTOM / total)
        axes = figure.add_axes((*box, width / WIDTH, height / total), label=str(column))
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), shown if column == 0 else [""] * len(names))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(9 // columns, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick_text(x)))
        found.append(axes)
    return figure, found


def filled(place: int) -> tuple[int, bool]:
    """Which colour part number ``place`` of a whole has, and whether it is pale.

    Full colours come first, then pale ones.
    """
    colours = len(STYLES["light"].parts)
    return place % colours, place // colours % 2 == 1


def filling(place: int, style: StyleName) -> dict[str, Any]:
    """How matplotlib fills part number ``place`` of a whole."""
    colour, pale = filled(place)
    return _filling(STYLES[style].parts[colour], pale)


def searcher_filling(look: Look, style: StyleName) -> dict[str, Any]:
    """How matplotlib fills the areas of a searcher: pale where its line has dashes."""
    return _filling(STYLES[style].colours[look.colour], look.dash > 0)


def _filling(colour: str, pale: bool) -> dict[str, Any]:
    return {"facecolor": colour, "edgecolor": colour, "alpha": PALE if pale else 1.0}
