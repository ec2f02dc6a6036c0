"""A figure as SVG inside a page."""

from __future__ import annotations

import re

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from hpobench.report.figures.panel import Panel
from hpobench.report.figures.regret import figure_of
from hpobench.report.figures.style import STYLES, StyleName
from hpobench.report.figures.write import render
from hpobench.results.curves import Clock


def inline_svg(figure: Figure, prefix: str, label: str) -> Markup:
    """A figure in the light style as an `svg` element for a page, which gives it its colours.

    ``prefix`` starts every id, so that several figures do not clash. ``label`` is what a screen
    reader says. What is only for SVG files (prolog, metadata, page-wide style) is left out. Its
    colours are the variables of `colour_variables`: one drawing is enough for light and dark.
    """
    text = render(figure, "svg", "light").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    for reference in (' id="', "url(#", 'href="#'):
        text = text.replace(reference, reference + prefix)
    text = re.sub(r'style="[^"]*"', _with_variables, text)
    size = re.search(r'viewBox="[^"]*"', text)
    assert size is not None
    opening = (
        f'<svg {size[0]} role="img" aria-label="{escape(label)}"'
        ' style="stroke-linejoin: round; stroke-linecap: butt">'
    )
    return Markup(opening + text[text.index(">") + 1 :])


def inline_panel(panel: Panel, clock: Clock, prefix: str, label: str) -> Markup:
    """A panel's figure; see `inline_svg`."""
    return inline_svg(figure_of([panel], clock), prefix, label)


def colour_variables(style: StyleName) -> str:
    """The colours of a style as CSS variables."""
    return " ".join(f"--figure-{name}: {c};" for name, c in STYLES[style].colours.items())


_VARIABLES = {c: f"var(--figure-{name})" for name, c in STYLES["light"].colours.items()}


def _with_variables(attribute: re.Match[str]) -> str:
    return re.sub("#[0-9a-f]{6}", lambda colour: _VARIABLES[colour[0]], attribute[0])
