"""A figure of the page: drawn for those without scripts, and as data for those with them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

from markupsafe import Markup

from hpobench.report.drawing.inline import inline_svg
from hpobench.report.drawing.style import DASHES, PLOTLY_DASHES, PLOTLY_MARKERS, STYLES
from hpobench.results.json_files import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG, drawn when it is asked for; see `inline_svg`.

    ``spoken``: what a screen reader says of it, the label unless told.
    """

    figure: Callable[[], Figure]
    prefix: str
    label: str
    spoken: str = ""

    @cached_property
    def svg(self) -> Markup:
        return inline_svg(self.figure(), self.prefix, self.spoken or self.label)


@dataclass(frozen=True)
class PageFigure:
    """``section``: where on the page it stands, and under which heading there.

    ``name``: of its file, unique on the page. ``drawing``: what is shown without scripts and in
    print, unless the page has too many of them. ``packed``: the data that it shows, and how
    `plots.js` draws them; empty if there is nothing to draw, and then there is but the caption.
    ``hash``: the first 12 hexadecimal digits of the SHA-256 of its CSV file.
    """

    section: str
    heading: str
    name: str
    caption: str
    drawing: Drawing
    packed: Markup
    hash: str


def page_figure(
    section: str,
    heading: str,
    name: str,
    label: str,
    caption: str,
    drawing: Drawing,
    csv: bytes,
    plot: Record | None,
) -> PageFigure:
    """See `PageFigure`. ``plot``: kind, controls and axes, as JSON; None if there is no plot."""
    content = {"csv": csv.decode(), "label": label, **(plot or {})}
    text = json.dumps(content, allow_nan=False, ensure_ascii=False)
    return PageFigure(
        section=section,
        heading=heading,
        name=name,
        caption=caption,
        drawing=drawing,
        packed=Markup() if plot is None else packed(text.encode()),
        hash=hashlib.sha256(csv).hexdigest()[:12],
    )


def control(name: str, legend: str, options: Iterable[tuple[str, str]], chosen: str) -> Record:
    """A choice that a reader has; ``options``: values and what they are called."""
    return {"name": name, "legend": legend, "options": [*options], "chosen": chosen}


def look(place: int) -> Record:
    """How a study's searcher number ``place`` looks, as `style.line_style` has it, for Plotly."""
    colours = len(STYLES["light"].lines)
    return {
        "colour": f"line-{place % colours}",
        "dash": PLOTLY_DASHES[place // colours % len(DASHES)],
        "symbol": PLOTLY_MARKERS[place % len(PLOTLY_MARKERS)],
    }


@cache
def packed_plotly() -> Markup:
    """Plotly's library, as its Python package has it."""
    return packed((files("plotly") / "package_data" / "plotly.min.js").read_bytes())


def packed(content: bytes) -> Markup:
    """Compressed, as text that can stand in a page; the same for the same content."""
    return Markup(base64.b64encode(gzip.compress(content, 4, mtime=0)).decode())
