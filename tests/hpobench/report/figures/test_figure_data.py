"""What the figures show, as tables: thinned, rounded, and the same as what the summary says."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.report.drawing.downsampling import kept_steps, significant, thinned
from hpobench.report.drawing.panel import panel_of, panels_of
from hpobench.report.drawing.regret_table import changes_of, regret_table, steps_for
from hpobench.results.regret import step_curves
from hpobench.results.run import Results
from hpobench.results.schema import CLOCKS
from hpobench.statistics.curves import StepCurve
from tests.hpobench.fake_run import write_run

times = st.lists(st.floats(0.001, 1e5), min_size=2, max_size=400, unique=True).map(sorted)


@given(times, st.integers(8, 200), st.floats(1, 2))
def test_a_thinned_curve_is_a_part_of_it_and_not_longer_than_told(times, at_most, beyond):
    end = beyond * times[-1]
    keep = kept_steps([0.0, *times], end, at_most)
    assert len(keep) <= at_most
    assert {0, 1, len(times)} <= set(keep.tolist())
    assert np.all(np.diff(keep) > 0)


@given(times, st.integers(8, 60))
def test_what_is_left_out_is_followed_closely_by_what_is_kept(times, at_most):
    """Within a stretch of the linear axis, and of the log one."""
    points = np.array([0.0, *times])
    keep = kept_steps(points, points[-1], at_most)
    stretches = (at_most - 3) // 2
    if len(points) <= at_most:
        assert len(keep) == len(points)
        return
    for place in np.setdiff1d(np.arange(len(points)), keep):
        after = points[keep[np.searchsorted(keep, place)]]
        assert after - points[place] <= points[-1] / stretches * (1 + 1e-9)
        ratio = (points[-1] / points[1]) ** (1 / stretches)
        assert after / points[place] <= ratio * (1 + 1e-9)


def test_a_curve_that_is_short_enough_stays_as_it_is():
    curve = StepCurve(np.arange(10.0), np.arange(10.0)[::-1])
    assert np.array_equal(thinned(curve, 20.0).times, curve.times)
    assert len(thinned(curve, 20.0, at_most=8).times) <= 8


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30))
def test_numbers_to_five_digits_print_so(values):
    for value, short in zip(values, significant(values).tolist(), strict=True):
        if not math.isfinite(value) or abs(value) < 1e-15:
            assert short == value or math.isnan(value)
        elif abs(value) < 1e15:
            assert short == pytest.approx(value, rel=1e-4)
            assert repr(short) == repr(float(f"{short:.5g}"))


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


def test_the_table_of_regret_has_means_on_each_clock_and_none_below_five_seeds(run):
    means = table_of(run).query("line == 'mean'")
    assert set(means["searcher"]) == {"fds", "bohb"}
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
