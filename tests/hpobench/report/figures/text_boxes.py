"""Where the texts of a static drawing are, and what all drawings have in common."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Set
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hpobench.report.drawing.figure import Draw
from hpobench.report.drawing.render import render
from hpobench.report.drawing.style import Look, looks_of


def black_boxes(*names: str) -> dict[str, Look]:
    """How searchers look, all of one family."""
    return looks_of([{"name": name, "kind": "black-box"} for name in names])


TWELVE = (
    "random",
    "grid",
    "bo_tpe",
    "bo_gp",
    "hyperband",
    "bohb",
    "bohb_published",
    "hd",
    "fds",
    "fds_published",
    "rmd",
    "default_cosine",
)


def boxes(figure: Figure) -> list[tuple[str, Any]]:
    """The texts of a figure with where they are, in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [t for t in figure.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text()]
    return [(t.get_text(), t.get_window_extent(renderer)) for t in texts]


def check_apart(draw: Draw) -> list[str]:
    """No text leaves the figure or lies over another; the texts."""
    figure = draw()
    placed = boxes(figure)
    width, height = figure.canvas.get_width_height()
    for text, box in placed:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, f"{text!r} leaves the figure"
    for (a, one), (b, other) in itertools.combinations(placed, 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        down = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert across <= 0 or down <= 2, f"{a!r} and {b!r} overlap"
    return [text for text, _ in placed]


def check_files(drawn: Mapping[str, Draw], said: Mapping[str, Set[str]]) -> None:
    """These files, each with these texts among others, legible, and the same each time."""
    assert list(drawn) == list(said)
    for name, draw in drawn.items():
        assert said[name] <= set(check_apart(draw)), name
        assert render(draw(), "svg", "light") == render(draw(), "svg", "light")
