"""The way down: outer steps that are taken back when they go over the edge of stability.

Beyond the edge a training diverges and its hypergradient says nothing of where to go; the only
thing to know is that the step was too long. None of this is in a paper that a searcher follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from searchers.gradient.outer_optimizers import OuterOptimizer, OuterState


class KeptStep(NamedTuple):
    """An outer step that was not taken back.

    Args:
        state: where it led.
        loss: the validation loss there.
        derivative: the hypergradient there, (D,).
    """

    state: OuterState
    loss: float
    derivative: np.ndarray


class SearchPath(NamedTuple):
    """The way of a search.

    Args:
        state: where it goes next.
        kept: the steps that it kept, in order.
    """

    state: OuterState
    kept: tuple[KeptStep, ...] = ()


def advanced(
    path: SearchPath, outer: OuterOptimizer, loss: float, derivative: np.ndarray, tolerance: float
) -> SearchPath:
    """The path after its state has been measured.

    Over the edge the last step is taken back, and the one before it too (it led here), and the
    search goes on from there with half the step sizes.

    Args:
        path: before.
        outer: how it steps.
        loss: the validation loss at the path's state.
        derivative: the hypergradient there, (D,).
        tolerance: see `over_the_edge`.
    """
    best = min((step.loss for step in path.kept), default=None)
    here = KeptStep(path.state, loss, derivative)
    if not over_the_edge(loss, derivative, best, tolerance):
        return SearchPath(outer.update(path.state, derivative), (*path.kept, here))
    kept = path.kept[:-1] if len(path.kept) > 1 else path.kept
    back = kept[-1] if kept else here
    shorter = np.minimum(back.state.step, path.state.step) / 2
    return SearchPath(outer.update(back.state._replace(step=shorter), back.derivative), kept)


def over_the_edge(
    loss: float, derivative: np.ndarray, best: float | None, tolerance: float
) -> bool:
    """Whether an outer step went where hypergradients say nothing.

    That is: no finite loss, or no finite derivative, or a loss ``tolerance`` times the ``best``
    kept one (as a difference, so that it makes sense for any sign; None if there is none).
    Against the best, not the last: else a few steps, each within the tolerance, climb over it.
    """
    if not np.isfinite(loss) or not np.isfinite(derivative).any():
        return True
    return best is not None and loss - best > (tolerance - 1) * abs(best)


def converged(state: OuterState, last_step: float) -> bool:
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
