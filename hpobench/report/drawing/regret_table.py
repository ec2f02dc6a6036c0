"""The data of the regret figure of one task: means with their bands, and each seed's changes.

A table is what the page embeds, hashes and offers as CSV, and what its plot is drawn from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench.report.drawing.downsampling import MOST_STEPS, kept_steps, rounded
from hpobench.report.drawing.panel import Drawn, Panel
from hpobench.results.json_files import Record
from hpobench.results.regret import Clock, Curve
from hpobench.results.schema import CLOCKS
from hpobench.text import configuration

if TYPE_CHECKING:
    from hpobench.results.run import Results

Panels = Mapping[tuple[Curve, Clock], Panel]

COLUMNS = (
    *("line", "curve", "searcher", "seed", *CLOCKS, "value", "low", "high"),
    *("evaluation", "validation_loss", "test_loss", "hyperparameters"),
)
PAGE_STEPS = 75_000
"""Steps of means on a page, and below it of seeds' changes: what keeps it under 6 MB."""
PAGE_CHANGES = 15_000
FEWEST = 8


def steps_for(curves: int, on_page: int = PAGE_STEPS) -> int:
    """How many steps each of so many curves of a page may have."""
    return int(np.clip(on_page // max(curves, 1), FEWEST, MOST_STEPS))


def changes_of(results: Results, tasks: Iterable[str]) -> dict[str, pd.DataFrame]:
    """By task, the changes of its complete cells' curves, at most so many as a page can hold.

    Rows of `Results.regret` and their hyperparameters (None for the default, which each starts
    from). Each curve keeps its first and last changes, and those between by `kept_steps`.
    """
    regret = results.regret()
    rows = regret[regret["status"] == "complete"].reset_index(drop=True)
    starts = np.flatnonzero(rows["evaluation"].isna().to_numpy())
    ends = np.append(starts, len(rows))[1:]
    times = rows["seconds"].to_numpy()
    at_most = steps_for(len(starts), PAGE_CHANGES)
    kept = [
        a + kept_steps(times[a:b], times[b - 1], at_most) for a, b in zip(starts, ends, strict=True)
    ]
    rows = rows.iloc[np.concatenate([np.empty(0, int), *kept])]
    tried = results.evaluations[["cell", "evaluation", "hyperparameters"]]
    tried = tried.astype({"evaluation": "Int64"})
    rows = rows.merge(tried, on=["cell", "evaluation"], how="left")
    rows["hyperparameters"] = rows["hyperparameters"].astype(object)
    where = rows.groupby("task", sort=False).indices
    return {task: rows.iloc[where.get(task, [])] for task in tasks}


def regret_table(panels: Panels, changes: pd.DataFrame, at_most: int = MOST_STEPS) -> pd.DataFrame:
    """The figure's data, numbers to five significant digits, texts as the page says them.

    ``line``: "mean" (over the complete seeds, if there are several; from five on with ``low`` and
    ``high``, the ends of its 95 % band; of the clocks, the one that it is over), "seed" (a cell's
    change: the evaluation that became the incumbent, or the model in hand; none for the default,
    at 0), "default" (its mean) or "reference" (its standard error as ``low`` and ``high``).
    ``value``: the regret, or the test loss where there is no reference.
    """
    value = "regret" if next(iter(panels.values())).regret else "test_loss"
    texts = [configuration(h) if h else None for h in changes["hyperparameters"]]
    seeds = changes.assign(
        line="seed",
        value=changes[value],
        hyperparameters=pd.Series(texts, index=changes.index, dtype=object),
    )
    cell = seeds["cell"] + " " + seeds["curve"]
    unmeasured = cell[seeds["value"].isna() & ~cell.duplicated(keep="last")]
    seeds = seeds[seeds["value"].notna() & ~cell.isin(unmeasured)]
    means = [
        _mean(drawn, curve, clock, panel.end, at_most)
        for (curve, clock), panel in panels.items()
        for drawn in panel.drawn
        if len(drawn.curves) > 1
    ]
    yardsticks = [
        row
        for (curve, clock), panel in panels.items()
        if clock == "seconds"
        for row in _yardsticks(panel, curve)
    ]
    parts = [pd.DataFrame(yardsticks), _joined(means), seeds]
    typed = [part.reindex(columns=COLUMNS).astype(_TYPES) for part in parts]
    return rounded(pd.concat(typed, ignore_index=True))


_TYPES: dict[str, Any] = {
    **dict.fromkeys(("line", "curve", "searcher", "hyperparameters"), object),
    **dict.fromkeys(("seed", "evaluation"), "Int64"),
    **dict.fromkeys((*CLOCKS, "value", "low", "high", "validation_loss", "test_loss"), float),
}


def _mean(
    drawn: Drawn, curve: Curve, clock: Clock, end: float, at_most: int
) -> dict[str, NDArray[Any]]:
    """Columns, all of the same length."""
    keep = kept_steps(drawn.mean.times, end, at_most)
    unknown = np.full(len(keep), math.nan)
    low, high = [curve.values[keep] for curve in drawn.band or ()] or [unknown, unknown]
    columns = dict.fromkeys(CLOCKS, unknown) | {clock: drawn.mean.times[keep]}
    columns |= {"value": drawn.mean.values[keep], "low": low, "high": high}
    names = {"line": "mean", "curve": curve, "searcher": drawn.searcher}
    return {key: np.full(len(keep), name, object) for key, name in names.items()} | columns


def _joined(parts: Sequence[dict[str, NDArray[Any]]]) -> pd.DataFrame:
    names = list(parts[0]) if parts else []
    return pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in names})


def _yardsticks(panel: Panel, curve: Curve) -> list[Record]:
    rows: list[Record] = []
    if math.isfinite(panel.default):
        rows.append({"line": "default", "curve": curve, "value": panel.default})
    if panel.regret:
        ends = {"low": -panel.tolerance, "high": panel.tolerance}
        rows.append({"line": "reference", "curve": curve, "value": 0.0, **ends})
    return rows
