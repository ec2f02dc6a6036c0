"""The column right of a panel: label and legend in one, each name where its curves end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.textpath import TextPath

from hpobench.report.drawing.scale import spread

HEIGHT = 0.19  # inches, of one line
LEADER, SAMPLE, GAP = 0.2, 0.38, 0.07  # inches, from the curves' ends to the name
LONGEST = 28  # letters of a name


def shortened(name: str, longest: int = LONGEST) -> str:
    """At most so many letters of a name."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


@dataclass(frozen=True)
class Entry:
    """One name. ``ends``: where its curves end, in the panel's own values; none if there is none.

    ``line`` and ``marker`` are how a curve is drawn, as matplotlib's keywords.
    """

    name: str
    ends: tuple[float, ...]
    line: dict[str, Any]
    marker: dict[str, Any] | None
    text: str

    @property
    def shown(self) -> str:
        return shortened(self.name)


def width_of(entries: Sequence[Entry]) -> float:
    """Inches that the column needs."""
    names = [text_width(entry.shown) for entry in entries]
    return LEADER + SAMPLE + GAP + max(names, default=0.0) + 0.2


def text_width(text: str) -> float:
    """Inches that a text takes at the usual size."""
    return _points(text, matplotlib.rcParams["font.size"]) / 72


@cache  # the same names in every panel, and it takes milliseconds
def _points(name: str, size: float) -> float:
    return float(TextPath((0, 0), name, size=size).get_extents().width)


def height_of(entries: Sequence[Entry]) -> float:
    """Inches that the column needs."""
    return HEIGHT * len(entries)


def draw_labels(
    axes: Axes, entries: Sequence[Entry], end: float, size: tuple[float, float]
) -> None:
    """Draw the column; those without curves stand at the bottom. ``size``: the panel's, inches."""
    width, height = size
    present = [entry for entry in entries if entry.ends]
    absent = [entry for entry in entries if not entry.ends]
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = [
        [float(np.clip(to_axes.transform((end, value))[1], 0, 1)) for value in entry.ends]
        for entry in present
    ]
    gap = HEIGHT / height
    middles = [float(np.mean(heights)) for heights in ends]
    places = spread(middles, gap, gap * len(absent), 1.0)
    sample = 1 + LEADER / width
    name = sample + (SAMPLE + GAP) / width
    free: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    for entry, heights, place in zip(present, ends, places, strict=True):
        for start in heights:
            axes.plot([1, sample], [start, place], color=entry.line["color"], lw=0.6, **free)
        axes.plot([sample, sample + SAMPLE / width], [place, place], **entry.line, **free)
        if entry.marker:
            axes.plot([sample + 0.5 * SAMPLE / width], [place], **entry.marker, **free)
    for entry, place in zip(
        [*present, *reversed(absent)], [*places, *(gap * np.arange(len(absent)))], strict=True
    ):
        axes.text(name, place, entry.shown, va="center", color=entry.text, **free)
