import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from hpobench.statistics.aggregates import area_under, interquartile_mean, jackknife_interval
from hpobench.statistics.curves import StepCurve

numbers = st.floats(-100, 100)
lists = st.lists(numbers, min_size=1, max_size=30)
scales = st.floats(0.01, 100)


@st.composite
def curves(draw):
    values = draw(st.lists(numbers, min_size=1, max_size=12))
    gaps = draw(st.lists(st.floats(0.1, 5), min_size=len(values) - 1, max_size=len(values) - 1))
    return StepCurve(np.cumsum([0.0, *gaps]), np.array(values))


@given(lists, st.randoms())
def test_the_interquartile_mean_does_not_depend_on_the_order_or_the_shape(values, random):
    shuffled = random.sample(values, len(values))
    expected = pytest.approx(interquartile_mean(values), abs=1e-9)
    assert interquartile_mean(shuffled) == expected
    assert interquartile_mean([values]) == expected


@given(lists, numbers, scales)
def test_the_interquartile_mean_moves_and_scales_with_the_values(values, shift, scale):
    moved = shift + scale * np.array(values)
    assert interquartile_mean(moved) == pytest.approx(
        shift + scale * interquartile_mean(values), abs=1e-8
    )


@given(lists, numbers)
def test_the_interquartile_mean_of_a_symmetric_sample_is_its_centre(values, centre):
    above = np.abs(values)
    symmetric = centre + np.concatenate([above, -above])
    assert interquartile_mean(symmetric) == pytest.approx(centre, abs=1e-9)


@given(lists)
def test_the_interquartile_mean_lies_within_the_quartile_values(values):
    ordered = sorted(values)
    cut = len(ordered) // 4
    mean = interquartile_mean(values)
    assert ordered[cut] - 1e-9 <= mean <= ordered[-1 - cut] + 1e-9


@given(st.lists(numbers, min_size=4, max_size=30), st.integers(0, 29))
def test_one_extreme_value_moves_the_interquartile_mean_less_than_the_mean(values, place):
    moved = np.array(values)
    moved[place % len(values)] = 1e6
    by = abs(interquartile_mean(moved) - interquartile_mean(values))
    assert by < abs(moved.mean() - np.mean(values)) / 100


def test_interquartile_means_by_hand():
    assert interquartile_mean([1, 2, 3, 100]) == 2.5
    assert interquartile_mean([1000, 2, 6, 7, 0]) == 5
    assert interquartile_mean([[1, 9], [2, 3]]) == 2.5
    assert interquartile_mean([3]) == 3
    assert interquartile_mean([-math.inf, 1, 2, math.inf]) == 1.5
    assert math.isnan(interquartile_mean([1, 2, math.nan]))
    assert math.isnan(interquartile_mean([]))


@given(st.lists(numbers, min_size=5, max_size=20))
def test_the_jackknife_of_a_mean_is_the_t_interval(values):
    assume(np.std(values) > 1e-3)
    found = jackknife_interval(np.mean, values)
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert found.estimate == pytest.approx(np.mean(values))
    assert found.low == pytest.approx(expected.low, abs=1e-8)
    assert found.high == pytest.approx(expected.high, abs=1e-8)
    assert found.n == len(values)


def test_a_seed_is_left_out_of_all_tasks_at_once():
    values = np.random.default_rng(1).standard_normal((3, 8))
    together = jackknife_interval(np.mean, values)
    assert together == pytest.approx(jackknife_interval(np.mean, values.mean(axis=0)))
    assert jackknife_interval(np.mean, values.T, axis=0) == pytest.approx(together)


@given(st.integers(0, 1000), numbers, scales, st.randoms())
def test_an_interval_moves_with_its_values_and_not_with_their_order(number, shift, scale, random):
    values = np.random.default_rng(number).standard_normal((4, 6))
    order = random.sample(range(6), 6)
    found = jackknife_interval(interquartile_mean, values)
    moved = jackknife_interval(interquartile_mean, shift + scale * values[:, order])
    assert moved[:3] == pytest.approx([shift + scale * end for end in found[:3]], abs=1e-8)


def test_an_interval_is_not_known_below_five_seeds_or_with_a_missing_value():
    values = np.random.default_rng(2).standard_normal((2, 5))
    assert math.isfinite(jackknife_interval(interquartile_mean, values).low)
    few = jackknife_interval(interquartile_mean, values[:, :4])
    assert few.estimate == interquartile_mean(values[:, :4])
    assert np.isnan(few[1:3]).all()
    values[1, 3] = math.nan
    assert np.isnan(jackknife_interval(interquartile_mean, values)[:3]).all()


def test_the_interval_of_an_interquartile_mean_covers_the_truth():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        found = jackknife_interval(interquartile_mean, rng.standard_normal((4, 10)))
        covered += found.low <= 0 <= found.high
    assert 0.92 < covered / 400 < 0.98


@given(numbers, st.floats(0.1, 10), st.floats(0.1, 10), st.booleans())
def test_the_area_under_a_constant_is_the_constant(value, start, length, log):
    curve = StepCurve(np.array([0.0]), np.array([value]))
    assert area_under(curve, start, start + length, log) == pytest.approx(value)


@given(curves(), numbers, scales, st.booleans())
def test_the_area_moves_and_scales_with_the_curve(curve, shift, scale, log):
    moved = StepCurve(curve.times, shift + scale * curve.values)
    assert area_under(moved, 0.5, 20, log) == pytest.approx(
        shift + scale * area_under(curve, 0.5, 20, log), abs=1e-8
    )


@given(curves(), scales, st.booleans())
def test_the_area_does_not_depend_on_the_clocks_unit(curve, scale, log):
    slower = StepCurve(curve.times * scale, curve.values)
    assert area_under(slower, 0.5 * scale, 20 * scale, log) == pytest.approx(
        area_under(curve, 0.5, 20, log), abs=1e-6
    )


@given(curves(), st.floats(1, 10), st.booleans())
def test_two_parts_of_an_area_make_the_whole(curve, middle, log):
    length = (lambda a, b: math.log(b / a)) if log else (lambda a, b: b - a)
    parts = sum(
        area_under(curve, a, b, log) * length(a, b) for a, b in ((0.5, middle), (middle, 20))
    )
    whole = area_under(curve, 0.5, 20, log)
    assert parts / length(0.5, 20) == pytest.approx(whole, abs=1e-8)


@given(curves(), st.booleans())
def test_the_area_lies_between_the_lowest_and_the_highest_value(curve, log):
    area = area_under(curve, 0.5, 20, log)
    assert curve.values.min() - 1e-8 <= area <= curve.values.max() + 1e-8


def test_areas_by_hand():
    curve = StepCurve(np.array([0.0, 1.0, 10.0]), np.array([4.0, 2.0, 1.0]))
    assert area_under(curve, 0, 20) == pytest.approx((4 + 18 + 10) / 20)
    assert area_under(curve, 0.1, 100, log=True) == pytest.approx((4 + 2 + 1) / 3)
    assert area_under(curve, 2, 4) == 2
    assert area_under(curve, 10, 11) == 1


def test_an_area_before_the_curve_begins_is_not_known():
    late = StepCurve(np.array([1.0, 2.0]), np.array([1.0, math.nan]))
    assert math.isnan(area_under(late, 0.5, 1.5))
    assert area_under(late, 1, 2) == 1
    assert math.isnan(area_under(late, 1, 3))


@pytest.mark.parametrize(("start", "end", "log"), [(1, 1, False), (2, 1, True), (0, 1, True)])
def test_there_is_no_area_over_nothing(start, end, log):
    curve = StepCurve(np.array([0.0]), np.array([1.0]))
    with pytest.raises(ValueError, match="no area"):
        area_under(curve, start, end, log)
