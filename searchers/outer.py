"""Outer optimizers: how a hypergradient moves the hyperparameters.

They work on the unit cube: fractions of each range in its own scale, so that the same step is
additive on a linear range and multiplicative on a log one. All are pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from searchers.hypergradients.scaled import Scaled
from searchers.space import Flat, Float, Space


class SignState(NamedTuple):
    """A point of the unit cube, its step sizes, and the last signs; each of shape (D,)."""

    point: np.ndarray
    step: np.ndarray
    sign: np.ndarray


def sign_start(point: np.ndarray, first_step: float) -> SignState:
    return SignState(point, np.full(len(point), first_step), np.zeros(len(point)))


def sign_descent(state: SignState, derivative: np.ndarray) -> SignState:
    """One step against the sign of each derivative; a step size is halved when its sign flips.

    After Micaelli & Storkey (2021), section 4. A NaN moves nothing: the caller reports it.
    """
    sign = np.sign(np.nan_to_num(derivative, nan=0.0))
    step = np.where(sign * state.sign < 0, state.step / 2, state.step)
    point = np.clip(state.point - step * sign, 0.0, 1.0)
    return SignState(point, step, np.where(sign != 0, sign, state.sign))


SQUARABLE = 1e150
"""Derivatives beyond it, whose squares would overflow, count as this."""


OUTLIER = 10.0


class AdamState(NamedTuple):
    """A point of the unit cube with the moments of its derivatives; each of shape (D,)."""

    point: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    steps: int


def adam_start(point: np.ndarray) -> AdamState:
    return AdamState(point, np.zeros_like(point), np.zeros_like(point), 0)


def adam_descent(
    state: AdamState, derivative: np.ndarray, step: float, betas: tuple[float, float] = (0.9, 0.99)
) -> AdamState:
    """One step of Adam (Kingma & Ba 2015), clipped to the cube; non-finite entries count as 0.

    A derivative beyond ten times its own running root mean square counts as that: one explosion
    would otherwise fill the second moment, and hold the coordinate still for a hundred steps.
    """
    finite = np.nan_to_num(derivative, nan=0.0, posinf=0.0, neginf=0.0)
    finite = np.clip(finite, -SQUARABLE, SQUARABLE)
    if state.steps:
        usual = np.sqrt(state.square / (1 - betas[1] ** state.steps))
        limit = np.where(usual > 0, OUTLIER * usual, SQUARABLE)
        finite = np.clip(finite, -limit, limit)
    steps = state.steps + 1
    mean = betas[0] * state.mean + (1 - betas[0]) * finite
    square = betas[1] * state.square + (1 - betas[1]) * finite**2
    unbiased = mean / (1 - betas[0] ** steps)
    scale = np.sqrt(square / (1 - betas[1] ** steps))
    move = np.divide(unbiased, scale, out=np.zeros_like(mean), where=scale > 0)
    return AdamState(np.clip(state.point - step * move, 0.0, 1.0), mean, square, steps)


def over_the_edge(
    loss: float, derivative: np.ndarray, best: float | None, tolerance: float
) -> bool:
    """Whether an outer step went over the edge of stability, where hypergradients say nothing.

    That is: no finite loss, or no finite derivative, or a loss ``tolerance`` times the ``best``
    accepted one (as a difference, so that it makes sense for any sign; None if there is none).
    Against the best, not the last: else a few steps, each within the tolerance, climb over it.
    """
    if not np.isfinite(loss) or not np.isfinite(derivative).any():
        return True
    return best is not None and loss - best > (tolerance - 1) * abs(best)


def converged(state: SignState, last_step: float) -> bool:
    """Whether every coordinate that can still move has a step below ``last_step``.

    One that has no derivative, or that is pushed against a bound, cannot.
    """
    pinned = ((state.point <= 0) & (state.sign > 0)) | ((state.point >= 1) & (state.sign < 0))
    free = (state.sign != 0) & ~pinned
    return bool(np.all(state.step[free] < last_step))


def typical(derivatives: Sequence[np.ndarray]) -> np.ndarray:
    """The median over draws of each derivative, (draws, D) → (D,), of those that are finite.

    Near the edge of stability one draw's derivative can be 10⁵ times the others': a mean would
    hear it alone. NaN where no draw has a finite one.
    """
    stacked = np.stack(derivatives)
    finite = np.where(np.isfinite(stacked), stacked, np.nan)
    known = np.isfinite(finite).any(axis=0)
    result = np.full(stacked.shape[1], np.nan)
    result[known] = np.nanmedian(finite[:, known], axis=0)
    return result


def by_unit(space: Space, flat: Flat, derivative: Scaled) -> np.ndarray:
    """Derivatives by the values → derivatives by the fractions of their ranges, shape (D,)."""
    slopes = []
    for name, domain in space.scalars.items():
        assert isinstance(domain, Float)
        slopes.append(domain.unit_slope(float(flat[name])))
    return derivative.times(np.array(slopes)).values()
