"""The searchers over all tasks and seeds at once, as a table for the page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpobench.report.clocks import CLOCKS
from hpobench.results.flat_curves import FlatCurves
from hpobench.results.json_files import Record
from hpobench.results.regret import Clock
from hpobench.statistics.aggregates import Interval, interquartile_mean, jackknife_interval
from hpobench.statistics.curves import FEWEST_SEEDS_FOR_A_BAND, Array
from hpobench.statistics.ranks import mean_ranks
from hpobench.text import UNKNOWN, listed, number, plural

if TYPE_CHECKING:
    from hpobench.results.run import Results


def across_table(results: Results, curves: FlatCurves, clock: Clock) -> Record | None:
    """A row for each searcher, the lowest first; None where no cell is measured."""
    blocks, _ = curves.blocks()
    if not len(blocks):
        return None
    known = curves.normalised_tasks()
    final, area = (_middles(values) for values in _outcomes(results, curves, known, clock))
    counts = results.cells.groupby("searcher", sort=False)["status"].agg(list).to_dict()
    rows = []
    for place, (searcher, rank) in enumerate(
        zip(results.searchers, mean_ranks(blocks).tolist(), strict=True)
    ):
        status = counts[searcher]
        middles = [final[place], area[place]] if len(known) else []
        rows.append(
            {
                "searcher": searcher,
                "absent": "complete" not in status,
                "order": (*[_last_if_unknown(middle) for middle in middles[:1]], rank),
                "values": [
                    f"{status.count('complete')} of {len(status)}",
                    *map(_words, middles),
                    number(rank),
                ],
            }
        )
    unit = CLOCKS[clock].unit
    shown = ["final regret", f"area under the regret curve over {unit}"] if len(known) else []
    return {
        "rows": sorted(rows, key=lambda row: row["order"]),
        "columns": ["complete cells", *shown, "mean rank"],
        "explained": _explained(results, [results.tasks[task] for task in known], unit),
    }


def _outcomes(
    results: Results, curves: FlatCurves, known: NDArray[np.int64], clock: Clock
) -> tuple[Array, Array]:
    """Normalised regret at the end, and its mean over the clock: each (searchers, tasks, seeds)."""
    final = curves.finals(curves.normalised)
    ends = np.array([*results.task_ends(clock).values()])
    area = curves.areas(curves.normalised, ends)
    return final[known].swapaxes(0, 1), area[known].swapaxes(0, 1)


def _middles(values: Array) -> list[Interval]:
    """Interquartile means, where what is missing is worse than all else, as it is for ranks."""
    with np.errstate(invalid="ignore"):  # ∞ − ∞, where a quarter of the cells are missing
        return [
            jackknife_interval(interquartile_mean, of_searcher)
            for of_searcher in np.where(np.isnan(values), math.inf, values)
        ]


def _last_if_unknown(middle: Interval) -> float:
    return middle.estimate if math.isfinite(middle.estimate) else math.inf


def _words(middle: Interval) -> str:
    """In per cent of the default's regret."""
    estimate, low, high = (number(100 * value) for value in middle[:3])
    if estimate == UNKNOWN:
        return UNKNOWN
    return f"{estimate} %" if UNKNOWN in (low, high) else f"{estimate} % [{low} to {high}]"


def _explained(results: Results, known: list[str], unit: str) -> str:
    seeds = len(results.study["seeds"])
    size = f"{plural(len(results.tasks), 'task')} × {plural(seeds, 'seed')}"
    rank = "Mean rank: 1 is the lowest, ties share theirs, and a cell that is not complete is last."
    if not known:
        return f"Over {size}; no regret is known, so ranks alone. {rank}"
    others = [task for task in results.tasks if task not in known]
    without = f" (of {listed(others)} no regret is known: ranks alone)" if others else ""
    few = seeds < FEWEST_SEEDS_FOR_A_BAND
    sure = "" if few else " In brackets are 95 % intervals, by the jackknife over seeds."
    return (
        f"Over {size}{without}. Regret is in % of the default's: 100 is the default, 0 the"
        " reference. Each value is an interquartile mean, that of the middle half of all cells; a"
        " cell that is not complete counts as higher than any other, and where such cells reach the"
        " middle half there is no value. The area under a cell's regret curve is its mean over"
        f" {unit} from 0 to the end, on a linear clock.{sure} {rank}"
    )
