"""How figures look: a light and a dark palette, and one line style for each searcher.

A searcher's colour tells its family: grey for no search, one hue for black boxes, another for
gradient-based ones. Within a family a shade, a dash pattern and a marker tell searchers apart. What
is no searcher has six other colours. All stay apart without red or green cones, and each
has a contrast of at least 3 to the background.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

FIRST_MARKER = {"no search": 8, "black-box": 0, "gradient-based": 4}
"""By family, so that markers tell families apart, too."""


@dataclass(frozen=True)
class Style:
    """Colours of one theme.

    Args:
        background, text, faint, grid: of a figure.
        parts: of what is no searcher: the parts of a whole, the engines of an audit.
        families: by family, the shades of its searchers' colour.
    """

    background: str
    text: str
    faint: str
    grid: str
    parts: tuple[str, ...]
    families: Mapping[str, tuple[str, ...]]

    @property
    def colours(self) -> dict[str, str]:
        """Every colour by its name, the same names in every theme; no two are the same colour."""
        names = ("background", "text", "faint", "grid")
        shades = {"part": self.parts, **self.families}
        return {name: getattr(self, name) for name in names} | {
            colour_name(of, number): colour
            for of, colours in shades.items()
            for number, colour in enumerate(colours)
        }


def colour_name(of: str, number: int) -> str:
    """What a style calls a colour: ``of`` a family, or a "part"."""
    return f"{of.replace(' ', '-')}-{number}"


STYLES: dict[StyleName, Style] = {
    "light": Style(
        background="#ffffff",
        text="#1d2229",
        faint="#59626e",
        grid="#e3e6ea",
        parts=("#0072b2", "#9c2f00", "#00875c", "#97316f", "#a98c00", "#222222"),
        families={
            "no search": ("#4d4d4d", "#8a8a8a"),
            "black-box": ("#1a60b5", "#4e97e4", "#052a66"),
            "gradient-based": ("#e8741f", "#b03a00", "#5f1200"),
        },
    ),
    "dark": Style(
        background="#15181d",
        text="#e8eaed",
        faint="#a3abb6",
        grid="#2c323a",
        parts=("#4a9be8", "#f5a058", "#2f9a68", "#e884b9", "#f0e442", "#f2f2f2"),
        families={
            "no search": ("#b8b8b8", "#7c7c7c"),
            "black-box": ("#66a6ee", "#2f72c0", "#bfdfff"),
            "gradient-based": ("#f58d45", "#c04c00", "#ffcf9e"),
        },
    ),
}


@dataclass(frozen=True)
class Look:
    """What tells a searcher apart in every figure.

    Args:
        family: What kind of searcher it is, as the study has it.
        number: Which of its family in the study, from 0; lines differ up to 12 of a family, then
            markers do.
    """

    family: str
    number: int

    @property
    def shade(self) -> int:
        return self.number % len(STYLES["light"].families[self.family])

    @property
    def colour(self) -> str:
        """By its name in every style."""
        return colour_name(self.family, self.shade)

    @property
    def dash(self) -> int:
        """Its place in `DASHES`."""
        return self.number // len(STYLES["light"].families[self.family]) % len(DASHES)

    @property
    def marker(self) -> int:
        """Its place in `MARKERS`: another where colours and dashes begin anew."""
        again = self.number // (len(STYLES["light"].families[self.family]) * len(DASHES))
        return (FIRST_MARKER[self.family] + self.number + again) % len(MARKERS)


Looks: TypeAlias = Mapping[str, Look]
"""By searcher, in the study's order."""


def looks_of(searchers: Sequence[Mapping[str, Any]]) -> dict[str, Look]:
    """How the searchers of a study look, by name and in its order; as ``study.json`` has them."""
    seen = dict.fromkeys(STYLES["light"].families, 0)
    looks = {}
    for searcher in searchers:
        family = searcher["kind"]
        looks[searcher["name"]] = Look(family, seen[family])
        seen[family] += 1
    return looks


@dataclass(frozen=True)
class LineStyle:
    """How the curves of one searcher are drawn by matplotlib."""

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


def line_style(look: Look, style: StyleName) -> LineStyle:
    """A look in a style."""
    return LineStyle(STYLES[style].colours[look.colour], DASHES[look.dash], MARKERS[look.marker])


def part_style(place: int, style: StyleName) -> LineStyle:
    """Of line number ``place`` of those that are no searchers', from 0; all differ up to 12."""
    colours = STYLES[style].parts
    dashes = DASHES[place // len(colours) % len(DASHES)]
    return LineStyle(colours[place % len(colours)], dashes, MARKERS[place % len(MARKERS)])


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
