"""Curves of many steps, drawn with no more of them than a screen can show."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hpobench.statistics.curves import StepCurve

MOST_STEPS = 200
DIGITS = 5


def kept_steps(times: ArrayLike, end: float, at_most: int = MOST_STEPS) -> NDArray[np.int64]:
    """Which steps of a curve to draw until ``end``: their indices, ascending, at most ``at_most``.

    ``times``: shape (k,), ascending. All of them if they are few enough. Else the first two, the
    last, and the last one in each of a number of equal stretches of the axis, half of them on a
    linear axis and half on a log one: a step that is kept is exact, and one that is left out is
    followed by a kept one too close to be told from it.
    """
    times = np.asarray(times, dtype=float)
    if len(times) <= at_most:
        return np.arange(len(times))
    stretches = max((at_most - 3) // 2, 1)
    first, last = max(times[1], np.finfo(float).tiny), max(end, times[-1])
    linear = np.linspace(times[0], last, stretches + 1)
    log = np.geomspace(first, last, stretches + 1)
    keep = np.zeros(len(times), bool)
    keep[[0, 1, -1]] = True
    for edges in (linear, log):
        stretch = np.searchsorted(edges[1:-1], times, side="right")
        keep[:-1] |= stretch[1:] != stretch[:-1]
    return np.flatnonzero(keep)


def thinned(curve: StepCurve, end: float, at_most: int = MOST_STEPS) -> StepCurve:
    """The curve with the steps of `kept_steps` alone."""
    keep = kept_steps(curve.times, end, at_most)
    return StepCurve(curve.times[keep], curve.values[keep])


def rounded(table: pd.DataFrame, digits: int = DIGITS) -> pd.DataFrame:
    """The table with its floating-point numbers to so many significant digits."""
    floats = table.select_dtypes("float").columns
    return table.assign(**{name: significant(table[name], digits) for name in floats})


def significant(values: ArrayLike, digits: int = DIGITS) -> NDArray[np.float64]:
    """The nearest numbers of so many significant decimal digits; the shape is kept.

    They print so: a whole number divided, or multiplied, by an exact power of ten. What is nearer
    to zero than 1e-15, or beyond 1e15, stays as it is.
    """
    values = np.asarray(values, dtype=float)
    fine = (np.abs(values) >= 1e-15) & (np.abs(values) < 1e15)
    size = np.where(fine, np.abs(values), 1.0)
    decimals = digits - 1 - np.floor(np.log10(size)).astype(int)
    up, down = 10.0 ** np.maximum(decimals, 0), 10.0 ** np.maximum(-decimals, 0)
    return np.where(fine, np.round(np.where(fine, values, 0.0) * up / down) / up * down, values)
