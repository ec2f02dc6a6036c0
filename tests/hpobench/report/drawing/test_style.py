"""Colours and marks that can be told apart."""

import colorsys
import itertools

import matplotlib
import numpy as np
import pytest

from hpobench.report.drawing.style import STYLES, line_style, looks_of, part_style


def luminance(colour):
    channels = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(a, b):
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


DEFICIENCIES = {"none": None, "protanopia": (0.11238, 0.00401), "deuteranopia": (0.29275, -0.02234)}


def seen_by(colour, deficiency):
    """The colour in CIE L*a*b* as seen without red or green cones (Viénot, Brettel, Mollon)."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    if deficiency:
        share, blue = deficiency
        red, green, rest = linear
        yellow = share * red + (1 - share) * green
        linear = np.array([yellow, yellow, rest + blue * (red - green)])
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.clip(to_xyz @ linear / [0.9505, 1.0, 1.089], 0, None)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def palettes(style):
    """The colours that have to be told apart: of what is no searcher, and of searchers."""
    theme = STYLES[style]
    return theme.parts, [shade for shades in theme.families.values() for shade in shades]


@pytest.mark.parametrize("style", STYLES)
def test_every_colour_stands_out_from_the_background(style):
    theme = STYLES[style]
    assert min(contrast(theme.background, c) for colours in palettes(style) for c in colours) >= 3
    assert contrast(theme.background, theme.text) >= 7
    assert contrast(theme.background, theme.faint) >= 4.5


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("deficiency", DEFICIENCIES.values(), ids=DEFICIENCIES)
def test_the_colours_stay_apart_without_red_or_green_cones(style, deficiency):
    for colours in palettes(style):
        seen = [seen_by(colour, deficiency) for colour in colours]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 20


@pytest.mark.parametrize("style", STYLES)
def test_a_familys_shades_are_of_one_hue_and_no_search_is_grey(style):
    families = STYLES[style].families
    hues = {family: [hue(colour) for colour in shades] for family, shades in families.items()}
    assert all(saturation(colour) < 0.1 for colour in families["no search"])
    for family in ("black-box", "gradient-based"):
        assert max(hues[family]) - min(hues[family]) < 0.06, family
    assert abs(np.mean(hues["black-box"]) - np.mean(hues["gradient-based"])) > 0.3


def hue(colour):
    return colorsys.rgb_to_hsv(*matplotlib.colors.to_rgb(colour))[0]


def saturation(colour):
    return colorsys.rgb_to_hsv(*matplotlib.colors.to_rgb(colour))[1]


@pytest.mark.parametrize("family", STYLES["light"].families)
def test_twelve_searchers_of_a_family_look_different(family):
    """And of those without a search eight."""
    most = 8 if family == "no search" else 12
    looks = looks_of([{"name": str(place), "kind": family} for place in range(most)]).values()
    lines = [line_style(look, "light") for look in looks]
    assert len({line.marker for line in lines}) == most
    assert len({(line.colour, str(line.dashes)) for line in lines}) == most


def test_a_searchers_look_tells_its_family_and_its_place_there():
    kinds = ("black-box", "no search", "gradient-based", "black-box", "gradient-based")
    looks = looks_of([{"name": f"{i}", "kind": kind} for i, kind in enumerate(kinds)])
    assert [(look.family, look.number) for look in looks.values()] == [
        *(("black-box", 0), ("no search", 0), ("gradient-based", 0)),
        *(("black-box", 1), ("gradient-based", 1)),
    ]


def test_twelve_lines_that_are_no_searchers_look_different():
    looks = [part_style(place, "light") for place in range(12)]
    assert len({look.marker for look in looks}) == 12
    assert len({(look.colour, str(look.dashes)) for look in looks}) == 12
