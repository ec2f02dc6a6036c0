"""Regret over the clock: what is drawn, the table beside it, and what a reader can change."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.report.drawing.panel import panel_of, panels_of
from hpobench.report.drawing.regret_panels import figure_of
from hpobench.report.drawing.regret_table import changes_of, regret_table, steps_for
from hpobench.report.drawing.source import FigureSource
from hpobench.report.figures import regret_figure
from hpobench.report.figures.regret import regret_figures
from hpobench.results.regret import step_curves
from hpobench.results.run import Results
from hpobench.results.schema import CLOCKS
from tests.hpobench.fake_run import Point, write_cell, write_run, write_study, write_yardsticks
from tests.hpobench.report.figures.text_boxes import TWELVE, boxes, check_apart

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
@pytest.mark.slow
def test_no_text_overlaps_another_or_leaves_the_figure(tmp_path, case):
    check_apart(partial(regret_figure, Results.load(write_run(tmp_path, **case))))


def texts_of(results, **options):
    return " | ".join(text for text, _ in boxes(regret_figure(results, **options)))


def test_a_figure_names_its_units_and_who_is_absent(tmp_path):
    case = CASES["eleven, two seeds, some absent"]
    texts = texts_of(Results.load(write_run(tmp_path, **case)))
    assert "seconds on the cell's clock; the budget ends at 60" in texts
    assert "regret: test cross-entropy above the reference" in texts
    assert "grid (0 of 2)" in texts
    assert "bohb (1 of 2)" in texts
    assert "thick: mean over seeds; thin: each seed; pale: other means (5 that end lowest" in texts


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


@pytest.mark.parametrize(("seeds", "lines", "bands"), [(1, 1, 0), (4, 4 + 1, 0), (5, 1, 1)])
def test_behind_the_mean_is_a_band_from_five_seeds_on_and_each_seed_below(
    tmp_path, seeds, lines, bands
):
    results = Results.load(write_run(tmp_path, searchers=("fds",), seeds=range(seeds)))
    (axes,) = regret_figure(results).axes
    assert sum(line.get_drawstyle() == "steps-post" for line in axes.lines) == lines
    assert len(axes.collections) == bands


def test_the_mean_is_over_complete_cells_and_looks_depend_on_the_study(tmp_path):
    results = Results.load(write_run(tmp_path, searchers=TWELVE, failed=["digits__grid__s0"]))
    panel = panel_of(results, "digits")
    assert [(d.look.number, d.planned, len(d.curves)) for d in panel.drawn[:3]] == [
        (0, 2, 2),
        (1, 2, 1),
        (2, 2, 2),
    ]


def test_of_many_searchers_the_five_that_end_lowest_are_in_front(tmp_path):
    panel = panel_of(Results.load(write_run(tmp_path, searchers=TWELVE)), "digits")
    ends = [drawn.mean.last for drawn in panel.ranked]
    assert ends == sorted(ends)
    assert len(ends) == 12
    assert panel.front == {drawn.searcher for drawn in panel.ranked[:5]}
    (axes,) = figure_of([panel]).axes
    steps = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    widths = [line.get_linewidth() for line in steps if line.get_alpha() is None]
    assert widths == [2.0] * 5  # and each of their two seeds is thin behind it
    assert len(steps) == 7 + 5 + 5 * 2


def test_few_searchers_are_all_in_front(tmp_path):
    panel = panel_of(Results.load(write_run(tmp_path, searchers=TWELVE[:6])), "digits")
    assert panel.front == {*TWELVE[:6]}


@given(st.integers(1, 100_000))
def test_a_page_of_many_curves_has_few_steps_of_each(curves):
    assert 8 <= steps_for(curves) <= 200
    assert curves * steps_for(curves) <= max(75_000, 8 * curves)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    searchers = ("fds", "random", "bohb")
    failed = ["digits__random__s1", "digits__random__s2"]
    write_run(folder, searchers=searchers, seeds=range(6), failed=failed)
    return Results.load(folder)


def table_of(results, at_most=200):
    panels = panels_of(results, [("digits", "incumbent"), ("digits", "in_hand")], CLOCKS)
    changes = changes_of(results, ["digits"])["digits"]
    return regret_table({(c, k): p for (_, c, k), p in panels.items()}, changes, at_most)


def test_the_table_of_regret_has_the_changes_of_complete_cells(run):
    seeds = table_of(run).query("line == 'seed'")
    complete = run.regret().query("status == 'complete'")
    assert len(seeds) == len(complete)
    for name in (*CLOCKS, "validation_loss", "test_loss"):
        assert seeds[name].to_numpy() == pytest.approx(complete[name].to_numpy(), rel=1e-4)
    assert seeds["evaluation"].isna().equals(seeds["hyperparameters"].isna())


def test_the_table_of_regret_has_means_on_each_clock_and_bands_from_five_seeds_on(run):
    means = table_of(run).query("line == 'mean'")
    assert set(means["searcher"]) == {"fds", "bohb", "random"}
    assert set(means.loc[means["low"].notna(), "searcher"]) == {"fds", "bohb"}
    assert np.all(means[list(CLOCKS)].notna().sum(axis=1) == 1)
    panel = panel_of(run, "digits", clock="steps")
    mine = means.query("searcher == 'fds' and curve == 'incumbent'").dropna(subset="steps")
    mean, (low, high) = panel.drawn[0].mean, panel.drawn[0].band
    for curve, name in ((mean, "value"), (low, "low"), (high, "high")):
        assert mine[name].to_numpy() == pytest.approx(curve.at(mine["steps"]), rel=1e-4)


def test_a_table_of_few_steps_keeps_where_curves_begin_and_end(run):
    whole, short = table_of(run), table_of(run, at_most=10)
    for table in (whole, short):
        means = table.query("line == 'mean' and searcher == 'fds' and curve == 'incumbent'")
        means = means.dropna(subset="seconds")
        assert means["seconds"].iloc[0] == 0
        assert means["value"].iloc[-1] == pytest.approx(
            panel_of(run, "digits").drawn[0].mean.last, rel=1e-4
        )
    assert len(short) < len(whole)


def test_panels_are_the_same_one_by_one_and_together(run):
    together = panels_of(run, [("digits", "in_hand")], CLOCKS)
    rows = run.regret().query("curve == 'in_hand' and status == 'complete' and searcher == 'fds'")
    for clock in CLOCKS:
        alone, other = (
            panel_of(run, "digits", "in_hand", clock),
            together["digits", "in_hand", clock],
        )
        assert (alone.end, alone.default, alone.quantity) == (
            other.end,
            other.default,
            other.quantity,
        )
        for seed, curve in step_curves(rows, clock).items():
            place = alone.drawn[0].seeds.index(seed)
            assert np.array_equal(alone.drawn[0].curves[place].values, curve.values)
    assert isinstance(run.regret(), pd.DataFrame)


def traces_of(results, when, kind="lines+markers"):
    """Of the first task's interactive drawing, those that belong to some choices."""
    plot = regret_figures(FigureSource(results))[0].interactive().as_json()
    return [
        trace
        for trace in plot["traces"]
        if trace["mode"] == kind and trace["meta"]["when"].items() >= when.items()
    ]


def test_the_interactive_drawing_has_every_change_of_every_seed(run):
    chosen = {"clock": "seconds", "curve": "incumbent", "lines": "seed"}
    changes = run.changes("digits", "fds")
    traces = [t for t in traces_of(run, chosen) if t["meta"]["of"] == "fds"]
    curves = step_curves(changes, "seconds", "regret")
    assert len(traces) == len(curves)
    for trace, curve in zip(traces, curves.values(), strict=True):
        assert trace["x"][:-1] == pytest.approx(curve.times, rel=1e-4)
        assert trace["x"][-1] == run.study["budget"]["amount"]
        pale, linear = trace["meta"]["variants"]
        assert (pale["when"], linear["when"]) == ({"weight": "pale"}, {"up": "linear"})
        assert linear["trace"]["y"][:-1] == pytest.approx(curve.values, rel=1e-4)


def test_the_interactive_drawing_has_the_mean_and_its_band(run):
    chosen = {"clock": "steps", "curve": "incumbent", "lines": "mean"}
    mean = panel_of(run, "digits", clock="steps").drawn[0].mean
    [trace] = [t for t in traces_of(run, chosen) if t["meta"]["of"] == "fds"]
    assert trace["x"][:-1] == pytest.approx(mean.times, rel=1e-4)
    assert trace["meta"]["variants"][1]["trace"]["y"][:-1] == pytest.approx(mean.values, rel=1e-4)
    edges = [t for t in traces_of(run, chosen, "lines") if t["meta"]["of"] == "fds"]
    low, high = (edge["meta"]["variants"][0]["trace"]["y"] for edge in edges)
    assert np.all(np.array(low) <= np.array(high))


def test_a_run_of_many_cells_has_a_trace_for_all_seeds_of_a_searcher(run, monkeypatch):
    chosen = {"clock": "seconds", "curve": "incumbent", "lines": "seed"}
    apart = [t for t in traces_of(run, chosen) if t["meta"]["of"] == "fds"]
    monkeypatch.setattr("hpobench.report.drawing.source.MOST_CELLS", 1)
    [together] = [t for t in traces_of(run, chosen) if t["meta"]["of"] == "fds"]
    assert together["x"] == [x for t in apart for x in (*t["x"], None)][:-1]
    assert together["text"] == [text for t in apart for text in (*t["text"], "")][:-1]
