"""A figure as SVG inside a page."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from hpobench.report.drawing.render import render
from hpobench.report.drawing.style import STYLES, StyleName


def inline_svg(figure: Figure, prefix: str, label: str) -> Markup:
    """A figure in the light style as an `svg` element for a page, which gives it its colours.

    ``prefix`` starts every id, so that several figures do not clash. ``label`` is what a screen
    reader says. What is only for SVG files (prolog, metadata, page-wide style) is left out. Its
    colours are the variables of `colour_variables`: one drawing is enough for light and dark.
    """
    return _inlined(render(figure, "svg", "light").decode(), prefix, label)


def inline_file(file: Path, prefix: str, label: str) -> Markup:
    """The same of a figure that `figure_files` has written."""
    return _inlined(file.read_text(encoding="utf-8"), prefix, label)


def _inlined(text: str, prefix: str, label: str) -> Markup:
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    for reference in (' id="', "url(#", 'href="#'):
        text = text.replace(reference, reference + prefix)
    text = re.sub(r'style="[^"]*"', _with_variables, text)
    text = re.sub(r"(?:\s*<use [^>]*/>){2,}", _alike, text)
    text = re.sub(r"\n\s*", "\n", text)
    text = re.sub(r' d="(M [^"CQ]*)"', _shortened, text)
    size = re.search(r'viewBox="[^"]*"', text)
    assert size is not None
    opening = (
        f'<svg {size[0]} role="img" aria-label="{escape(label)}"'
        ' style="stroke-linejoin: round; stroke-linecap: butt">'
    )
    return Markup(opening + text[text.index(">") + 1 :])


def colour_variables(style: StyleName) -> str:
    """The colours of a style as CSS variables."""
    return " ".join(f"--figure-{name}: {c};" for name, c in STYLES[style].colours.items())


_VARIABLES = {c: f"var(--figure-{name})" for name, c in STYLES["light"].colours.items()}


def _with_variables(attribute: re.Match[str]) -> str:
    return re.sub("#[0-9a-f]{6}", lambda colour: _variable(colour[0]), attribute[0])


def _variable(colour: str) -> str:
    if colour not in _VARIABLES:
        raise ValueError(f"{colour} is no colour of a style: draw it inside `style.themed`")
    return _VARIABLES[colour]


def _alike(uses: re.Match[str]) -> str:
    """Marks of a curve one after the other: what they share is said once."""
    styles = set(re.findall(r'style="[^"]*"', uses[0]))
    if len(styles) != 1:
        return uses[0]
    (style,) = styles
    places = re.sub(r"(\.\d)\d*", r"\1", uses[0].replace(" " + style, ""))
    return f"<g {style}>{places}</g>"


def _shortened(attribute: re.Match[str]) -> str:
    """A path of straight lines, relative and to tenths of a point: a fifth as long."""
    path, here = [], (0, 0)
    for command, x, y in re.findall(r"([MLz])(?: (\S+) (\S+))?", attribute[1]):
        if command == "z":
            path.append("z")
            continue
        there = round(10 * float(x)), round(10 * float(y))
        across, down = there[0] - here[0], there[1] - here[1]
        if command == "M":
            path.append(f"M{there[0] / 10:g} {there[1] / 10:g}")
        elif not down:
            path.append(f"h{across / 10:g}" if across else "")
        elif not across:
            path.append(f"v{down / 10:g}")
        else:
            path.append(f"l{across / 10:g} {down / 10:g}")
        here = there
    return f' d="{"".join(path)}"'
