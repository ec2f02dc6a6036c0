"""Regret and its statistics, as pure functions of arrays.

Words: the *incumbent* is the best validation loss so far; *regret* is its test loss minus the
reference's on the same split, signed and never clipped; *normalised regret* divides by what the
default loses to the reference, so 1 is the default and 0 the reference.

NaN stands for "not measured" and is carried along: no function here skips it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

FEWEST_SEEDS_FOR_A_BAND = 5
CONFIDENCE = 0.95

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StepCurve:
    """A right-continuous step function: ``values[i]`` holds from ``times[i]`` until the next time.

    Args:
        times: (k,), k ≥ 1, ascending; of equal times the last one counts.
        values: (k,).
    """

    times: Array
    values: Array

    def __post_init__(self) -> None:
        times, values = (np.asarray(a, dtype=float) for a in (self.times, self.values))
        if times.ndim != 1 or times.shape != values.shape or len(times) == 0:
            raise ValueError(f"times {times.shape} and values {values.shape} are not both (k,)")
        if not (times[1:] > times[:-1]).all():
            if not (times[1:] >= times[:-1]).all():
                raise ValueError("times are not ascending")
            last_of_equals = np.append(times[1:] > times[:-1], True)
            times, values = times[last_of_equals], values[last_of_equals]
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)

    def at(self, grid: ArrayLike) -> Array:
        """The values at the points of a grid, of its shape; NaN before the first time."""
        index = np.searchsorted(self.times, np.asarray(grid, dtype=float), side="right") - 1
        return np.where(index < 0, np.nan, self.values[np.maximum(index, 0)])

    @property
    def last(self) -> float:
        """The value at the end."""
        return float(self.values[-1])


class Estimate(NamedTuple):
    """A mean over n seeds with its standard error, which is NaN for fewer than two."""

    mean: float
    standard_error: float
    n: int

    def interval(self) -> tuple[float, float] | None:
        """The 95 % t-interval, from five seeds on; None below."""
        if self.n < FEWEST_SEEDS_FOR_A_BAND:
            return None
        reach = t_quantile(self.n) * self.standard_error
        return self.mean - reach, self.mean + reach


def incumbents(losses: ArrayLike, eligible: ArrayLike | None = None) -> NDArray[np.int64]:
    """Which evaluations of a sequence became the incumbent when they arrived.

    An equal loss does not replace the incumbent.

    Args:
        losses: validation losses in order of arrival, (n,).
        eligible: which of them may, (n,); all, unless told.

    Returns:
        Ascending indices, (m,), m ≤ n; their losses fall strictly.
    """
    losses = np.asarray(losses, dtype=float)
    eligible = np.ones(len(losses), bool) if eligible is None else np.asarray(eligible, bool)
    candidates = np.where(eligible & ~np.isnan(losses), losses, np.inf)
    best_before = np.concatenate([[np.inf], np.minimum.accumulate(candidates)[:-1]])
    return np.flatnonzero(candidates < best_before)


def regret(test_loss: ArrayLike, reference: ArrayLike) -> Array:
    """How much higher a test loss is than the reference's; signed.

    Args:
        test_loss: of any shape.
        reference: the reference's mean test loss on the same split; the shapes broadcast.
    """
    return np.asarray(test_loss, dtype=float) - np.asarray(reference, dtype=float)


def normalised(regret: ArrayLike, default_regret: ArrayLike) -> Array:
    """Regret ÷ the default's regret.

    Args:
        regret: of any shape.
        default_regret: what the default loses to the reference; the shapes broadcast.

    Returns:
        1 for the default, 0 for the reference; NaN where the default does not lose.
    """
    lost = np.asarray(default_regret, dtype=float)
    return np.asarray(regret, dtype=float) / np.where(lost > 0, lost, np.nan)


def zero_tolerance(reference_draws: ArrayLike) -> float:
    """How far above the reference still counts as zero regret: the reference's standard error.

    That of the mean of its draws on the split, as a regret is measured from that mean. (A
    reference's own standard error is over splits, which a regret on one split does not have.)

    Args:
        reference_draws: the reference's test losses on one split, (k,); a single draw has no
            error.
    """
    draws = np.asarray(reference_draws, dtype=float)
    return float(standard_error(draws)) if len(draws) > 1 else 0.0


def time_to_target(curve: StepCurve, target: float) -> float | None:
    """When a curve came to at or below a target to stay.

    A target that was reached and lost again counts from the last crossing.

    Args:
        curve: regret, say, over a clock.
        target: a value of the curve.

    Returns:
        The time on the curve's clock; None if the curve ends above (censored).
    """
    above = np.flatnonzero(~(curve.values <= target))  # NaN is not below anything
    if len(above) == 0:
        return float(curve.times[0])
    if above[-1] == len(curve.values) - 1:
        return None
    return float(curve.times[above[-1] + 1])


def lowest_from(curve: StepCurve, others: Sequence[StepCurve]) -> float | None:
    """From when on a curve is below each of the others, to the end.

    Args:
        curve: over a clock, from 0 on.
        others: at least one, over the same clock.

    Returns:
        The time on the clock; None if one of the others ends at or below it.
    """
    grid = np.unique(np.concatenate([one.times for one in (curve, *others)]))
    ahead = curve.at(grid) - np.min([other.at(grid) for other in others], axis=0)
    return time_to_target(StepCurve(grid, ahead), math.nextafter(0.0, -1.0))


def estimate(values: ArrayLike) -> Estimate:
    """Mean and standard error over seeds.

    Args:
        values: one number for each seed, (n,).
    """
    values = np.asarray(values, dtype=float)
    mean = float(values.mean()) if len(values) else math.nan
    return Estimate(mean, float(standard_error(values)), len(values))


def standard_error(values: ArrayLike) -> Array:
    """Standard error of the mean over the first axis.

    Args:
        values: (n, …), seeds first.

    Returns:
        (…); NaN for n < 2.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(values.std(axis=0, ddof=1) / math.sqrt(len(values)))


def t_quantile(n: int, confidence: float = CONFIDENCE) -> float:
    """How many standard errors a two-sided t-interval of a mean reaches to each side.

    Args:
        n: over how many values the mean is, ≥ 2.
        confidence: how often the interval should cover the truth.
    """
    return float(stdtrit(n - 1, (1 + confidence) / 2))


class MeanCurve(NamedTuple):
    """The mean over seeds, and the ends of its 95 % t-interval at each time.

    The interval is None below five seeds.
    """

    mean: StepCurve
    band: tuple[StepCurve, StepCurve] | None


def mean_curve(curves: Sequence[StepCurve]) -> MeanCurve:
    """The mean over seeds, exact: it steps wherever one of the curves does.

    Args:
        curves: one for each seed, on one clock; the mean begins where the last of them does.
    """
    start = max(curve.times[0] for curve in curves)
    grid = np.unique(np.concatenate([curve.times for curve in curves]))
    grid = grid[grid >= start]
    values = np.array([curve.at(grid) for curve in curves])
    mean = values.mean(axis=0)
    if len(curves) < FEWEST_SEEDS_FOR_A_BAND:
        return MeanCurve(StepCurve(grid, mean), None)
    reach = t_quantile(len(curves)) * standard_error(values)
    band = StepCurve(grid, mean - reach), StepCurve(grid, mean + reach)
    return MeanCurve(StepCurve(grid, mean), band)
