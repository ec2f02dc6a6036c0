"""Axes that stay legible: which scale the values ask for, its ticks, and labels kept apart."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.ticker import MaxNLocator

MOST_TICKS = 10


@dataclass(frozen=True)
class Scale:
    """A vertical scale. ``linear_below``: where a symlog scale turns linear around zero."""

    kind: Literal["linear", "log", "symlog"]
    low: float
    high: float
    linear_below: float = math.nan

    @property
    def note(self) -> str:
        """What is said of it behind a quantity; nothing of a linear one."""
        if self.kind == "symlog":
            return f" (log scale; linear within ±{tick_text(self.linear_below)})"
        return " (log scale)" if self.kind == "log" else ""

    def placed(self, value: float) -> float:
        """Where a value is on the scale, in its units or, on a log scale, in decades."""
        if self.kind == "linear":
            return value
        if self.kind == "log":
            return math.log10(value)
        size = abs(value) / self.linear_below
        if size <= 1:
            return LINEAR_SHARE * value / self.linear_below
        return math.copysign(LINEAR_SHARE + math.log10(size), value)

    def ticks(self) -> list[float]:
        if self.kind == "linear":
            return [
                float(t)
                for t in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
            ]
        if self.kind == "log":
            return log_ticks(self.low, self.high)
        above = one_two_fives(self.linear_below, max(self.high, self.linear_below))
        below = one_two_fives(self.linear_below, max(-self.low, self.linear_below))
        while len(above) + len(below) > MOST_TICKS:  # each third of 1, 2, 5: a decade apart
            above, below = above[::3], below[::3]
        ticks = [*(-t for t in reversed(below)), 0.0, *above]
        return [t for t in ticks if self.low <= t <= self.high]


LINEAR_SHARE = 0.5  # of a decade, for each side of zero on a log scale of both signs


def regret_scale(values: Sequence[float], default: float, tolerance: float) -> Scale:
    """A scale for signed regret: log in both directions, linear around zero.

    It turns linear at 1 % of the default's regret, at what counts as zero, or at half the smallest
    regret, whichever is most: below, there is nothing worth a decade of paper. ``values``: all
    that is drawn; ``default``: its regret, NaN if unknown.
    """
    low, high = min(0.0, *values), max(0.0, *values)
    worth = default if default > 0 else max(high, -low)
    smallest = min((abs(v) for v in values if v), default=0.0)
    tolerance = tolerance if tolerance > 0 else 0.0
    linear_below = one_two_five(max(0.01 * worth, tolerance, 0.5 * smallest))
    if linear_below == 0 or max(high, -low) <= 5 * linear_below:
        low, high = min(low, -tolerance), max(high, tolerance)
        margin = 0.08 * ((high - low) or 1.0)
        return Scale("linear", low - margin, high + margin)
    room = max(-1.25 * low, 1.25 * tolerance, 0.2 * linear_below)
    return Scale("symlog", -room, 1.25 * max(high, linear_below), linear_below)


def loss_scale(values: Sequence[float]) -> Scale:
    """A scale for a loss: log if it is positive and spans more than a factor of five."""
    low, high = min(values), max(values)
    if low > 0 and high > 5 * low:
        return Scale("log", low / 1.15, high * 1.15)
    margin = 0.08 * ((high - low) or abs(high) or 1.0)
    return Scale("linear", low - margin, high + margin)


def one_two_five(value: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten, on a log scale; 0 for what is as good as 0."""
    if value < sys.float_info.min:  # a power of ten may be 0 down there
        return 0.0
    decade = 10.0 ** math.floor(math.log10(value))
    best = min((1, 2, 5, 10), key=lambda m: abs(math.log(value / (m * decade))))
    return float(f"{best * decade:.0e}")


def one_two_fives(low: float, high: float) -> list[float]:
    """The numbers 1, 2, 5 times a power of ten in [low, high], ascending."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{m}e{d}") for d in decades for m in (1, 2, 5)]
    return [t for t in ticks if low * (1 - 1e-9) <= t <= high * (1 + 1e-9)]


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a log axis: 1, 2, 5, …, powers of ten if those are many, even steps if few."""
    ticks = one_two_fives(low, high)
    if len(ticks) < 3:
        return [
            float(t)
            for t in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)
            if low <= t <= high
        ]
    if len(ticks) > MOST_TICKS:
        ticks = [t for t in ticks if f"{t:e}".startswith("1")]
    return ticks[:: math.ceil(len(ticks) / MOST_TICKS)]


def tick_text(value: float) -> str:
    """A number on an axis: short, with a true minus sign (0.005, −2, 50, 20k, 1M)."""
    size = abs(value)
    if size >= 1e6:
        text = f"{size / 1e6:g}M"
    elif size >= 1e4:
        text = f"{size / 1e3:g}k"
    else:
        text = f"{size:g}"
    return f"−{text}" if value < 0 else text


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions at least ``gap`` apart inside [low, high], as close as can be to those wanted.

    Least squares under the order of ``wanted``: blocks of labels that would overlap are pushed
    apart around their common mean. The gap shrinks if there is no room.
    """
    if not wanted:
        return []
    order = np.argsort(wanted, kind="stable")
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    offsets = gap * np.arange(len(wanted))
    blocks: list[tuple[float, int]] = []
    for target in np.asarray(wanted, dtype=float)[order] - offsets:
        mean, size = float(target), 1
        while blocks and blocks[-1][0] > mean:
            earlier, count = blocks.pop()
            mean, size = (earlier * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    level = np.repeat([mean for mean, _ in blocks], [size for _, size in blocks])
    placed = np.clip(level, low, high - offsets[-1]) + offsets
    result = np.empty(len(wanted))
    result[order] = placed
    return [float(position) for position in result]
