"""When cells and tasks end, on each clock."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hpobench.results.regret import Clock

if TYPE_CHECKING:
    from hpobench.results.run import Results


def ends_of(results: Results, clock: Clock) -> dict[str, float]:
    """By task, the budget if it is on this clock, else the end of its last cell; NaN if none is."""
    budget = results.study["budget"]
    if budget["kind"] == clock:
        return dict.fromkeys(results.tasks, float(budget["amount"]))
    if clock == "steps":
        cells = results.cells
        ends = cells["cell"].map(results.steps_of_cells).groupby(cells["task"], sort=False).max()
    else:
        cells = results.cells
        spent = cells["wall"] * (cells["slots"] if clock == "slot_seconds" else 1)
        ends = spent.groupby(cells["task"], sort=False).max()
    return {task: float(ends.get(task, math.nan)) for task in results.tasks}


def when_ended(results: Results, task: str, searcher: str, clock: Clock) -> dict[int, float]:
    """By seed, when the cells that are complete or failed ended, on a clock."""
    cells = results.cells
    ended = cells[
        (cells["task"] == task)
        & (cells["searcher"] == searcher)
        & cells["status"].isin(["complete", "failed"])
    ]
    budget = results.study["budget"]
    if budget["kind"] == clock:
        return dict.fromkeys(ended["seed"].tolist(), float(budget["amount"]))
    if clock == "steps":
        when = ended["cell"].map(results.steps_of_cells)
    else:
        when = ended["wall"] * (ended["slots"] if clock == "slot_seconds" else 1)
    return dict(zip(ended["seed"].tolist(), when.fillna(0.0).tolist(), strict=True))
