"""How figures look: a light and a dark palette, and one line style for each searcher.

Six colours that stay apart without red or green cones, each with a contrast of at least 3 to the
background; a dash pattern and a marker tell apart what colour alone would not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import matplotlib

StyleName: TypeAlias = Literal["light", "dark"]

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1, 1.2)), (0, (6, 1.4, 1, 1.4)))
"""As matplotlib names them, and in `PLOTLY_…` as Plotly does, in the same order."""

PLOTLY_MARKERS = (
    *("circle", "square", "triangle-up", "diamond", "triangle-down", "cross"),
    *("x", "star", "triangle-left", "triangle-right", "pentagon", "hexagon"),
)
PLOTLY_DASHES = ("solid", "8px,3.2px", "2px,2.4px", "12px,2.8px,2px,2.8px")


@dataclass(frozen=True)
class Style:
    """Colours of one theme."""

    background: str
    text: str
    faint: str
    grid: str
    lines: tuple[str, ...]

    @property
    def colours(self) -> dict[str, str]:
        """Every colour by its name, the same names in every theme."""
        lines = {f"line-{place}": colour for place, colour in enumerate(self.lines)}
        names = ("background", "text", "faint", "grid")
        return {name: getattr(self, name) for name in names} | lines


STYLES: dict[StyleName, Style] = {
    "light": Style(
        background="#ffffff",
        text="#1d2229",
        faint="#59626e",
        grid="#e3e6ea",
        lines=("#0072b2", "#9c2f00", "#00875c", "#97316f", "#a98c00", "#222222"),
    ),
    "dark": Style(
        background="#15181d",
        text="#e8eaed",
        faint="#a3abb6",
        grid="#2c323a",
        lines=("#4a9be8", "#f5a058", "#2f9a68", "#e884b9", "#f0e442", "#f2f2f2"),
    ),
}


@dataclass(frozen=True)
class LineStyle:
    """How the curves of one searcher are drawn."""

    colour: str
    dashes: Any
    marker: str

    def line(self, width: float) -> dict[str, Any]:
        return {"color": self.colour, "linestyle": self.dashes, "linewidth": width}

    def points(self, size: float) -> dict[str, Any]:
        return {
            "color": self.colour,
            "marker": self.marker,
            "markersize": size,
            "markeredgewidth": 0,
        }


def line_style(place: int, style: StyleName) -> LineStyle:
    """The style of a study's searcher number ``place``, counted from 0; all differ up to 12."""
    colours = STYLES[style].lines
    return LineStyle(
        colour=colours[place % len(colours)],
        dashes=DASHES[place // len(colours) % len(DASHES)],
        marker=MARKERS[place % len(MARKERS)],
    )


@contextmanager
def themed(style: StyleName) -> Iterator[Style]:
    """Matplotlib's settings while a figure is drawn or saved."""
    theme = STYLES[style]
    settings: dict[Any, Any] = {
        "font.family": "sans-serif",
        "font.size": 9,
        "figure.facecolor": theme.background,
        "savefig.facecolor": theme.background,
        "axes.facecolor": theme.background,
        "axes.edgecolor": theme.faint,
        "axes.labelcolor": theme.text,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.7,
        "text.color": theme.text,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.text,
        "ytick.labelcolor": theme.text,
        "text.parse_math": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "hpobench",
        "pdf.fonttype": 42,
        "path.simplify": False,
    }
    with matplotlib.rc_context(settings):
        yield theme
