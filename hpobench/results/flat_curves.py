"""The incumbents' curves of all complete cells in flat arrays, for statistics over all of them.

Places are the study's tasks, searchers and seeds, in its order. A cell that is not complete has no
value (NaN); it is never left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench.results.regret import Clock
from hpobench.statistics.curves import Array

if TYPE_CHECKING:
    from hpobench.results.run import Results


@dataclass(frozen=True)
class FlatCurves:
    """Step curves from time 0 on, one after the other.

    Args:
        times: (points,).
        values: regret, or the test loss of tasks without a reference, (points,).
        normalised: normalised regret, NaN where it is not known, (points,).
        begin: the place of a cell's first point, (tasks, searchers, seeds).
        end: the place after its last, of the same shape; equal to ``begin`` if it has none.
    """

    times: Array
    values: Array
    normalised: Array
    begin: NDArray[np.int64]
    end: NDArray[np.int64]

    @classmethod
    def of(cls, results: Results, clock: Clock) -> FlatCurves:
        """Those of a run, over a clock."""
        rows = results.regret()
        kept = (rows["curve"] == "incumbent") & (rows["status"] == "complete")
        rows = rows.loc[kept, ["cell", "task", clock, "regret", "normalised_regret", "test_loss"]]
        first = np.flatnonzero(~rows["cell"].duplicated())  # a cell's rows are side by side
        size = (len(results.tasks), len(results.searchers), len(results.study["seeds"]))
        begin, end = np.zeros(size, np.int64), np.zeros(size, np.int64)
        place = _places(results).loc[rows["cell"].iloc[first]].to_numpy()
        begin.flat[place], end.flat[place] = first, [*first[1:], len(rows)][: len(first)]
        bare = rows["task"].isin([t for t in results.tasks if results.references[t] is None])
        return cls(
            rows[clock].to_numpy(),
            rows["regret"].where(~bare, rows["test_loss"]).to_numpy(),
            rows["normalised_regret"].to_numpy(),
            begin,
            end,
        )

    def finals(self, values: Array) -> Array:
        """What each cell ends with, of ``values`` (points,): shape (tasks, searchers, seeds)."""
        finals = np.full(self.begin.shape, np.nan)
        some = self.end > self.begin
        finals[some] = values[self.end[some] - 1]
        return finals

    def blocks(self) -> tuple[Array, NDArray[np.int64]]:
        """What cells end with, (blocks, searchers): a task and a seed each that some cell has.

        And of each block its seed's place, (blocks,).
        """
        tasks, searchers, seeds = self.begin.shape
        ends = self.finals(self.values).transpose(0, 2, 1).reshape(-1, searchers)
        some = ~np.isnan(ends).all(axis=1)
        return ends[some], np.tile(np.arange(seeds), tasks)[some]

    def normalised_tasks(self) -> NDArray[np.int64]:
        """The tasks of which some normalised regret is known, by number."""
        return np.flatnonzero(~np.isnan(self.finals(self.normalised)).all(axis=(1, 2)))

    def areas(self, values: Array, until: Array) -> Array:
        """The mean of each curve over the clock from 0 to its task's end.

        As `aggregates.area_under`, for all curves at once.

        Args:
            values: (points,).
            until: the tasks' ends, (tasks,).

        Returns:
            (tasks, searchers, seeds); NaN of a task that ends at 0.
        """
        means = np.full(self.begin.shape, np.nan)
        some = self.end > self.begin
        order = np.argsort(self.begin[some])
        begin, end = self.begin[some][order], self.end[some][order]
        if len(begin):
            limit = np.broadcast_to(until[:, None, None], self.begin.shape)[some][order]
            ends = np.repeat(limit, end - begin)
            later = np.append(self.times[1:], 0.0)
            later[end - 1] = limit
            spans = np.minimum(later, ends) - np.minimum(self.times, ends)
            under, areas = np.add.reduceat(values * spans, begin), np.full(len(begin), np.nan)
            areas[order] = np.divide(under, limit, out=np.full_like(under, np.nan), where=limit > 0)
            means[some] = areas
        return means

    def on_grid(self, task: int, times: Array) -> Array:
        """The values of a task's curves at given times.

        Args:
            task: its place.
            times: (times,).

        Returns:
            (searchers, seeds, times).
        """
        on_grid = np.full((*self.begin.shape[1:], len(times)), np.nan)
        for place in zip(*np.nonzero(self.end[task] > self.begin[task]), strict=True):
            points = slice(self.begin[task][place], self.end[task][place])
            steps = np.searchsorted(self.times[points], times, side="right") - 1
            on_grid[place] = self.values[points][steps]
        return on_grid

    def times_of(self, task: int) -> Array:
        """Every time at which a curve of a task steps, ascending, and 0."""
        points = zip(self.begin[task].flat, self.end[task].flat, strict=True)
        return np.unique(np.concatenate([[0.0], *[self.times[a:b] for a, b in points]]))


def _places(results: Results) -> pd.Series[int]:
    """By cell, its place among all tasks × searchers × seeds."""
    place = np.zeros(len(results.cells), np.int64)
    for names, column in (
        (results.tasks, "task"),
        (results.searchers, "searcher"),
        (results.study["seeds"], "seed"),
    ):
        number = {name: i for i, name in enumerate(names)}
        place = place * len(names) + results.cells[column].map(number).to_numpy()
    return pd.Series(place, index=results.cells["cell"])
