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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench.results.replayed import Replays, of_incumbents
from hpobench.statistics.curves import Array, t_quantile
from hpobench.statistics.times import SpeedUp, Times, median_time, speed_up

ERROR = 0.025
"""Of calling an incumbent surely worse that is not, on one side, over all of a cell's."""


@dataclass(frozen=True)
class ReplayedCurve:
    """A cell's incumbents one after the other.

    Args:
        times: since when each was the incumbent, in seconds, ascending, (k,).
        losses: what each came to when it was trained again, (k, draws); NaN where the draw has not
            been trained, and ∞ before the first full training.
    """

    times: Array
    losses: Array

    def reached(self, end: float, target: Array) -> tuple[float, float]:
        """When it came to a target.

        Args:
            end: of the cell, in seconds. Its last incumbent holds until then; where that is surely
                worse, it comes to the target later than that.
            target: another's losses on the same draws, (draws,).

        Returns:
            No sooner than, and no later than; (0, ∞): unknown.
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
    """Which of k means over draws are significantly above zero.

    One-sided t tests with an error of 2.5 % among all k.

    Args:
        differences: (k, draws). ∞ is above zero; what is not known (NaN) is not.

    Returns:
        (k,).
    """
    k, draws = differences.shape
    infinite = np.asarray(np.isinf(differences).all(axis=1))
    if draws < 2:
        return infinite
    with np.errstate(invalid="ignore"):
        mean = differences.mean(axis=1)
        error = differences.std(axis=1, ddof=1) / math.sqrt(draws)
    higher = mean > t_quantile(draws, confidence=1 - 2 * ERROR / k) * error
    return np.asarray(infinite | higher)


def times_to_finals(
    curves: Mapping[str, Mapping[int, ReplayedCurve]],
    ends: Mapping[str, Mapping[int, float]],
    seeds: Sequence[int],
) -> dict[str, dict[str, Times]]:
    """When each searcher came to the last incumbent of each, on one task.

    A cell that failed gets there later than its end, if ever; of one that is missing, nothing is
    known.

    Args:
        curves: by searcher and seed, the replayed incumbents of the complete cells.
        ends: by searcher and seed, when the cells that are complete or failed ended, in seconds.
        seeds: those of the study.

    Returns:
        By searcher whose last incumbent it is, then by searcher that comes to it, the times: a
        place for every seed.
    """

    def time(searcher: str, seed: int, target: Array | None) -> tuple[float, float]:
        if target is None or not np.isfinite(target).all():
            return 0.0, math.inf
        curve, end = curves[searcher].get(seed), ends[searcher].get(seed, 0.0)
        return (end, math.inf) if curve is None else curve.reached(end, target)

    def times(searcher: str, final_of: str) -> Times:
        theirs = curves[final_of]
        targets = [theirs[seed].losses[-1] if seed in theirs else None for seed in seeds]
        low_high = [time(searcher, s, target) for s, target in zip(seeds, targets, strict=True)]
        low, high = np.array(low_high).T
        return Times(low, high)

    return {
        final_of: {searcher: times(searcher, final_of) for searcher in curves}
        for final_of in curves
    }


def replayed_curves(changes: pd.DataFrame, losses: pd.DataFrame) -> dict[int, ReplayedCurve]:
    """The replayed incumbents of a searcher's complete cells on a task.

    Args:
        changes: its incumbents, rows of the regret frame.
        losses: of all replayed incumbents; see `replayed_losses`.

    Returns:
        By seed.
    """
    keys = pd.MultiIndex.from_frame(changes[["cell", "evaluation"]])
    known = losses.reindex(keys).to_numpy(copy=True)
    known[changes["evaluation"].isna().to_numpy()] = math.inf
    seconds = changes["seconds"].to_numpy()
    return {
        int(cast("int", seed)): ReplayedCurve(seconds[rows], known[rows])
        for seed, rows in changes.groupby("seed", sort=False).indices.items()
    }


def replayed_losses(replays: Replays, evaluations: pd.DataFrame) -> pd.DataFrame:
    """The test losses of replayed incumbents.

    Args:
        replays: what was trained again.
        evaluations: those that the run has now.

    Returns:
        A row by cell and evaluation, a column for each draw.
    """
    one = ["row", "cell", "evaluation", "draw"]
    lines = replays.lines.drop_duplicates(one, keep="last")
    trained = of_incumbents(lines, evaluations)
    table = trained.pivot(index=["cell", "evaluation"], columns="draw", values="test_loss")
    return table.reindex(columns=range(replays.draws)).astype(float)


def replay_sooner(times: Mapping[str, Mapping[str, Mapping[str, Times]]]) -> pd.DataFrame:
    """A row for each task and pair: how many times sooner one came to where the other ended.

    Args:
        times: by task, what `times_to_finals` gives.

    Returns:
        Columns:

        * task; to_final_of, whose last incumbent it is; searcher, which came to it.
        * sooner_at_least, sooner_at_most: one number unless draws or the end leave it open; below
          1, later. sooner_low, sooner_high: its 95 % interval, empty below six seeds; see
          `speed_up`.
        * seconds_at_least, seconds_at_most: the median time of the searcher; own_seconds_at_least,
          own_seconds_at_most: of the one whose loss it is.
        * seeds; not_reached: on how many of them the searcher did not come to it, or it is not
          known.
    """
    rows = [
        _row(task, final_of, searcher, to_final[final_of], to_final[searcher])
        for task, of_task in times.items()
        for final_of, to_final in of_task.items()
        for searcher in to_final
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


def _row(task: str, final_of: str, searcher: str, slow: Times, fast: Times) -> dict[str, object]:
    factor: SpeedUp = speed_up(slow, fast)
    low, high = factor.interval or (math.nan, math.nan)
    median, own_median = median_time(fast), median_time(slow)
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
        "not_reached": int(np.isinf(fast.high).sum()),
    }
