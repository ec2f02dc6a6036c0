"""A figure as the content of a file."""

from __future__ import annotations

import io
from typing import Literal, TypeAlias

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from hpobench.report.drawing.style import StyleName, themed

Form: TypeAlias = Literal["png", "svg", "pdf"]
FORMS: tuple[Form, ...] = ("png", "svg", "pdf")


def render(figure: Figure, form: Form, style: StyleName) -> bytes:
    """A figure as PNG (200 dots per inch), SVG or PDF; the same bytes for the same numbers."""
    buffer = io.BytesIO()
    with themed(style):
        if form == "png":
            fast = {"compress_level": 3}  # three times as fast, and little larger
            FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=200, pil_kwargs=fast)
        elif form == "svg":
            FigureCanvasSVG(figure).print_figure(buffer, format="svg", metadata={"Date": None})
        else:
            undated = {"CreationDate": None}
            FigureCanvasPdf(figure).print_figure(buffer, format="pdf", metadata=undated)
    return buffer.getvalue()
