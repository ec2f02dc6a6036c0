"""When cells ended, on each clock."""

from __future__ import annotations

import pandas as pd

from hpobench.results.json_files import Record
from hpobench.results.regret import Clock


def cell_ends(
    cells: pd.DataFrame, evaluations: pd.DataFrame, budget: Record, clock: Clock
) -> pd.Series[float]:
    """When each cell ended: at the budget if that is on this clock, else when it was last seen.

    Args:
        cells: the planned cells, as `Results` has them.
        evaluations: theirs; only ``cell`` and ``steps`` are read.
        budget: the study's, ``kind`` and ``amount``.
        clock: seconds, slot_seconds or steps.

    Returns:
        By the name of the cell, in the order of ``cells``; NaN where its files do not say.
    """
    if budget["kind"] == clock:
        ends = pd.Series(float(budget["amount"]), index=cells.index)
    elif clock == "steps":
        ends = cells["cell"].map(evaluations.groupby("cell", sort=False)["steps"].max())
    else:
        ends = cells["wall"] * (cells["slots"] if clock == "slot_seconds" else 1)
    return ends.set_axis(cells["cell"])
