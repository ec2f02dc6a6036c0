"""Curves of many steps, thinned, and numbers rounded as they print."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.report.drawing.downsampling import kept_steps, significant, thinned
from hpobench.statistics.curves import StepCurve

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
