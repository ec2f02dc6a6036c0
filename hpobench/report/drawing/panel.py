"""What a panel of a figure shows: the curves of one task, taken from the results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench.report.drawing.style import Look, looks_of
from hpobench.results.regret import Clock, Curve
from hpobench.results.schema import CLOCKS
from hpobench.statistics.curves import FEWEST_SEEDS_FOR_A_BAND, MeanCurve, StepCurve, mean_curve

if TYPE_CHECKING:
    from hpobench.results.run import Results


FRONT = 5
"""Of more searchers than a `CROWD` these many stand in front, those that end lowest."""
CROWD = 6


@dataclass(frozen=True)
class Drawn:
    """One searcher on one task: a curve for each complete cell, of ``planned`` cells.

    ``look``: what tells it apart in every figure. ``seeds``: of the curves.
    """

    searcher: str
    look: Look
    curves: tuple[StepCurve, ...]
    planned: int
    seeds: tuple[int, ...] = ()

    @property
    def one(self) -> bool:
        """Whether it has a single curve, which is all there is to show of it."""
        return len(self.curves) == 1

    @property
    def banded(self) -> bool:
        """Whether there are seeds enough for a mean with its band."""
        return len(self.curves) >= FEWEST_SEEDS_FOR_A_BAND

    @property
    def mean(self) -> StepCurve:
        """Over the seeds."""
        return self._over_seeds.mean

    @property
    def band(self) -> tuple[StepCurve, StepCurve] | None:
        """Lower and upper end of the 95 % band of the mean; None if there are too few seeds."""
        return self._over_seeds.band if self.banded else None

    @cached_property
    def _over_seeds(self) -> MeanCurve:
        return mean_curve(self.curves)

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

    @cached_property
    def ranked(self) -> tuple[Drawn, ...]:
        """Those with curves, by where their means end, the lowest first."""
        return tuple(sorted((d for d in self.drawn if d.curves), key=lambda d: d.mean.last))

    @cached_property
    def front(self) -> frozenset[str]:
        """Who is drawn in front of the others, which are pale: of many, those that end lowest."""
        shown = self.ranked if len(self.ranked) <= CROWD else self.ranked[:FRONT]
        return frozenset(drawn.searcher for drawn in shown)


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
    ends = {clock: results.task_ends(clock) for clock in clocks}
    return {
        (task, curve, clock): panel
        for task, curve in shown
        for rows in [regret.iloc[where.get((task, curve), [])]]
        for clock, panel in panels_from(results, task, curve, rows, ends).items()
    }


def panels_from(
    results: Results,
    task: str,
    curve: Curve,
    rows: pd.DataFrame,
    ends: Mapping[Clock, Mapping[str, float]],
) -> dict[Clock, Panel]:
    """By clock. ``rows``: those of the regret frame with the task and the curve."""
    has_reference = results.references[task] is not None
    value = "regret" if has_reference else "test_loss"
    splits = rows[rows["evaluation"].isna()].drop_duplicates("seed")
    default, tolerance = (float(splits[name].mean()) for name in (value, "zero_tolerance"))
    planned = results.cells.loc[results.cells["task"] == task, "searcher"].value_counts()
    complete = rows[rows["status"] == "complete"]
    values = complete[value].to_numpy()
    own: dict[str, dict[int, NDArray[np.intp]]] = {name: {} for name in results.searchers}
    cells = complete.groupby(["searcher", "seed"], sort=False).indices
    for (searcher, seed), mine in cast("dict[tuple[str, int], NDArray[np.intp]]", cells).items():
        if not math.isnan(values[mine[-1]]):
            own[searcher][int(seed)] = mine
    looks = looks_of(results.study["searchers"])
    panels = {}
    for clock, of_task in ends.items():
        times, is_budget = complete[clock].to_numpy(), results.study["budget"]["kind"] == clock
        end = of_task[task] if is_budget else max(float(rows[clock].max()), of_task[task])
        panels[clock] = Panel(
            task=task,
            quantity=_quantity(results.task(task)["metric"], has_reference, curve),
            regret=has_reference,
            drawn=tuple(
                Drawn(
                    searcher,
                    looks[searcher],
                    tuple(StepCurve(times[mine], values[mine]) for mine in of_seed.values()),
                    int(planned.get(searcher, 0)),
                    tuple(of_seed),
                )
                for searcher, of_seed in own.items()
            ),
            default=default,
            tolerance=tolerance,
            end=end if end > 0 else 1.0,  # where nothing was trained, there are no steps
            end_is_budget=is_budget,
        )
    return panels


def _quantity(metric: str, regret: bool, curve: Curve) -> str:
    if not regret:
        return f"test {metric} of the {'incumbent' if curve == 'incumbent' else 'model in hand'}"
    of_hand = "" if curve == "incumbent" else " of the model in hand"
    return f"regret{of_hand}: test {metric} above the reference"
