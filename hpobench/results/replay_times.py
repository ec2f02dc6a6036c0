"""How much sooner a searcher found hyperparameters as good as another's last, by their replays.

The target is a searcher's final replayed loss: the mean test loss over draws of its last incumbent,
trained again, on each seed its own. Both it and the others come to it when the replayed loss of
their incumbents falls to it to stay. Of an incumbent that was not trained again it is not known,
and a time is known no better than that. Who has trained nothing in full yet, and holds the task's
default for want of it, has come to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hpobench.results.curves import step_curves
from hpobench.results.ends import when_ended
from hpobench.results.regret import StepCurve
from hpobench.results.replayed import of_incumbents
from hpobench.statistics.times import SpeedUp, Times, median_time, speed_up

if TYPE_CHECKING:
    from hpobench.results.run import Results


def reached(curve: StepCurve, end: float, level: float) -> tuple[float, float]:
    """No sooner than when, and no later, a curve came to a level to stay; (0, ∞): unknown.

    Its values may be unknown (NaN). It holds until its end, at which it is later than that.
    """
    if not math.isfinite(level):
        return 0.0, math.inf
    above = np.flatnonzero(curve.values > level)
    below = np.flatnonzero(~(curve.values <= level))  # or unknown
    low = [*curve.times, end][above[-1] + 1] if len(above) else curve.times[0]
    high = [*curve.times, math.inf][below[-1] + 1] if len(below) else curve.times[0]
    return float(low), float(high)


def times_to_finals(results: Results, task: str) -> dict[str, dict[str, Times]]:
    """By searcher whose final replayed loss it is, then by searcher that comes to it: the times.

    Each has a place for every seed of the study. A cell that failed gets there later than its end,
    if ever; of one that is missing, nothing is known.
    """
    seeds = results.study["seeds"]
    curves = replayed_curves(results, task)
    ends = {s: when_ended(results, task, s, "seconds") for s in results.searchers}

    def time(searcher: str, seed: int, level: float) -> tuple[float, float]:
        curve = curves[searcher].get(seed)
        if curve is None and not math.isfinite(level):
            return 0.0, math.inf
        end = ends[searcher].get(seed, 0.0)
        return (end, math.inf) if curve is None else reached(curve, end, level)

    def times(searcher: str, levels: Sequence[float]) -> Times:
        found = [time(searcher, s, level) for s, level in zip(seeds, levels, strict=True)]
        low, high = np.array(found).T
        return Times(low, high)

    found: dict[str, dict[str, Times]] = {}
    for final_of in results.searchers:
        mine = curves[final_of]
        levels = [mine[seed].last if seed in mine else math.nan for seed in seeds]
        found[final_of] = {searcher: times(searcher, levels) for searcher in results.searchers}
    return found


def replayed_curves(results: Results, task: str) -> dict[str, dict[int, StepCurve]]:
    """By searcher and seed: the replayed loss of a complete cell's incumbent over its seconds.

    The mean test loss over draws; NaN where one of them has not been trained, ∞ before the first
    full training.
    """
    losses = replayed_losses(results)
    found: dict[str, dict[int, StepCurve]] = {}
    for searcher in results.searchers:
        changes = results.changes(task, searcher)[["cell", "seed", "seconds", "evaluation"]]
        changes = changes.join(losses.rename("loss"), on=["cell", "evaluation"])
        known = changes["loss"].where(changes["evaluation"].notna(), math.inf)
        found[searcher] = step_curves(changes.assign(loss=known), "seconds", "loss")
    return found


def replayed_losses(results: Results) -> pd.Series:
    """The mean test loss over draws by cell and evaluation; NaN where one has not been trained."""
    assert results.replays is not None
    one = ["row", "cell", "evaluation", "draw"]
    lines = results.replays.lines.drop_duplicates(one, keep="last")
    trained = of_incumbents(lines, results.evaluations)
    trained = trained[trained["draw"] < results.replays.draws]
    draws = trained.groupby(["cell", "evaluation"])["test_loss"].agg(["mean", "size"])
    return draws["mean"].where(draws["size"] == results.replays.draws)


def replay_sooner(results: Results) -> pd.DataFrame:
    """A row for each task and pair: how many times sooner one came to the other's final loss.

    * task; to_final_of, whose final replayed loss it is; searcher, which came to it.
    * sooner_at_least, sooner_at_most: one number unless censoring leaves it open; below 1, later.
      sooner_low, sooner_high: its 95 % interval, empty below six seeds. See `times.speed_up`.
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
