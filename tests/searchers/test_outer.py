"""Laws of the outer optimizers and of schedules."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from searchers.hypergradients.scaled import scaled
from searchers.outer import adam_descent, adam_start, by_unit, sign_descent, sign_start
from searchers.space import Float, Space, Vector

finite = st.floats(-1e6, 1e6, allow_subnormal=False)
SPACE = Space(
    {
        "learning_rate": Vector(7, Float(1e-3, 3.0, log=True)),
        "momentum": Float(0.0, 0.99),
        "weight_decay": Float(1e-6, 3e-3, log=True),
    }
)
units = arrays(float, len(SPACE), elements=st.floats(0.001, 0.999))


@given(arrays(float, 5, elements=st.floats(0, 1)), st.lists(arrays(float, 5, elements=finite)))
def test_sign_descent_stays_in_the_cube_and_halves_on_flips_alone(point, derivatives) -> None:
    state = sign_start(point, 0.1)
    for derivative in derivatives:
        after = sign_descent(state, derivative)
        assert ((after.point >= 0) & (after.point <= 1)).all()
        flipped = np.sign(derivative) * state.sign < 0
        np.testing.assert_array_equal(after.step, np.where(flipped, state.step / 2, state.step))
        np.testing.assert_array_equal(
            after.point, np.clip(state.point - after.step * np.sign(derivative), 0, 1)
        )
        state = after


def test_sign_descent_does_not_move_on_nan_or_zero_and_remembers_the_last_sign() -> None:
    state = sign_descent(sign_start(np.full(3, 0.5), 0.1), np.array([1.0, 1.0, 1.0]))
    after = sign_descent(state, np.array([np.nan, 0.0, -1.0]))
    np.testing.assert_array_equal(after.point[:2], state.point[:2])
    assert sign_descent(after, np.array([-1.0, -1.0, -1.0])).step.tolist() == [0.05, 0.05, 0.05]


@given(st.lists(arrays(float, 3, elements=st.floats()), max_size=20))
def test_adam_descent_stays_in_the_cube_whatever_comes(derivatives) -> None:
    state = adam_start(np.full(3, 0.5))
    for derivative in derivatives:
        state = adam_descent(state, derivative, 0.1)
        assert ((state.point >= 0) & (state.point <= 1)).all()


def test_adams_first_step_has_the_step_size() -> None:
    after = adam_descent(adam_start(np.full(2, 0.5)), np.array([3.0, -1e-9]), 0.1)
    np.testing.assert_allclose(after.point, [0.4, 0.6])


@given(units)
def test_by_unit_is_the_chain_rule(u) -> None:
    flat = SPACE.from_unit(u)
    h = 1e-6
    for i, name in enumerate(SPACE.scalars):
        up, down = u.copy(), u.copy()
        up[i] += h
        down[i] -= h
        slope = (SPACE.from_unit(up)[name] - SPACE.from_unit(down)[name]) / (2 * h)
        unit = by_unit(SPACE, flat, scaled(np.eye(len(u))[i]))[i]
        np.testing.assert_allclose(unit, slope, rtol=1e-5)
