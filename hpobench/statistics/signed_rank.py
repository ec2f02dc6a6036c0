"""Wilcoxon's signed-rank statistic: exact tests, and the interval that comes from inverting them.

All that it assumes of the differences is that each is symmetric about the same centre, and that
they are independent; pairs of equal seeds give such differences whenever the two of a pair are
exchangeable but for a shift. Infinite differences are allowed: only signs and ranks count.

Hollander, Wolfe and Chicken, *Nonparametric Statistical Methods*, chapter 3.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hpobench.statistics.curves import Array


def p_value(differences: ArrayLike, groups: ArrayLike | None = None) -> float:
    """Two-sided p-value for differences symmetric about zero.

    Exact with ties too: the statistic is compared with its values under all 2^n choices of signs.
    Zeros take part in the ranking and then drop out (Pratt).

    Args:
        differences: (n,); may be infinite.
        groups: labels, (n,). Differences of one group may depend on each other in any way, and
            change their signs together: 2^groups choices.

    Returns:
        1 for nothing but zeros; NaN if any difference is.
    """
    d = np.asarray(differences, dtype=float)
    if np.isnan(d).any():
        return math.nan
    doubled = np.rint(2 * pd.Series(np.abs(d)).rank().to_numpy()).astype(int)
    signed = doubled * np.sign(d).astype(int)
    if groups is not None:
        signed = np.array([signed[members].sum() for members in _members(groups)])
    sizes = np.abs(signed)
    positive = int(sizes[signed > 0].sum())
    smaller = min(positive, int(sizes.sum()) - positive)
    tail = _distribution(tuple(sorted(sizes[sizes > 0].tolist())))[: smaller + 1].sum()
    return min(1.0, 2 * float(tail))


def _members(groups: ArrayLike) -> list[NDArray[np.bool_]]:
    """For each group, which places are its."""
    labels = np.asarray(groups)
    return [labels == label for label in np.unique(labels)]


def hodges_lehmann(values: ArrayLike, unknown: float = math.nan) -> float:
    """Hodges and Lehmann's estimate of the centre: the median of the Walsh averages.

    Args:
        values: (n,), n ≥ 1; may be infinite.
        unknown: what stands for the mean of −∞ and ∞.
    """
    with np.errstate(invalid="ignore"):
        median = float(np.median(_walsh(values, unknown)))
    return unknown if math.isnan(median) else median


def lower_limit(values: ArrayLike, confidence: float) -> float | None:
    """The lower end of the two-sided interval for the centre: a Walsh average.

    The k-th smallest, for the largest k that holds the level.

    Args:
        values: (n,); may be infinite, and the mean of −∞ and ∞ counts as −∞.
        confidence: of the two-sided interval.

    Returns:
        None for fewer values than can reach the level: six for 95 %.
    """
    averages = _walsh(values, unknown=-math.inf)
    below = _distribution(tuple(range(1, len(np.asarray(values)) + 1))).cumsum()
    k = int(np.searchsorted(below, (1 - confidence) / 2, side="right"))
    return None if k == 0 else float(np.sort(averages)[k - 1])


def _walsh(values: ArrayLike, unknown: float) -> Array:
    """The averages of all pairs, each value with itself too: shape (n(n + 1)/2,)."""
    x = np.asarray(values, dtype=float)
    first, second = np.triu_indices(len(x))
    with np.errstate(invalid="ignore"):
        averages = x[first] / 2 + x[second] / 2
    return np.where(np.isnan(averages), unknown, averages)


@lru_cache(maxsize=1024)
def _distribution(ranks: tuple[int, ...]) -> Array:
    """How probable each sum of a random half of integer ranks is: shape (sum of ranks + 1,)."""
    probability = np.zeros(sum(ranks) + 1)
    probability[0] = 1
    reached = 0
    for rank in ranks:
        taken = probability[: reached + 1] / 2
        probability[: reached + 1] /= 2
        reached += rank
        probability[rank : reached + 1] += taken
    return probability
