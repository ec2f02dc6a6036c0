"""Targets of a regret, and the curves that come to them."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

from hpobench.results.regret import Clock, step_curves
from hpobench.statistics.curves import StepCurve, time_to_target

TARGETS = {"10_percent": 0.1, "1_percent": 0.01, "zero": 0.0}
"""Of normalised regret; zero is regret itself, within the reference's standard error.

They are not in order: that error may be more than 10 % of the default's regret, or less than 1 %.
"""

TARGET_WORDS = {"10_percent": "10 %", "1_percent": "1 %", "zero": "ref.+s.e."}
"""As readers see them, in headings."""

TARGET_MEANINGS = {
    "10_percent": "10 % of the default's regret",
    "1_percent": "1 % of the default's regret",
    "zero": "the reference's level + its s.e.",
}
"""As readers see them where there is room."""


class Approach(NamedTuple):
    """Each seed's curve, where its end is measured, and the level that it has to come to."""

    curves: dict[int, StepCurve]
    level: float

    def times(self) -> dict[int, float | None]:
        """When each seed came to the level to stay; None if it ends above."""
        return {seed: time_to_target(curve, self.level) for seed, curve in self.curves.items()}


def approaches(changes: pd.DataFrame, clock: Clock) -> dict[str, Approach]:
    """By target, of rows of the regret frame: those of one task, searcher and curve."""
    normalised = step_curves(changes, clock, "normalised_regret")
    above_zero = changes.assign(regret=changes["regret"] - changes["zero_tolerance"])
    above = step_curves(above_zero, clock, "regret")
    return {
        name: Approach(_measured(above if name == "zero" else normalised), level)
        for name, level in TARGETS.items()
    }


def _measured(curves: dict[int, StepCurve]) -> dict[int, StepCurve]:
    return {seed: curve for seed, curve in curves.items() if not math.isnan(curve.last)}
