"""How many times sooner the lowest searcher came to a target, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpobench.report.clocks import CLOCKS
from hpobench.results.paired import times_to
from hpobench.results.targets import TARGET_WORDS
from hpobench.statistics.times import SpeedUp, speed_up
from hpobench.text import listed, number

if TYPE_CHECKING:
    from hpobench.results.regret import Clock
    from hpobench.results.run import Results

PREFERENCE = ("1_percent", "10_percent")
"""Targets, of which the first that it reached on most seeds is told."""


def sooner(
    results: Results, task: str, lowest: str, others: Sequence[str], clock: Clock = "seconds"
) -> str:
    """How many times sooner than each of the others; empty without a reference, or if it is late.

    And below five seeds, which are too few for an interval.

    A seed on which a target was not reached counts as later than its end: then a factor is said
    to be at least so many.
    """
    for target in PREFERENCE:
        times = times_to(results, task, target, clock)
        if times is None or not others or 2 * times[lowest].censored >= len(times[lowest]):
            continue
        factors = {other: speed_up(times[other], times[lowest]) for other in others}
        known = [
            f"{factor_of(f.at_least, f.at_most, f.interval)} than {other}"
            for other, f in factors.items()
            if _known(f)
        ]
        unknown = [other for other, f in factors.items() if not _known(f)]
        if not known:
            continue
        rest = f"; not known for {listed(unknown)}" if unknown else ""
        late = any(f.at_least < 1 for f in factors.values() if _known(f))
        return (
            f"To {TARGET_WORDS[target]} of the default's regret it came sooner by these factors of"
            f" {CLOCKS[clock].unit} (95 % intervals, each by itself"
            f"{'; below 1 is later' if late else ''}): {', '.join(known)}{rest}."
        )
    return ""


def factor_of(low: float, high: float, interval: tuple[float, float] | None) -> str:
    """14 [9 to 21]; at least 5 [3 to ∞]; without brackets where seeds are too few for them."""
    if low == high:
        text = _times(low)
    else:
        text = f"at least {_times(low)}" if math.isinf(high) else f"{_times(low)} to {_times(high)}"
    if interval is None:
        return text
    least, most = interval
    return f"{text} [{_times(least)} to {_times(most)}]"


def _times(factor: float) -> str:
    return "∞" if math.isinf(factor) else number(factor)


def _known(factor: SpeedUp) -> bool:
    return factor.at_least > 0 and factor.interval is not None
