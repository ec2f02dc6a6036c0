"""What a panel of a figure shows: the curves of one task, taken from the results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from hpobench.results.curves import Clock, Curve, step_curves
from hpobench.results.fields import CLOCKS
from hpobench.results.regret import FEWEST_SEEDS_FOR_A_BAND, StepCurve, mean_curve, t_band

if TYPE_CHECKING:
    from hpobench.results.run import Results


@dataclass(frozen=True)
class Drawn:
    """One searcher on one task: a curve for each complete cell, of ``planned`` cells.

    ``place``: its number in the study, which decides how it looks in every figure. ``seeds``: of
    the curves.
    """

    searcher: str
    place: int
    curves: tuple[StepCurve, ...]
    planned: int
    seeds: tuple[int, ...] = ()

    @property
    def banded(self) -> bool:
        """Whether there are seeds enough for a mean with its band."""
        return len(self.curves) >= FEWEST_SEEDS_FOR_A_BAND

    @cached_property
    def mean(self) -> StepCurve:
        """Over the seeds."""
        return mean_curve(self.curves)

    @cached_property
    def band(self) -> tuple[StepCurve, StepCurve] | None:
        """Lower and upper end of the 95 % band of the mean; None if there are too few seeds."""
        return t_band(self.curves)

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


_NEEDED = (
    *("task", "searcher", "seed", "curve", "status", "evaluation", *CLOCKS),
    *("regret", "test_loss", "zero_tolerance"),
)


def panel_of(
    results: Results, task: str, curve: Curve = "incumbent", clock: Clock = "seconds"
) -> Panel:
    """The curves of one task's complete cells."""
    return panels_of(results, [(task, curve)], [clock])[task, curve, clock]


def panels_of(
    results: Results, shown: Iterable[tuple[str, Curve]], clocks: Sequence[Clock]
) -> dict[tuple[str, Curve, Clock], Panel]:
    """The curves of complete cells, by task, curve and clock."""
    regret = results.regret()[list(_NEEDED)]
    where = regret.groupby(["task", "curve"], sort=False).indices
    ends = {clock: _ends(results, clock) for clock in clocks}
    return {
        (task, curve, clock): _panel(results, task, curve, clock, rows, ends[clock][task])
        for task, curve in shown
        for rows in [regret.iloc[where.get((task, curve), [])]]
        for clock in clocks
    }


def _panel(
    results: Results, task: str, curve: Curve, clock: Clock, rows: pd.DataFrame, end: float
) -> Panel:
    """``rows``: those of the regret frame with the task and the curve."""
    has_reference = results.references[task] is not None
    value = "regret" if has_reference else "test_loss"
    complete = rows[rows["status"] == "complete"]
    own = complete.groupby("searcher", sort=False).indices
    planned = results.cells.loc[results.cells["task"] == task, "searcher"].value_counts()
    drawn = []
    for place, searcher in enumerate(results.searchers):
        curves = step_curves(complete.iloc[own.get(searcher, [])], clock, value)
        measured = {seed: c for seed, c in curves.items() if not math.isnan(c.last)}
        mine = int(planned.get(searcher, 0))
        drawn.append(Drawn(searcher, place, tuple(measured.values()), mine, tuple(measured)))
    splits = rows[rows["evaluation"].isna()].drop_duplicates("seed")
    is_budget = results.study["budget"]["kind"] == clock
    return Panel(
        task=task,
        quantity=_quantity(results.task(task)["metric"], has_reference, curve),
        regret=has_reference,
        drawn=tuple(drawn),
        default=float(splits[value].mean()),
        tolerance=float(splits["zero_tolerance"].mean()),
        end=end if is_budget else max(float(rows[clock].max()), end),
        end_is_budget=is_budget,
    )


def _quantity(metric: str, regret: bool, curve: Curve) -> str:
    if not regret:
        return f"test {metric} of the {'incumbent' if curve == 'incumbent' else 'model in hand'}"
    of_hand = "" if curve == "incumbent" else " of the model in hand"
    return f"regret{of_hand}: test {metric} above the reference"


def _ends(results: Results, clock: Clock) -> dict[str, float]:
    """By task, the budget if it is on this clock, else the end of its last cell."""
    budget = results.study["budget"]
    if budget["kind"] == clock:
        return dict.fromkeys(results.tasks, float(budget["amount"]))
    if clock == "steps":
        ends = results.evaluations.groupby("task", sort=False)["steps"].max()
    else:
        cells = results.cells
        spent = cells["wall"] * (cells["slots"] if clock == "slot_seconds" else 1)
        ends = spent.groupby(cells["task"], sort=False).max()
    return {task: float(ends.get(task, math.nan)) for task in results.tasks}
