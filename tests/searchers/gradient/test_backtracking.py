"""The way down: what is kept, what is taken back, and when a search has converged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchers.gradient.backtracking import SearchPath, advanced, converged, over_the_edge, typical
from searchers.gradient.outer_optimizers import (
    AdamDescent,
    GradientDescent,
    OuterState,
    SignDescent,
)

DOWN = np.array([1.0, -1.0])
OPTIMIZERS = [SignDescent(), AdamDescent(), GradientDescent()]


def start(outer) -> SearchPath:
    return SearchPath(outer.init(np.full(2, 0.5)))


@pytest.mark.parametrize("outer", OPTIMIZERS, ids=repr)
@given(losses=st.lists(st.sampled_from([1.0, 2.0, 3.9, 4.1, 1e9, np.inf, np.nan]), max_size=12))
def test_what_is_kept_is_below_the_edge(outer, losses) -> None:
    path = start(outer)
    for loss in losses:
        path = advanced(path, outer, loss, DOWN, 4.0)
        assert all(np.isfinite(held.loss) for held in path.kept)
        assert ((path.state.point >= 0) & (path.state.point <= 1)).all()


@pytest.mark.parametrize("outer", OPTIMIZERS, ids=repr)
def test_a_step_over_the_edge_is_taken_back_and_the_one_before_it(outer) -> None:
    path = start(outer)
    points = []
    for loss in (1.0, 0.9, 0.8):
        points.append(path.state.point)
        path = advanced(path, outer, loss, DOWN, 4.0)
    beyond = path.state
    path = advanced(path, outer, 100.0, -DOWN, 4.0)
    assert [held.loss for held in path.kept] == [1.0, 0.9]
    shortened = np.minimum(path.kept[-1].state.step, beyond.step) / 2
    moved = np.abs(path.state.point - points[1])
    assert (moved > 0).all()
    assert (moved <= shortened + 1e-12).all()
    assert (np.sign(points[1] - path.state.point) == DOWN).all()  # as its own derivative says


@pytest.mark.parametrize("outer", OPTIMIZERS, ids=repr)
def test_goes_back_to_the_first_point_and_no_further(outer) -> None:
    path = advanced(start(outer), outer, 1.0, DOWN, 4.0)
    for _ in range(5):
        before = path
        path = advanced(path, outer, np.inf, DOWN, 4.0)
        assert [held.loss for held in path.kept] == [1.0]
        away = [np.abs(p.state.point - 0.5).max() for p in (before, path)]
        assert away[1] < away[0]


def test_without_a_start_that_holds_it_follows_the_derivative_with_shorter_steps() -> None:
    path = advanced(start(SignDescent(0.1)), SignDescent(0.1), np.inf, DOWN, 4.0)
    np.testing.assert_allclose(path.state.point, [0.45, 0.55])
    assert path.kept == ()


@given(st.floats(-1e3, 1e3), st.floats(1.5, 10.0), st.floats(0.0, 3.0), st.floats(0.0, 1e3))
def test_the_edge_is_a_matter_of_differences(best, tolerance, over, shift) -> None:
    derivative = np.ones(1)
    limit = best + (tolerance - 1) * abs(best)
    assert not over_the_edge(limit - abs(best) * 1e-6 - 1e-9, derivative, best, tolerance)
    assert over_the_edge(limit + over + abs(best) * 1e-6 + 1e-9, derivative, best, tolerance)


def test_one_known_derivative_is_enough_to_go_on() -> None:
    assert not over_the_edge(1.0, np.array([np.nan, 1.0]), None, 4.0)
    assert over_the_edge(1.0, np.array([np.nan, np.inf]), None, 4.0)


def test_converged_asks_those_that_can_move() -> None:
    point, sign = np.array([0.5, 0.0, 1.0, 0.5]), np.array([1.0, 1.0, -1.0, 0.0])
    state = OuterState(point, np.array([0.005, 0.1, 0.1, 0.1]), sign)
    assert converged(state, 0.01)
    assert not converged(state, 0.004)
    assert not converged(state._replace(sign=np.array([1.0, -1.0, -1.0, 0.0])), 0.01)


def test_the_typical_derivative_hears_no_single_draw() -> None:
    draws = [np.array([1.0, np.nan, 1e9]), np.array([2.0, -3.0, -1.0]), np.array([9.0, -5, -2.0])]
    np.testing.assert_array_equal(typical(draws), [2.0, -4.0, -1.0])
    assert np.isnan(typical([np.array([np.nan])])[0])
