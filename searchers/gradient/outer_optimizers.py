"""Outer optimizers: how a hypergradient moves the hyperparameters.

They work on the unit cube: fractions of each range in its own scale, so that the same step is
additive on a linear range and multiplicative on a log one. All are pure, and each makes the same
search whatever positive factor multiplies all hypergradients (within the limits of floats), so
that its settings need not know a task's losses.

A derivative that is NaN leaves its coordinate where it is, with all that is remembered of it, as
if this step had not been for it; whoever computed it reports it (the note ``nonfinite``). An
infinite one counts as the largest of its sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from searchers.errors import SearcherError
from searchers.settings import make_plain, number, pair

LARGEST = 1e300
"""Derivatives beyond it count as this: a few of them together still fit a float."""

OUTLIER, RECOVERY = 10.0, 1.1


class OuterState(NamedTuple):
    """Where a search stands, in the unit cube of D dimensions.

    Args:
        point: the fraction of each range, (D,).
        step: the step size of each, a fraction of the range too, (D,).
        sign: the last known sign of each derivative, (D,).
        memory: what else the optimizer remembers.
    """

    point: np.ndarray
    step: np.ndarray
    sign: np.ndarray
    memory: tuple[np.ndarray, ...] = ()


@runtime_checkable
class OuterOptimizer(Protocol):
    """A way to step; a frozen dataclass whose fields are its settings."""

    def init(self, point: np.ndarray) -> OuterState:
        """The state before the first step, at a point of shape (D,)."""

    def update(self, state: OuterState, derivative: np.ndarray) -> OuterState:
        """The state after one step against a derivative.

        Args:
            state: before. Who shortens its ``step`` gets shorter steps.
            derivative: by the fraction of each range, (D,), of any floats whatever.

        Returns:
            The state after; its point stays in the cube.
        """


@dataclass(frozen=True)
class SignDescent:
    """Steps against the sign of each derivative; a step size is halved when its sign flips.

    After Micaelli & Storkey (2021), section 4. Signs are compared with the last one that was known
    and not 0.

    Args:
        step: the first step of every hyperparameter, a fraction of its range.
    """

    step: float = 0.1

    def __post_init__(self) -> None:
        make_plain(self)
        number("an outer step, a fraction of the range,", self.step, 0.0, 1.0)

    def init(self, point: np.ndarray) -> OuterState:
        return _still(point, self.step)

    def update(self, state: OuterState, derivative: np.ndarray) -> OuterState:
        sign = np.sign(_finite(derivative))
        flipped = sign * state.sign < 0
        state = state._replace(step=np.where(flipped, state.step / 2, state.step))
        return _moved(state, sign, sign)


@dataclass(frozen=True)
class AdamDescent:
    """Adam (Kingma & Ba 2015), its moments those of the derivatives by fractions of the ranges.

    A derivative beyond ten times its own running root mean square counts as that: one explosion
    would otherwise fill the second moment, and hold the coordinate still for a hundred steps. A
    step size that was shortened recovers by a tenth with each step.

    Args:
        step: the step size, a fraction of every range.
        betas: the decay rates of the first and the second moment, in [0, 1).
    """

    step: float = 0.05
    betas: tuple[float, float] = (0.9, 0.99)

    def __post_init__(self) -> None:
        make_plain(self)
        number("an outer step, a fraction of the range,", self.step, 0.0, 1.0)
        pair("the betas of Adam", self.betas)
        if not all(0 <= beta < 1 for beta in self.betas):
            raise SearcherError(f"the betas of Adam are in [0, 1), not {self.betas}")

    def init(self, point: np.ndarray) -> OuterState:
        nothing = np.zeros(len(point))
        return _still(point, self.step, nothing, nothing, nothing)

    def update(self, state: OuterState, derivative: np.ndarray) -> OuterState:
        # The root of the second moment is kept, not its square, which would not fit a float.
        mean, size, count = state.memory
        known, finite = ~np.isnan(derivative), _finite(derivative)
        bounded = size > 0
        limit = OUTLIER * size[bounded] / _debias(self.betas[1], count[bounded]) ** 0.5
        finite[bounded] = np.clip(finite[bounded], -limit, limit)
        first, second = self.betas
        count = count + known
        mean = np.where(known, first * mean + (1 - first) * finite, mean)
        grown = np.hypot(second**0.5 * size, (1 - second) ** 0.5 * finite)
        size = np.where(known, grown, size)
        moving = known & (size > 0)
        move = np.zeros_like(mean)
        scale = size[moving] / _debias(second, count[moving]) ** 0.5
        move[moving] = mean[moving] / scale / _debias(first, count[moving])
        after = _moved(state, move, np.sign(finite))._replace(memory=(mean, size, count))
        return _recovered(after, self.step, known)


@dataclass(frozen=True)
class GradientDescent:
    """Plain gradient descent, its learning rate set by the derivatives themselves.

    The move is step · d / max(‖d‖, m), with ‖d‖ the largest of the D magnitudes and m the median
    of these norms so far (a running mean would be filled by one explosion): a derivative longer
    than that moves by ``step``, a shorter one by less. A step size that was shortened recovers by a
    tenth with each step.

    Args:
        step: the longest step, a fraction of every range.
    """

    step: float = 0.1

    def __post_init__(self) -> None:
        make_plain(self)
        number("an outer step, a fraction of the range,", self.step, 0.0, 1.0)

    def init(self, point: np.ndarray) -> OuterState:
        return _still(point, self.step, np.empty(0))

    def update(self, state: OuterState, derivative: np.ndarray) -> OuterState:
        finite, (norms,) = _finite(derivative), state.memory
        known = ~np.isnan(derivative)
        norm = float(np.abs(finite).max(initial=0.0))
        if norm == 0:
            return _recovered(state, self.step, known)
        norms = np.append(norms, norm)
        usual = float(np.sort(norms)[(len(norms) - 1) // 2])
        after = _moved(state, finite / max(norm, usual), np.sign(finite))
        return _recovered(after._replace(memory=(norms,)), self.step, known)


def _still(point: np.ndarray, step: float, *memory: np.ndarray) -> OuterState:
    return OuterState(point, np.full(len(point), step), np.zeros(len(point)), memory)


def _moved(state: OuterState, direction: np.ndarray, sign: np.ndarray) -> OuterState:
    """Against a direction, in units of the step sizes, inside the cube."""
    point = np.clip(state.point - state.step * direction, 0.0, 1.0)
    return state._replace(point=point, sign=np.where(sign != 0, sign, state.sign))


def _recovered(state: OuterState, full: float, known: np.ndarray) -> OuterState:
    longer = np.minimum(RECOVERY * state.step, full)
    return state._replace(step=np.where(known, longer, state.step))


def _finite(derivative: np.ndarray) -> np.ndarray:
    """A derivative that can be reckoned with: 0 where it is NaN."""
    return np.clip(np.nan_to_num(derivative, nan=0.0), -LARGEST, LARGEST)


def _debias(beta: float, count: np.ndarray) -> np.ndarray:
    """What a running mean that started at 0 is to be divided by after ``count`` terms."""
    return 1 - beta**count
