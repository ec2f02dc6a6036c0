"""Bands around a mean curve: at one time (pointwise), or for the whole curve (simultaneous).

NaN stands for "not measured" and is carried along: a time at which a seed has no value has no
band. ``benchmarks/calibration.py`` measures how often both kinds cover a known truth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from hpobench.statistics.curves import (
    CONFIDENCE,
    FEWEST_SEEDS_FOR_A_BAND,
    Array,
    standard_error,
)

_DRAWS = 3000  # the level of a simultaneous band is then right within 0.4 %
_SAME = 1e-9  # 1 − correlation² below which two columns are one
_ROUGHER = 4.0  # by how much the steps' variance is raised, over n − 1; see `_steps`


class Band(NamedTuple):
    """A mean curve and the ends of its band, each of shape (points,)."""

    mean: Array
    low: Array
    high: Array


def pointwise_band(values: ArrayLike, confidence: float = CONFIDENCE) -> Band | None:
    """The t-interval of the mean at each time by itself; None below five seeds.

    ``values``: shape (seeds, points), curves on a common grid. The mean of very skewed values is
    covered less often than it says: five lognormal ones of sigma 0.5, 92 % of the time; of sigma 1,
    82 %.
    """
    values = _checked(values)
    if len(values) < FEWEST_SEEDS_FOR_A_BAND:
        return None
    return _band(values, _t_quantile(len(values), confidence))


def simultaneous_band(values: ArrayLike, confidence: float = CONFIDENCE) -> Band | None:
    """A band that covers the whole mean curve with the given confidence; None below five seeds.

    ``values``: shape (seeds, points), curves on a common grid in order of time. The band reaches
    as many standard errors everywhere: the quantile of the largest |t| along curves of as many
    seeds, simulated as Gaussian Markov chains with the sample's own neighbour-to-neighbour
    correlations. (The whole correlation matrix of few seeds is singular, and its band too narrow;
    a studentised bootstrap reaches four times as far at five seeds.) Neighbours that are the same
    up to scale add nothing, so a finer grid over step curves changes nothing.

    It holds its level where what comes next depends on the present value, and a seed's values are
    not far from normal. It is too narrow for the running minimum of a search without noise (90 %
    for 95 %), for smooth curves, whose slope tells the future as well (91–95 %, less on a finer
    grid), and for skewed values (87–90 % for lognormal ones of sigma 0.5, 61–66 % of sigma 1).
    """
    values = _checked(values)
    if len(values) < FEWEST_SEEDS_FOR_A_BAND:
        return None
    return _band(values, _simultaneous_quantile(values, confidence))


def _checked(values: ArrayLike) -> Array:
    """The seeds in an order of their own: not even rounding depends on the one they came in."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 2:
        raise ValueError(f"values {values.shape} are not (seeds, points)")
    return values[np.lexsort(values.T[::-1])] if values.size else values


def _band(values: Array, quantile: float) -> Band:
    mean, reach = values.mean(axis=0), quantile * _errors(values)
    return Band(mean, mean - reach, mean + reach)


def _errors(values: Array) -> Array:
    """Standard errors, (points,): exactly zero where all seeds agree."""
    return np.where(np.all(values == values[0], axis=0), 0.0, standard_error(values))


def _t_quantile(n: int, confidence: float) -> float:
    return float(stdtrit(n - 1, (1 + confidence) / 2))


def _simultaneous_quantile(values: Array, confidence: float) -> float:
    """How many standard errors a band over all columns reaches.

    At least as far as over one column, at most as far as Bonferroni's over all of them.
    """
    n, errors = len(values), _errors(values)
    steps = _steps(values[:, np.isfinite(errors) & (errors > 0)])
    alone = _t_quantile(n, confidence)
    bonferroni = _t_quantile(n, 1 - (1 - confidence) / (len(steps) + 1))
    largest = _largest_t(steps, n)
    return max(alone, min(float(np.quantile(largest, confidence)), bonferroni))


def _steps(values: Array) -> Array:
    """The part of each column's variance that the column before does not explain.

    (n, points) → (m,), m < points; columns that are explained in full are left out. By simulation,
    the sample's own 1 − correlation² gives bands that cover 94 % where 95 % is meant: few seeds
    know it only so well, and losses are not quite normal. Twice as much at five seeds, and less
    the more there are, makes up for that.
    """
    rougher = 1 + _ROUGHER / (len(values) - 1)
    centred = values - values.mean(axis=0)
    directions = centred / np.linalg.norm(centred, axis=0)
    steps = 1 - np.sum(directions[:, 1:] * directions[:, :-1], axis=0) ** 2
    return np.asarray(np.minimum(rougher * steps[steps > _SAME], 1.0))


def _largest_t(steps: Array, n: int) -> Array:
    """Draws of the largest |t| of n seeds along Gaussian Markov chains, shape (_DRAWS,).

    ``steps``: the part of the variance that is new at each step, shape (m,). At each point t is
    the mean over the standard error of n curves. Rotated, these are one chain of unit variance
    and, apart from it, the squared length of n − 1 such chains. That is itself a Markov chain, as
    the first of them can be turned to lie along the vector so far.
    """
    rng = np.random.default_rng(0)

    def normal() -> Array:
        return rng.standard_normal(_DRAWS)

    mean, squares = normal(), 2 * rng.standard_gamma((n - 1) / 2, _DRAWS)
    largest = mean**2 / squares
    for kept, fresh in zip(np.sqrt(1 - steps), np.sqrt(steps), strict=True):
        mean = kept * mean + fresh * normal()
        along = kept * np.sqrt(squares) + fresh * normal()
        squares = along**2 + 2 * fresh**2 * rng.standard_gamma((n - 2) / 2, _DRAWS)
        np.maximum(largest, mean**2 / squares, out=largest)
    return np.asarray(np.sqrt((n - 1) * largest))
