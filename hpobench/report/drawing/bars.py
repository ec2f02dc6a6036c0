"""Horizontal bars, one row for each searcher, and how the parts of a bar are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hpobench.report.drawing.labels import LONGEST, text_width
from hpobench.report.drawing.scale import tick_text
from hpobench.report.drawing.style import STYLES, StyleName

WIDTH, ROW, TOP, BOTTOM, RIGHT = 8.8, 0.24, 0.62, 0.55, 0.2  # inches
PALE = 0.4
THICK = 0.62  # of a row


def shortened(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


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


def filling(place: int, style: StyleName) -> dict[str, Any]:
    """How part number ``place`` of a bar is filled: full colours first, then pale ones."""
    colours = STYLES[style].lines
    colour = colours[place % len(colours)]
    pale = place // len(colours) % 2 == 1
    return {"facecolor": colour, "edgecolor": colour, "alpha": PALE if pale else 1.0}
