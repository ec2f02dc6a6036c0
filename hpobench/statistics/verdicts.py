"""Which searcher is better at a time declared beforehand, by paired seeds; lower is better.

NaN stands for "not measured": a difference that rests on it is not known, and says so.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import nctdtr, stdtr

from hpobench.statistics.curves import CONFIDENCE, Array, standard_error, t_quantile

FAMILY_ERROR = 0.05
MOST_SEEDS = 1000  # nobody runs more to separate two searchers
_LARGEST_T = 1000.0  # far beyond what a few pairs separate; the series does not converge for ever


class Difference(NamedTuple):
    """Mean of a − b over n pairs, the ends of its own interval, and the paired t-test's p.

    All but ``n`` (and, for one pair, the mean) are NaN if not known.
    """

    mean: float
    standard_error: float
    low: float
    high: float
    p: float
    n: int


@dataclass(frozen=True)
class Verdict:
    """One pair of searchers.

    ``difference``: first − second, over the seeds that both have; its interval and its p are this
    pair's alone. ``p``: adjusted for all pairs, NaN if not known. ``better``: the name of the one
    that is, None if the two are not separated.
    """

    first: str
    second: str
    difference: Difference
    p: float
    better: str | None


class MoreSeeds(NamedTuple):
    """How many more pairs: by the effect as observed, and by the ends of its interval.

    None means more than `MOST_SEEDS` in all: the effect is about zero.
    """

    more: int | None
    fewest: int | None
    most: int | None


def paired(a: ArrayLike, b: ArrayLike, confidence: float = CONFIDENCE) -> Difference:
    """The paired t-test of two searchers, lower is better.

    Differences that do not vary have an interval of no width: p is 1 if all are zero, else 0, since
    what no seed changes is not the seeds' doing (as between two searchers that do the same on every
    seed).

    Args:
        a: one value for each seed, (n,).
        b: as ``a``, in the same order of seeds.
        confidence: how often the interval should cover the truth.

    Returns:
        Not known (NaN) for n < 2 or where a value is NaN.
    """
    differences = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    if differences.ndim != 1:
        raise ValueError(f"differences {differences.shape} are not (seeds,)")
    n = len(differences)
    mean = float(differences.mean()) if n else math.nan
    error = float(standard_error(differences))
    if not math.isfinite(error):
        return Difference(mean, math.nan, math.nan, math.nan, math.nan, n)
    reach = t_quantile(n, confidence) * error
    return Difference(mean, error, mean - reach, mean + reach, _p_value(mean, error, n), n)


def holm(p_values: ArrayLike) -> Array:
    """Holm's adjusted p-values (1979).

    At most one family in twenty has a false one at or below 0.05, however its members depend on
    each other.

    Args:
        p_values: (m,). A NaN stays NaN and counts as a member: the family was declared before it
            was measured.

    Returns:
        Of the same shape.
    """
    # As `multipletests` of statsmodels, which collects garbage on every call: 0.1 s beside a run.
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values)  # NaN last
    stepped = p_values[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted


def verdicts(values: Mapping[str, ArrayLike], family_error: float = FAMILY_ERROR) -> list[Verdict]:
    """A verdict on every pair of searchers, in their order, adjusted for their number (Holm).

    Args:
        values: for each searcher one value for each seed, (seeds,), the same seeds in the same
            order, NaN where it has none.
        family_error: how often at most a study of equal searchers may call any of them better.
    """
    arrays = {name: np.asarray(of_seeds, dtype=float) for name, of_seeds in values.items()}
    if len({array.shape for array in arrays.values()}) > 1:
        raise ValueError("the searchers do not have the same seeds")
    pairs = list(itertools.combinations(arrays, 2))
    differences = [_over_common_seeds(arrays[first], arrays[second]) for first, second in pairs]
    adjusted = holm([difference.p for difference in differences]).tolist()
    return [
        Verdict(*pair, difference, p, _better(*pair, difference, p <= family_error))
        for pair, difference, p in zip(pairs, differences, adjusted, strict=True)
    ]


def seeds_to_separate(
    difference: Difference,
    power: float = 0.8,
    pairs: int = 1,
    family_error: float = FAMILY_ERROR,
) -> MoreSeeds | None:
    """How many more paired seeds would separate two searchers.

    So many that a new study of that size finds the difference with the given power, if the effect
    (mean ÷ standard deviation) is the one observed. That is a guess: ``fewest`` and ``most`` take
    the ends of the effect's 95 % interval for the true one. Adding seeds until a verdict falls
    makes false ones likelier than ``family_error``: declare the number, and let the new study
    decide.

    Args:
        difference: of the pair, as observed.
        power: how often the new study should separate them.
        pairs: of how many pairs of searchers the study gives verdicts.
        family_error: as in `verdicts`.

    Returns:
        None if nothing is known of the pair.
    """
    n = difference.n
    if math.isnan(difference.p):
        return None
    if difference.standard_error == 0:
        return MoreSeeds(0, 0, 0) if difference.mean else MoreSeeds(None, None, None)
    t = min(abs(difference.mean) / difference.standard_error, _LARGEST_T)
    weakest, strongest = _noncentralities(t, n)
    level = family_error / pairs

    def more(noncentrality: float) -> int | None:
        total = _pairs_needed(noncentrality / math.sqrt(n), level, power)
        return None if total is None else max(total - n, 0)

    return MoreSeeds(more(t), more(strongest), more(weakest))


def _p_value(mean: float, error: float, n: int) -> float:
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(mean) / error))


def _over_common_seeds(a: Array, b: Array) -> Difference:
    both = ~(np.isnan(a) | np.isnan(b))
    return paired(a[both], b[both])


def _better(first: str, second: str, difference: Difference, separated: bool) -> str | None:
    if not separated:
        return None
    return first if difference.mean < 0 else second


def _pairs_needed(effect: float, level: float, power: float) -> int | None:
    """The fewest pairs at which the two-sided paired t-test has the power; None if very many."""
    if _power(effect, MOST_SEEDS, level) < power:
        return None
    numbers = range(2, MOST_SEEDS)  # power grows with the number of pairs
    return 2 + bisect_left(numbers, power, key=lambda n: _power(effect, n, level))


def _power(effect: float, n: int, level: float) -> float:
    """Of the two-sided test, by its rejections on the effect's own side (≥ 0)."""
    noncentrality = effect * math.sqrt(n)
    return 1 - _below(t_quantile(n, confidence=1 - level), n, noncentrality)


def _noncentralities(t: float, n: int) -> tuple[float, float]:
    """The 95 % interval of the non-centrality behind |t| of n pairs, cut off at zero."""
    tail = (1 - CONFIDENCE) / 2

    def solve(excess: Callable[[float], float]) -> float:
        return float(brentq(excess, 0.0, 10 + 3 * t)) if excess(0.0) > 0 else 0.0

    weakest = solve(lambda noncentrality: tail - (1 - _below(t, n, noncentrality)))
    strongest = solve(lambda noncentrality: _below(t, n, noncentrality) - tail)
    return weakest, strongest


def _below(t: float, n: int, noncentrality: float) -> float:
    """How probably a non-central t of n pairs is below t; 0 where SciPy has NaN for next to it."""
    return float(np.nan_to_num(nctdtr(n - 1, noncentrality, t)))
