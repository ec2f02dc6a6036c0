"""Laws of the outer optimizers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from searchers.errors import SearcherError
from searchers.gradient.outer_optimizers import (
    AdamDescent,
    GradientDescent,
    OuterOptimizer,
    OuterState,
    SignDescent,
)

OPTIMIZERS: list[OuterOptimizer] = [
    SignDescent(),
    SignDescent(1.0),
    AdamDescent(),
    AdamDescent(1.0, (0.0, 0.0)),
    GradientDescent(),
]
every_optimizer = pytest.mark.parametrize("outer", OPTIMIZERS, ids=repr)
anything = st.floats(width=64) | st.sampled_from([1.8e308, -1e308, 5e-324, np.nan, np.inf])
moderate = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-6)


def vectors(elements: st.SearchStrategy[float], most: int = 15) -> st.SearchStrategy:
    return st.lists(arrays(float, 3, elements=elements), max_size=most)


def run(outer: OuterOptimizer, derivatives: list[np.ndarray], begin: float = 0.5) -> OuterState:
    state = outer.init(np.full(3, begin))
    for derivative in derivatives:
        state = outer.update(state, derivative)
    return state


@every_optimizer
@given(derivatives=vectors(anything))
def test_stays_in_the_cube_whatever_comes(outer, derivatives) -> None:
    state = outer.init(np.array([0.0, 0.5, 1.0]))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for derivative in derivatives:
            state = outer.update(state, derivative)
            assert ((state.point >= 0) & (state.point <= 1)).all()
            assert np.isfinite(state.step).all()
            assert all(np.isfinite(part).all() for part in state.memory)


@every_optimizer
@given(derivatives=vectors(moderate), power=st.integers(-900, 900))
def test_a_positive_factor_of_all_hypergradients_changes_nothing(outer, derivatives, power) -> None:
    plain = run(outer, derivatives)
    times = run(outer, [np.ldexp(derivative, power) for derivative in derivatives])
    np.testing.assert_allclose(times.point, plain.point, rtol=0, atol=1e-12)


@every_optimizer
@given(derivatives=vectors(moderate), gone=st.lists(st.booleans(), min_size=15, max_size=15))
def test_a_nan_is_as_if_the_step_had_not_been_for_that_coordinate(outer, derivatives, gone) -> None:
    """A coordinate that leads, so that no norm is another's."""
    with_nan, without = outer.init(np.full(1, 0.5)), outer.init(np.full(1, 0.5))
    for derivative, lost in zip(derivatives, gone, strict=False):
        before = with_nan
        with_nan = outer.update(with_nan, np.where(lost, np.nan, derivative[:1]))
        if lost:
            assert with_nan.point == before.point
        else:
            without = outer.update(without, derivative[:1])
    np.testing.assert_array_equal(with_nan.point, without.point)
    np.testing.assert_array_equal(with_nan.step, without.step)


@every_optimizer
@given(derivative=arrays(float, 3, elements=moderate))
def test_the_first_step_is_downhill_and_no_longer_than_said(outer, derivative) -> None:
    state = run(outer, [derivative])
    move = state.point - 0.5
    assert (move * derivative <= 0).all()
    assert (np.abs(move) <= outer.step * (1 + 1e-12)).all()
    if derivative.any():
        assert np.abs(move).max() == pytest.approx(min(outer.step, 0.5))


@every_optimizer
def test_finds_the_bottom_of_a_bowl(outer) -> None:
    if outer.step == 1.0:
        pytest.skip("steps as long as the range")
    bottom, state = np.array([0.2, 0.5, 0.9]), outer.init(np.full(3, 0.6))
    for _ in range(300):
        state = outer.update(state, np.array([1.0, 1e3, 1e-3]) * (state.point - bottom))
    adaptive = not isinstance(outer, GradientDescent)  # one learning rate for three curvatures
    atol = 2e-3 if adaptive else np.array([0.5, 1e-6, 0.5])
    assert (np.abs(state.point - bottom) < atol).all()


@given(arrays(float, 3, elements=st.floats(0, 1)), vectors(moderate))
def test_sign_descent_halves_on_flips_alone(point, derivatives) -> None:
    state = SignDescent().init(point)
    for derivative in derivatives:
        after = SignDescent().update(state, derivative)
        flipped = np.sign(derivative) * state.sign < 0
        np.testing.assert_array_equal(after.step, np.where(flipped, state.step / 2, state.step))
        np.testing.assert_array_equal(
            after.point, np.clip(state.point - after.step * np.sign(derivative), 0, 1)
        )
        state = after


def test_sign_descent_remembers_the_last_sign_over_nan_and_zero() -> None:
    outer = SignDescent(0.1)
    state = run(outer, [np.array([1.0, 1.0, 1.0]), np.array([np.nan, 0.0, -np.inf])])
    np.testing.assert_allclose(state.point, [0.4, 0.4, 0.45])
    assert outer.update(state, np.array([-1.0, -1.0, -1.0])).step.tolist() == [0.05, 0.05, 0.05]


@pytest.mark.parametrize(
    ("outer", "when", "highest"),
    [
        (AdamDescent(0.01), 1, 0.75),
        (AdamDescent(0.01), 5, 0.75),
        (GradientDescent(0.01), 0, 0.53),
        (GradientDescent(0.01), 5, 0.53),
    ],
    ids=repr,
)
def test_is_not_held_by_one_explosion(outer, when: int, highest: float) -> None:
    state = outer.init(np.array([0.9]))
    for step in range(40):
        state = outer.update(state, np.array([1e9 if step == when else 1.0]))
    assert 0.499 < state.point[0] < highest  # left to itself, 0.5


@pytest.mark.parametrize("outer", [AdamDescent(0.1), GradientDescent(0.1)], ids=repr)
def test_a_shortened_step_recovers_by_a_tenth(outer) -> None:
    state = outer.init(np.array([0.5]))
    state = state._replace(step=state.step / 2)
    steps = []
    for _ in range(9):
        state = outer.update(state, np.array([1e-3]))
        steps.append(float(state.step[0]))
    np.testing.assert_allclose(steps[:7], 0.05 * 1.1 ** np.arange(1, 8))
    assert steps[8] == 0.1


def test_gradient_descent_slows_as_the_derivative_shrinks() -> None:
    state = run(GradientDescent(0.1), [np.array([2.0, 0.0, -4.0]), np.array([1.0, 0.0, 0.0])])
    np.testing.assert_allclose(state.point, [0.5 - 0.05 - 0.1 * 1 / 1, 0.5, 0.6])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SignDescent(0.0),
        lambda: AdamDescent(2.0),
        lambda: AdamDescent(0.1, (0.9, 1.0)),
        lambda: GradientDescent(float("nan")),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(wrong) -> None:
    with pytest.raises(SearcherError) as caught:
        wrong()
    assert "\n" not in str(caught.value)
