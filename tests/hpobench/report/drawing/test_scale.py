"""Scales, their ticks, and labels that stay apart."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.report.drawing.scale import (
    MOST_TICKS,
    log_ticks,
    loss_scale,
    one_two_five,
    regret_scale,
    spread,
    tick_text,
)

heights = st.lists(st.floats(0, 1), min_size=1, max_size=14)
values = st.lists(st.floats(-50, 50), min_size=1, max_size=20)


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
