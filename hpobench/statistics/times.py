"""Times to a target, censored where it was not reached, and how many times sooner one comes there.

A time is known as an interval: measured, it is a point; not reached by the end of the cell, it is
later than that end. Every estimate and every limit is computed from the lower ends and from the
upper ends; as it rises with each of them, what would have come without the censoring lies between
the two. So censoring can only widen an interval, and no cell is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

from hpobench.statistics.curves import (
    CONFIDENCE,
    FEWEST_SEEDS_FOR_A_BAND,
    Array,
    standard_error,
    t_quantile,
)
from hpobench.statistics.signed_rank import hodges_lehmann, lower_limit


@dataclass(frozen=True)
class Times:
    """When each seed reached a target, on one clock; a cell that was never measured is (0, ∞).

    Args:
        low: no sooner than this, (seeds,).
        high: no later than this, (seeds,).
    """

    low: Array
    high: Array

    def __post_init__(self) -> None:
        low, high = (np.asarray(a, dtype=float) for a in (self.low, self.high))
        if low.ndim != 1 or low.shape != high.shape or len(low) == 0:
            raise ValueError(f"low {low.shape} and high {high.shape} are not both (seeds,)")
        if not (np.all(low >= 0) and np.all(np.isfinite(low)) and np.all(low <= high)):
            raise ValueError("times are not intervals: 0 ≤ low ≤ high, low finite")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @classmethod
    def until(cls, times: Sequence[float | None], end: float | Sequence[float]) -> Times:
        """Times that were measured until the cells' ends.

        Args:
            times: one for each seed, None where the target was not reached by the end of its cell.
            end: that end, one for all seeds or one for each.
        """
        ends = np.broadcast_to(np.asarray(end, dtype=float), (len(times),))
        reached = [time is not None for time in times]
        known = np.array([math.nan if time is None else time for time in times], dtype=float)
        return cls(np.where(reached, known, ends), np.where(reached, known, math.inf))

    def __len__(self) -> int:
        return len(self.low)

    @property
    def censored(self) -> int:
        """How many seeds have no measured time."""
        return int(np.count_nonzero(self.low != self.high))


class MedianTime(NamedTuple):
    """The median over seeds: at least, and at most (∞: unknown), with its interval.

    The interval is None for fewer seeds than can give one: six for 95 %.
    """

    at_least: float
    at_most: float
    interval: tuple[float, float] | None
    n: int
    censored: int


class SpeedUp(NamedTuple):
    """How many times sooner; 1 is as soon, below 1 is later.

    ``at_least`` and ``at_most`` are one number, the estimate, unless censoring leaves it open:
    "at least 3" is (3, ∞), nothing known (0, ∞). The interval is None for fewer seeds than can
    give one: six for 95 %.
    """

    at_least: float
    at_most: float
    interval: tuple[float, float] | None
    n: int
    slow_censored: int
    fast_censored: int


class Crossover(NamedTuple):
    """From when on one is below the other to the end, with its interval.

    The upper end is ∞ where it is never significantly below. The interval is None below five seeds.
    """

    time: float
    interval: tuple[float, float] | None
    n: int


def median_time(times: Times, confidence: float = CONFIDENCE) -> MedianTime:
    """The time by which at least half of the seeds had come to the target.

    The interval's ends are order statistics, whose level is exact (binomial) for independent seeds
    whatever the distribution.

    Args:
        times: of all seeds; one that did not come to the target counts.
        confidence: how often the interval should cover the truth.
    """
    n = len(times)
    low, high = np.sort(times.low), np.sort(times.high)
    middle = math.ceil(n / 2) - 1
    k = int(np.searchsorted(bdtr(np.arange(n + 1.0), n, 0.5), (1 - confidence) / 2))
    interval = (float(low[k - 1]), float(high[n - k])) if k > 0 else None
    return MedianTime(float(low[middle]), float(high[middle]), interval, n, times.censored)


def speed_up(slow: Times, fast: Times, confidence: float = CONFIDENCE) -> SpeedUp:
    """How many times sooner one comes to a target than another, paired by seed.

    The Hodges–Lehmann estimate of the centre of log(slow ÷ fast) and the limits of the exact
    Wilcoxon signed-rank test, which assume that this log ratio is symmetric about its centre. Two
    times of zero are equally soon. The interval holds its level whatever the censoring, for which
    it pays in width: one slow time in ten, or three in twenty, leave its upper end at ∞.

    Args:
        slow: times of the one that is compared with.
        fast: times, on the same clock and seeds, of the one that may be sooner.
        confidence: how often the interval should cover the truth.
    """
    low, high = _log_ratio(slow, fast)
    at_least = hodges_lehmann(low, unknown=-math.inf)
    at_most = hodges_lehmann(high, unknown=math.inf)
    least, most = lower_limit(low, confidence), lower_limit(-high, confidence)
    interval = None if least is None or most is None else (_exp(least), _exp(-most))
    return SpeedUp(_exp(at_least), _exp(at_most), interval, len(slow), slow.censored, fast.censored)


def _log_ratio(slow: Times, fast: Times) -> tuple[Array, Array]:
    """Between what log(slow ÷ fast) lies, for each seed: shapes (seeds,)."""
    if len(slow) != len(fast):
        raise ValueError(f"{len(slow)} and {len(fast)} seeds are not pairs")

    def log(numerator: Array, denominator: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(numerator) - np.log(denominator)
        return np.where(np.isnan(ratio), 0.0, ratio)  # 0 ÷ 0: both were there at once

    return log(slow.low, fast.high), log(slow.high, fast.low)


def _exp(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(value))


def crossover(
    times: ArrayLike, a: ArrayLike, b: ArrayLike, confidence: float = CONFIDENCE
) -> Crossover | None:
    """From when on a's mean regret is below b's to the end.

    The interval inverts the paired t test at each point: it begins after b is significantly below
    a for the last time, and ends where a is significantly below b from there to the end. Many
    points are many chances to begin too late, which is little for curves that rarely move:
    simulated incumbents' were covered in 94 to 98 %.

    Args:
        times: (points,), ascending.
        a: regret, (seeds, points).
        b: as ``a``, paired by seed.
        confidence: how often the interval should cover the truth.

    Returns:
        None where a ends at or above b; where one is missing (NaN) at the end, so is the time.
    """
    times, a, b = (np.asarray(x, dtype=float) for x in (times, a, b))
    if a.shape != b.shape or a.shape[1:] != times.shape or a.size == 0:
        raise ValueError(f"a {a.shape} and b {b.shape} are not both (seeds, {len(times)})")
    difference = a - b
    n, points = difference.shape
    mean = difference.mean(axis=0)
    if np.isnan(mean[-1]):
        return Crossover(math.nan, None, n)
    from_then_on = _after_last(~(mean < 0))
    if from_then_on == points:
        return None
    if n < FEWEST_SEEDS_FOR_A_BAND:
        return Crossover(float(times[from_then_on]), None, n)
    reach = t_quantile(n, confidence) * standard_error(difference)
    begin = _after_last(mean - reach > 0)
    end = _after_last(~(mean + reach < 0))
    interval = (float(times[begin]), float(times[end]) if end < points else math.inf)
    return Crossover(float(times[from_then_on]), interval, n)


def _after_last(marked: NDArray[np.bool_]) -> int:
    """The index after the last marked one; 0 where none is."""
    return int(np.flatnonzero(marked)[-1]) + 1 if marked.any() else 0
