"""How much sooner a searcher found hyperparameters as good as another's last, by their replays.

The target is another searcher's last incumbent, trained again: on each seed its test losses on some
draws. An incumbent is surely worse if its losses on the same draws are significantly higher (a
paired, one-sided t test, of all incumbents of a cell by Bonferroni); it is as good in the mean if
its mean is no higher. A searcher comes to the target, to stay, no sooner than when its incumbents
are surely worse for the last time, and no later than when they are as good in the mean from there
on. So an estimate and its interval are as wide as the draws leave it open, and hyperparameters that
are equally good count as such. Of an incumbent that was not trained again, neither is known. Who
has trained nothing in full yet, and holds the task's default for want of it, has come to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from hpobench.results.ends import when_ended
from hpobench.results.replayed import of_incumbents
from hpobench.statistics.curves import Array
from hpobench.statistics.times import SpeedUp, Times, median_time, speed_up

if TYPE_CHECKING:
    from hpobench.results.run import Results

ERROR = 0.025
"""Of calling an incumbent surely worse that is not, on one side, over all of a cell's."""


@dataclass(frozen=True)
class ReplayedCurve:
    """A cell's incumbents one after the other: since when, (k,), and their losses, (k, draws).

    In seconds, ascending. A loss is NaN where the draw has not been trained, and ∞ before the first
    full training.
    """

    times: Array
    losses: Array

    def reached(self, end: float, target: Array) -> tuple[float, float]:
        """No sooner and no later than when it came to a target, (draws,); (0, ∞): unknown.

        It holds until its end; where it is surely worse then, it comes there later than that.
        """
        if not np.isfinite(target).all():
            return 0.0, math.inf
        differences = self.losses - target
        mean = differences.mean(axis=1)
        worse = np.flatnonzero(surely_positive(differences))
        unlike = np.flatnonzero(~(mean <= 0))
        low = [*self.times, end][worse[-1] + 1] if len(worse) else self.times[0]
        high = [*self.times, math.inf][unlike[-1] + 1] if len(unlike) else self.times[0]
        return float(low), float(high)


def surely_positive(differences: Array) -> NDArray[np.bool_]:
    """Which of k means over draws are significantly above zero; ``differences``: (k, draws).

    One-sided t tests with an error of 2.5 % among all k. ∞ is; what is not known is not.
    """
    k, draws = differences.shape
    infinite = np.asarray(np.isinf(differences).all(axis=1))
    if draws < 2:
        return infinite
    with np.errstate(invalid="ignore"):
        mean = differences.mean(axis=1)
        error = differences.std(axis=1, ddof=1) / math.sqrt(draws)
    higher = mean > float(stdtrit(draws - 1, 1 - ERROR / k)) * error
    return np.asarray(infinite | higher)


def times_to_finals(results: Results, task: str) -> dict[str, dict[str, Times]]:
    """By searcher whose last incumbent it is, then by searcher that comes to it: the times.

    Each has a place for every seed of the study. A cell that failed gets there later than its end,
    if ever; of one that is missing, nothing is known.
    """
    seeds = results.study["seeds"]
    curves = replayed_curves(results, task)
    ends = {s: when_ended(results, task, s, "seconds") for s in results.searchers}

    def time(searcher: str, seed: int, target: Array | None) -> tuple[float, float]:
        if target is None or not np.isfinite(target).all():
            return 0.0, math.inf
        curve, end = curves[searcher].get(seed), ends[searcher].get(seed, 0.0)
        return (end, math.inf) if curve is None else curve.reached(end, target)

    def times(searcher: str, final_of: str) -> Times:
        theirs = curves[final_of]
        targets = [theirs[seed].losses[-1] if seed in theirs else None for seed in seeds]
        found = [time(searcher, s, target) for s, target in zip(seeds, targets, strict=True)]
        low, high = np.array(found).T
        return Times(low, high)

    return {
        final_of: {searcher: times(searcher, final_of) for searcher in results.searchers}
        for final_of in results.searchers
    }


def replayed_curves(results: Results, task: str) -> dict[str, dict[int, ReplayedCurve]]:
    """By searcher and seed, the replayed incumbents of the complete cells."""
    losses = replayed_losses(results)
    found: dict[str, dict[int, ReplayedCurve]] = {}
    for searcher in results.searchers:
        changes = results.changes(task, searcher)[["cell", "seed", "seconds", "evaluation"]]
        keys = pd.MultiIndex.from_frame(changes[["cell", "evaluation"]])
        known = losses.reindex(keys).to_numpy(copy=True)
        known[changes["evaluation"].isna().to_numpy()] = math.inf
        where = changes.groupby("seed", sort=False).indices
        seconds = changes["seconds"].to_numpy()
        found[searcher] = {
            int(cast("int", seed)): ReplayedCurve(seconds[rows], known[rows])
            for seed, rows in where.items()
        }
    return found


def replayed_losses(results: Results) -> pd.DataFrame:
    """The test losses of replayed incumbents by cell and evaluation, a column for each draw."""
    replays = results.replays
    assert replays is not None
    one = ["row", "cell", "evaluation", "draw"]
    lines = replays.lines.drop_duplicates(one, keep="last")
    trained = of_incumbents(lines, results.evaluations)
    table = trained.pivot(index=["cell", "evaluation"], columns="draw", values="test_loss")
    return table.reindex(columns=range(replays.draws)).astype(float)


def replay_sooner(results: Results) -> pd.DataFrame:
    """A row for each task and pair: how many times sooner one came to where the other ended.

    * task; to_final_of, whose last incumbent it is; searcher, which came to it.
    * sooner_at_least, sooner_at_most: one number unless draws or the end leave it open; below 1,
      later. sooner_low, sooner_high: its 95 % interval, empty below six seeds; see `speed_up`.
    * seconds_at_least, seconds_at_most: the median time of the searcher; own_seconds_at_least,
      own_seconds_at_most: of the one whose loss it is.
    * seeds; not_reached: on how many of them the searcher did not come to it, or it is not known.
    """
    rows = []
    for task in results.tasks:
        for final_of, times in times_to_finals(results, task).items():
            rows += [
                _row(task, final_of, searcher, times[final_of], times[searcher])
                for searcher in results.searchers
                if searcher != final_of
            ]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


_COLUMNS: Sequence[str] = (
    "task",
    "to_final_of",
    "searcher",
    "sooner_at_least",
    "sooner_at_most",
    "sooner_low",
    "sooner_high",
    "seconds_at_least",
    "seconds_at_most",
    "own_seconds_at_least",
    "own_seconds_at_most",
    "seeds",
    "not_reached",
)


def _row(task: str, final_of: str, searcher: str, own: Times, mine: Times) -> dict[str, object]:
    factor: SpeedUp = speed_up(own, mine)
    low, high = factor.interval or (math.nan, math.nan)
    median, own_median = median_time(mine), median_time(own)
    return {
        "task": task,
        "to_final_of": final_of,
        "searcher": searcher,
        "sooner_at_least": factor.at_least,
        "sooner_at_most": factor.at_most,
        "sooner_low": low,
        "sooner_high": high,
        "seconds_at_least": median.at_least,
        "seconds_at_most": median.at_most,
        "own_seconds_at_least": own_median.at_least,
        "own_seconds_at_most": own_median.at_most,
        "seeds": factor.n,
        "not_reached": int(np.isinf(mine.high).sum()),
    }
