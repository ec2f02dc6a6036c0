import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.statistics.curves import (
    StepCurve,
    estimate,
    incumbents,
    lowest_from,
    mean_curve,
    normalised,
    regret,
    standard_error,
    t_quantile,
    time_to_target,
    zero_tolerance,
)

losses = st.floats(-100, 100)
sequences = st.lists(st.tuples(losses, st.booleans()), max_size=30)


@st.composite
def curves(draw):
    values = draw(st.lists(losses, min_size=1, max_size=12))
    gaps = draw(st.lists(st.floats(0, 5), min_size=len(values) - 1, max_size=len(values) - 1))
    return StepCurve(np.cumsum([0.0, *gaps]), np.array(values))


def split(sequence):
    return [loss for loss, _ in sequence], [eligible for _, eligible in sequence]


@given(sequences)
def test_the_incumbents_validation_loss_falls_strictly(sequence):
    values, eligible = split(sequence)
    found = incumbents(values, eligible)
    assert np.all(np.diff(found) > 0)
    assert np.all(np.diff(np.array(values)[found]) < 0)
    assert all(eligible[i] for i in found)


@given(sequences)
def test_the_incumbent_is_the_best_so_far_at_every_point(sequence):
    values, eligible = split(sequence)
    found = incumbents(values, eligible)
    for n in range(1, len(values) + 1):
        best = min((v for v, e in zip(values[:n], eligible[:n], strict=True) if e), default=None)
        current = [i for i in found if i < n]
        assert (values[current[-1]] if current else None) == best


@given(sequences, st.randoms())
def test_the_last_incumbents_loss_does_not_depend_on_the_order(sequence, random):
    shuffled = list(sequence)
    random.shuffle(shuffled)
    ends = []
    for order in (sequence, shuffled):
        values, eligible = split(order)
        found = incumbents(values, eligible)
        ends.append(values[found[-1]] if len(found) else None)
    assert ends[0] == ends[1]


def test_incumbents_by_hand():
    assert incumbents([3, 2, 2, 5, 1]).tolist() == [0, 1, 4]
    assert incumbents([3, 2, 2, 5, 1], [True, False, True, True, False]).tolist() == [0, 2]
    assert incumbents([math.nan, 2, math.nan, 1]).tolist() == [1, 3]
    assert incumbents([]).tolist() == []


def test_regret_is_signed_and_normalised_by_the_default():
    assert regret([0.3, 0.1, 0.05], 0.1) == pytest.approx([0.2, 0.0, -0.05])
    assert normalised([0.2, 0.0, -0.05], 0.2) == pytest.approx([1.0, 0.0, -0.25])
    assert np.isnan(normalised([0.2], 0.0)).all()
    assert np.isnan(normalised([0.2], -0.1)).all()


@given(curves(), st.floats(0, 80))
def test_a_step_curve_is_right_continuous(curve, time):
    held = [v for t, v in zip(curve.times, curve.values, strict=True) if t <= time]
    assert curve.at(time) == held[-1]
    assert curve.at(curve.times).tolist() == curve.values.tolist()


def test_of_equal_times_the_last_counts_and_before_the_first_nothing_is_known():
    curve = StepCurve(np.array([1.0, 2.0, 2.0]), np.array([9.0, 8.0, 7.0]))
    assert curve.at([1, 1.9, 2, 3]).tolist() == [9, 9, 7, 7]
    assert np.isnan(curve.at(0.5))
    with pytest.raises(ValueError, match="ascending"):
        StepCurve(np.array([1.0, 0.5]), np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="not both"):
        StepCurve(np.array([1.0]), np.array([1.0, 2.0]))


@given(curves(), losses)
def test_a_target_is_reached_when_it_is_kept(curve, target):
    time = time_to_target(curve, target)
    if time is None:
        assert curve.last > target
    else:
        assert np.all(curve.values[curve.times >= time] <= target)
        before = curve.values[curve.times < time]
        assert len(before) == 0 or before[-1] > target


@given(curves(), st.lists(curves(), min_size=1, max_size=4))
def test_from_then_on_a_curve_is_below_all_others(curve, others):
    time = lowest_from(curve, others)
    grid = np.unique(np.concatenate([one.times for one in (curve, *others)]))
    below = np.all([curve.at(grid) < other.at(grid) for other in others], axis=0)
    if time is None:
        assert not below[-1]
    else:
        assert below[grid >= time].all()
        assert not below[grid < time][-1:].any()  # nor is it just before


@given(curves(), losses, losses)
def test_an_easier_target_is_reached_no_later(curve, a, b):
    easy, hard = (time_to_target(curve, target) for target in (max(a, b), min(a, b)))
    assert hard is None or (easy is not None and easy <= hard)


def test_a_target_that_was_lost_again_counts_from_the_last_crossing():
    def reach(values, target=0.1):
        return time_to_target(StepCurve(np.arange(len(values)), np.array(values)), target)

    assert reach([1.0, 0.1, 0.5, 0.05, 0.02]) == 3
    assert reach([1.0, 0.1, 0.5]) is None
    assert reach([0.1, 0.05]) == 0
    assert reach([1.0, -0.2]) == 1
    assert reach([1.0, math.nan, 0.0]) == 2
    assert reach([1.0, 0.0, math.nan]) is None


@given(st.lists(curves(), min_size=1, max_size=6), st.floats(0, 80))
def test_the_mean_curve_is_the_mean_at_every_time(seeds, time):
    expected = np.mean([curve.at(time) for curve in seeds])
    assert mean_curve(seeds).mean.at(time) == pytest.approx(expected, abs=1e-9)


@given(st.lists(curves(), min_size=1, max_size=4))
def test_there_is_no_band_below_five_seeds(seeds):
    assert mean_curve(seeds).band is None
    assert estimate([curve.last for curve in seeds]).interval() is None


def test_a_band_by_hand():
    finals = [1.0, 2.0, 3.0, 4.0, 5.0]
    seeds = [StepCurve(np.array([0.0, 1.0]), np.array([7.0, final])) for final in finals]
    low, high = mean_curve(seeds).band
    reach = 2.7764451 * math.sqrt(2.5 / 5)  # the t-quantile with four degrees of freedom
    assert low.at([0, 1]) == pytest.approx([7, 3 - reach])
    assert high.at([0, 1]) == pytest.approx([7, 3 + reach])
    assert estimate(finals).interval() == pytest.approx((3 - reach, 3 + reach))
    assert t_quantile(6) == pytest.approx(2.5705818)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        low, high = estimate(rng.standard_normal(5)).interval()
        covered += low <= 0 <= high
    assert 0.935 < covered / 2000 < 0.965


def test_standard_errors():
    assert standard_error([1.0, 3.0]) == pytest.approx(1.0)
    assert standard_error([[1.0, 0.0], [3.0, 0.0]]) == pytest.approx([1.0, 0.0])
    assert np.isnan(standard_error([1.0]))
    empty = estimate([])
    assert math.isnan(empty.mean)
    assert math.isnan(empty.standard_error)
    assert empty.n == 0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_the_tolerance_is_the_standard_error_of_the_references_mean(draws):
    assert zero_tolerance(draws) == pytest.approx(float(standard_error(draws)))


def test_a_single_draw_has_no_tolerance():
    assert zero_tolerance([0.1]) == 0
