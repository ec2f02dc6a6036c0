import itertools
import math
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hpobench.report.drawing.panel import panel_of
from hpobench.report.drawing.scale import (
    MOST_TICKS,
    log_ticks,
    loss_scale,
    one_two_five,
    regret_scale,
    spread,
    tick_text,
)
from hpobench.report.drawing.style import line_style
from hpobench.report.figures import STYLES, regret_figure, write_figures
from hpobench.report.figures.write import FORMS, render, write_task_figures
from hpobench.results.run import Results
from tests.hpobench.fake_run import Point, write_cell, write_run, write_study, write_yardsticks

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

heights = st.lists(st.floats(0, 1), min_size=1, max_size=14)
values = st.lists(st.floats(-50, 50), min_size=1, max_size=20)


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


@given(heights, st.floats(0.01, 0.3))
def test_labels_are_apart_in_order_and_inside(wanted, gap):
    placed = spread(wanted, gap, 0.0, 1.0)
    room = min(gap, 1 / max(len(wanted) - 1, 1))
    ordered = [placed[i] for i in np.argsort(wanted, kind="stable")]
    assert np.all(np.diff(ordered) >= room - 1e-9)
    assert min(placed) >= -1e-9
    assert max(placed) <= 1 + 1e-9


@given(heights)
def test_labels_with_room_stay_where_they_are(wanted):
    distinct = sorted(set(wanted))
    gap = min(np.diff(distinct), default=1.0)
    assert spread(distinct, gap, 0.0, 1.0) == pytest.approx(distinct, abs=1e-9)


def test_labels_that_collide_share_the_room_evenly():
    assert spread([0.5, 0.5], 0.2, 0, 1) == pytest.approx([0.4, 0.6])
    assert spread([0.0, 0.0], 0.2, 0, 1) == pytest.approx([0.0, 0.2])
    assert spread([1.0, 0.9], 0.2, 0, 1) == pytest.approx([1.0, 0.8])
    assert spread([], 0.2, 0, 1) == []


@given(values, st.floats(0, 50) | st.just(math.nan), st.floats(0, 5) | st.just(math.nan))
def test_a_regret_scale_holds_all_values_and_zero(drawn, default, tolerance):
    scale = regret_scale(drawn, default, tolerance)
    assert scale.low <= min(0, *drawn)
    assert scale.high >= max(0, *drawn)
    ticks = scale.ticks()
    assert len(ticks) <= MOST_TICKS + 1
    assert ticks == sorted(ticks)
    if scale.kind == "symlog":
        assert 0.0 in ticks
        assert scale.linear_below > 0


@given(st.lists(st.floats(-5, 1e4), min_size=1, max_size=20))
def test_a_loss_scale_holds_all_values(drawn):
    scale = loss_scale(drawn)
    assert scale.low <= min(drawn)
    assert scale.high >= max(drawn)
    assert scale.kind == "linear" or min(drawn) > 0


@given(st.floats(1e-6, 1e6), st.floats(1.01, 1e9))
def test_a_log_axis_has_few_ticks_and_enough(low, ratio):
    ticks = log_ticks(low, low * ratio)
    assert len(ticks) <= MOST_TICKS
    assert len(ticks) >= 2
    assert all(low * 0.999 <= tick <= low * ratio * 1.001 for tick in ticks)


def test_numbers_on_axes():
    assert [one_two_five(x) for x in (0.0034, 0.0012, 0.8, 35, 0, 5e-324)] == [
        0.005,
        0.001,
        1,
        50,
        0,
        0,
    ]
    texts = [tick_text(x) for x in (0.005, -0.02, 0.0, 1000.0, 20000.0, 5e6)]
    assert texts == ["0.005", "−0.02", "0", "1000", "20k", "5M"]


def boxes(figure):
    """The texts of a figure with where they are, in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [t for t in figure.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text()]
    return [(t.get_text(), t.get_window_extent(renderer)) for t in texts]


CASES = {
    "two, one seed": {"searchers": TWELVE[:2], "seeds": [0]},
    "two, six seeds, two tasks": {
        "searchers": TWELVE[:2],
        "seeds": range(6),
        "tasks": ("digits", "fashion_mnist"),
    },
    "eleven, two seeds, some absent": {
        "searchers": TWELVE[:11],
        "seeds": [0, 1],
        "missing": ["digits__grid__s0", "digits__grid__s1"],
        "failed": ["digits__bohb__s1", "digits__hd__s0", "digits__hd__s1"],
    },
    "twelve, six seeds": {"searchers": TWELVE, "seeds": range(6)},
    "twelve, no reference": {
        "searchers": TWELVE,
        "seeds": [0],
        "without_reference": ["digits"],
    },
    "long names": {"searchers": ("a_searcher_with_" + "a_very_" * 5 + "long_name", "b")},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_no_text_overlaps_another_or_leaves_the_figure(tmp_path, case):
    figure = regret_figure(Results.load(write_run(tmp_path, **case)))
    placed = boxes(figure)
    width, height = figure.canvas.get_width_height()
    for text, box in placed:
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        assert inside, f"{text!r} leaves the figure"
    for (a, one), (b, other) in itertools.combinations(placed, 2):
        # A line of text is higher than its letters: two pixels of both may touch.
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        down = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert across <= 0 or down <= 2, f"{a!r} and {b!r} overlap"


def texts_of(results, **options):
    return " | ".join(text for text, _ in boxes(regret_figure(results, **options)))


def test_a_figure_names_its_units_and_who_is_absent(tmp_path):
    case = CASES["eleven, two seeds, some absent"]
    texts = texts_of(Results.load(write_run(tmp_path, **case)))
    assert "seconds on the cell's clock; the budget ends at 60" in texts
    assert "regret: test cross-entropy above the reference" in texts
    assert "grid (0 of 2)" in texts
    assert "bohb (1 of 2)" in texts
    assert "one line for each seed" in texts


def test_other_clocks_have_other_units(tmp_path):
    results = Results.load(write_run(tmp_path))
    steps = texts_of(results, clock="steps")
    assert "training steps: one forward and backward pass of one batch is 1" in steps
    assert "the budget ends" not in steps
    assert "slot-seconds" in texts_of(results, clock="slot_seconds")


def test_without_a_reference_the_figure_shows_the_test_loss(tmp_path):
    results = Results.load(write_run(tmp_path, without_reference=["digits"]))
    texts = texts_of(results)
    assert "no reference, so no regret" in texts
    assert "test cross-entropy of the incumbent" in texts
    assert "regret:" not in texts


def test_an_empty_run_says_so(tmp_path):
    results = Results.load(write_study(tmp_path))
    assert "Nothing to draw" in texts_of(results)


def test_a_curve_holds_until_the_end_and_keeps_a_beaten_reference(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    write_yardsticks(tmp_path, "digits", 0)
    write_cell(tmp_path, "digits", "fds", 0, [Point(5.0, 0.2, 0.2), Point(20.0, 0.1, 0.05)])
    (axes,) = regret_figure(Results.load(tmp_path)).axes
    (line,) = [drawn for drawn in axes.lines if drawn.get_drawstyle() == "steps-post"]
    assert line.get_xdata()[1:] == pytest.approx([5, 20, 60])
    assert line.get_ydata() == pytest.approx([0.2, 0.1, -0.05, -0.05])
    assert axes.get_ylim()[0] < -0.05


@pytest.mark.parametrize(("seeds", "lines", "bands"), [(4, 4, 0), (5, 1, 1)])
def test_there_is_a_band_from_five_seeds_on(tmp_path, seeds, lines, bands):
    results = Results.load(write_run(tmp_path, searchers=("fds",), seeds=range(seeds)))
    (axes,) = regret_figure(results).axes
    assert sum(line.get_drawstyle() == "steps-post" for line in axes.lines) == lines
    assert len(axes.collections) == bands


def test_the_mean_is_over_complete_cells_and_looks_depend_on_the_study(tmp_path):
    results = Results.load(write_run(tmp_path, searchers=TWELVE, failed=["digits__grid__s0"]))
    panel = panel_of(results, "digits")
    assert [(d.place, d.planned, len(d.curves)) for d in panel.drawn[:3]] == [
        (0, 2, 2),
        (1, 2, 1),
        (2, 2, 2),
    ]


@pytest.mark.slow
def test_the_same_numbers_give_the_same_files(tmp_path):
    results = Results.load(write_run(tmp_path))
    one, other = (render(regret_figure(results), "svg", "light") for _ in range(2))
    assert one == other
    assert b"seconds on the cell" in one  # text stays text
    names = [f"{name}.{form}" for name in ("regret", "ledger", "memory") for form in FORMS]
    assert [path.name for path in write_figures(results)] == names
    first = [(tmp_path / "figures" / name).read_bytes() for name in names]
    write_figures(results)
    assert [(tmp_path / "figures" / name).read_bytes() for name in names] == first
    write_figures(results, "steps")
    assert b"training steps: one forward" in (tmp_path / "figures" / "regret.svg").read_bytes()
    dark = render(regret_figure(results, style="dark"), "svg", "dark")
    assert b"#15181d" in dark
    assert b"#15181d" not in one


@pytest.mark.slow
def test_each_task_has_figures_of_its_own(tmp_path):
    run = write_run(tmp_path, tasks=("digits", "fashion"), without_reference=["fashion"])
    names = [path.name for path in write_task_figures(Results.load(run))]
    figures = (
        *("time-to-target-digits", "rank-digits", "rank-fashion", "outer-steps-digits"),
        *("parallel-digits", "outer-steps-fashion", "parallel-fashion"),
        *("critical-difference", "performance-profile", "timeline"),
    )
    assert names == [f"{name}.{form}" for name in figures for form in FORMS]
    assert b"%PDF" in (run / "figures" / "rank-digits.pdf").read_bytes()[:8]


@pytest.mark.slow
def test_drawing_leaves_no_trace_in_matplotlib(tmp_path):
    write_run(tmp_path)
    code = f"""
import matplotlib
from matplotlib._pylab_helpers import Gcf
before = dict(matplotlib.rcParams)
from hpobench.results.run import Results
from hpobench.report.figures import write_figures
write_figures(Results.load({str(tmp_path)!r}))
assert dict(matplotlib.rcParams) == before
assert not Gcf.get_all_fig_managers()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
