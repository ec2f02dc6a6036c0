"""A figure as the page holds it: a drawing for those without scripts, packed for the others."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from importlib.resources import files

from markupsafe import Markup

from hpobench.report.drawing.figure import RunFigure
from hpobench.report.drawing.inline import inline_svg
from hpobench.report.failures import Failure, attempted
from hpobench.results.csv_text import csv_of


@dataclass(frozen=True)
class PageFigure:
    """A figure, and what `page.html` shows of it.

    Args:
        figure: The figure.
    """

    figure: RunFigure

    @classmethod
    def drawn(cls, figure: RunFigure, static: bool) -> PageFigure | Failure:
        """A figure with all that the page shows of it, or why that cannot be drawn.

        ``static``: whether it is shown without scripts, too.
        """
        shown = cls(figure)
        made = attempted(figure.name, partial(shown._draw, static))
        if isinstance(made, Failure):
            place = {"section": figure.section, "heading": figure.heading, "task": figure.task}
            return replace(made, **place)
        return shown

    @property
    def section(self) -> str:
        return self.figure.section

    @property
    def heading(self) -> str:
        return self.figure.heading

    @property
    def task(self) -> str:
        return self.figure.task

    def _draw(self, static: bool) -> None:
        if self.packed and static:
            _ = self.svg

    @cached_property
    def svg(self) -> Markup:
        """Its static drawing; see `inline_svg`."""
        spoken = self.figure.spoken or self.figure.label
        return inline_svg(self.figure.static(), f"{self.figure.name}-", spoken)

    @cached_property
    def packed(self) -> Markup:
        """Its CSV, and what `page.js` draws; empty if there is nothing to draw but the caption."""
        if self.figure.interactive is None:
            return Markup()
        plot = self.figure.interactive().as_json()
        content = {"csv": self._csv.decode(), "label": self.figure.label, **plot}
        return packed(json.dumps(content, allow_nan=False, ensure_ascii=False).encode())

    @cached_property
    def hash(self) -> str:
        """The first 12 hexadecimal digits of the SHA-256 of its CSV file."""
        return hashlib.sha256(self._csv).hexdigest()[:12]

    @cached_property
    def _csv(self) -> bytes:
        return csv_of(self.figure.data)


@cache
def packed_plotly() -> Markup:
    """Plotly's library, as its Python package has it."""
    return packed((files("plotly") / "package_data" / "plotly.min.js").read_bytes())


def packed(content: bytes) -> Markup:
    """Compressed, as text that can stand in a page; the same for the same content."""
    return Markup(base64.b64encode(gzip.compress(content, 4, mtime=0)).decode())
