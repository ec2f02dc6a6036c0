"""What a panel of a figure shows: the curves of one task, taken from the results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpobench.results.curves import Clock, Curve, step_curves
from hpobench.results.regret import FEWEST_SEEDS_FOR_A_BAND, StepCurve

if TYPE_CHECKING:
    from hpobench.results.run import Results


@dataclass(frozen=True)
class Drawn:
    """One searcher on one task: a curve for each complete cell, of ``planned`` cells.

    ``place``: its number in the study, which decides how it looks in every figure.
    """

    searcher: str
    place: int
    curves: tuple[StepCurve, ...]
    planned: int

    @property
    def banded(self) -> bool:
        """Whether there are seeds enough for a mean with its band."""
        return len(self.curves) >= FEWEST_SEEDS_FOR_A_BAND

    @property
    def label(self) -> str:
        few = len(self.curves) < self.planned
        return f"{self.searcher} ({len(self.curves)} of {self.planned})" if few else self.searcher


@dataclass(frozen=True)
class Panel:
    """The curves of one task over the clock, until ``end``.

    ``quantity`` is what the curves show; ``regret`` is false where there is no reference, and the
    test loss is shown instead. ``default`` and ``tolerance`` (what counts as zero regret) are
    means over the splits, NaN where not measured.
    """

    task: str
    quantity: str
    regret: bool
    drawn: tuple[Drawn, ...]
    default: float
    tolerance: float
    end: float
    end_is_budget: bool

    @property
    def has_curves(self) -> bool:
        return any(drawn.curves for drawn in self.drawn)


def panel_of(
    results: Results, task: str, curve: Curve = "incumbent", clock: Clock = "seconds"
) -> Panel:
    """The curves of one task's complete cells."""
    regret = results.references[task] is not None
    value = "regret" if regret else "test_loss"
    rows = results.regret()
    rows = rows[(rows["task"] == task) & (rows["curve"] == curve)]
    complete = rows[rows["status"] == "complete"]
    cells = results.cells[results.cells["task"] == task]
    drawn = []
    for place, searcher in enumerate(results.searchers):
        curves = step_curves(complete[complete["searcher"] == searcher], clock, value)
        measured = tuple(c for c in curves.values() if not math.isnan(c.last))
        planned = int((cells["searcher"] == searcher).sum())
        drawn.append(Drawn(searcher, place, measured, planned))
    splits = rows[rows["evaluation"].isna()].drop_duplicates("seed")
    return Panel(
        task=task,
        quantity=_quantity(results.task(task)["metric"], regret, curve),
        regret=regret,
        drawn=tuple(drawn),
        default=float(splits[value].mean()),
        tolerance=float(splits["zero_tolerance"].mean()),
        end=_end(results, task, clock, rows[clock].max()),
        end_is_budget=results.study["budget"]["kind"] == clock,
    )


def _quantity(metric: str, regret: bool, curve: Curve) -> str:
    if not regret:
        return f"test {metric} of the {'incumbent' if curve == 'incumbent' else 'model in hand'}"
    of_hand = "" if curve == "incumbent" else " of the model in hand"
    return f"regret{of_hand}: test {metric} above the reference"


def _end(results: Results, task: str, clock: Clock, last_event: float) -> float:
    """Until when curves are drawn: the budget if it is on this clock, else the last cell's end."""
    budget = results.study["budget"]
    if budget["kind"] == clock:
        return float(budget["amount"])
    if clock == "steps":
        ends = results.evaluations.loc[results.evaluations["task"] == task, "steps"]
    else:
        cells = results.cells[results.cells["task"] == task]
        ends = cells["wall"] * (cells["slots"] if clock == "slot_seconds" else 1)
    return max(last_event, float(ends.max()))
