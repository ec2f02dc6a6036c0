"""Colours and marks that can be told apart."""

import itertools

import matplotlib
import numpy as np
import pytest

from hpobench.report.drawing.style import STYLES, line_style


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


@pytest.mark.parametrize("style", STYLES)
def test_every_colour_stands_out_from_the_background(style):
    theme = STYLES[style]
    assert min(contrast(theme.background, line) for line in theme.lines) >= 3
    assert contrast(theme.background, theme.text) >= 7
    assert contrast(theme.background, theme.faint) >= 4.5


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("deficiency", DEFICIENCIES.values(), ids=DEFICIENCIES)
def test_the_colours_stay_apart_without_red_or_green_cones(style, deficiency):
    seen = [seen_by(colour, deficiency) for colour in STYLES[style].lines]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 20


def test_twelve_searchers_look_different():
    looks = [line_style(place, "light") for place in range(12)]
    assert len({look.marker for look in looks}) == 12
    assert len({(look.colour, str(look.dashes)) for look in looks}) == 12
