"""A figure as SVG inside a page."""

from __future__ import annotations

import re

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from hpobench.report.figures.style import StyleName
from hpobench.report.figures.write import render


def inline_svg(figure: Figure, style: StyleName, prefix: str, label: str) -> Markup:
    """The figure as an `svg` element that stands on its own in a page.

    ``prefix`` starts every id, so that several figures do not clash. ``label`` is what a screen
    reader says. What is only for SVG files (prolog, metadata, page-wide style) is left out.
    """
    text = render(figure, "svg", style).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = text.replace("url(#", f"url(#{prefix}").replace('href="#', f'href="#{prefix}')
    size = re.search(r'viewBox="[^"]*"', text)
    assert size is not None
    opening = (
        f'<svg {size[0]} role="img" aria-label="{escape(label)}"'
        ' style="stroke-linejoin: round; stroke-linecap: butt">'
    )
    return Markup(opening + text[text.index(">") + 1 :])
