"""Each pair of searchers on a task, for the page: by how much, how sure, how often, since when."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.downsampling import kept_steps
from hpobench.results.flat_curves import FlatCurves
from hpobench.results.json_files import Record
from hpobench.results.regret import Clock
from hpobench.statistics.curves import FEWEST_SEEDS_FOR_A_BAND
from hpobench.statistics.shares import Share, probability_of_improvement
from hpobench.statistics.times import Crossover, crossover
from hpobench.statistics.verdicts import Difference, Verdict, verdicts
from hpobench.text import UNKNOWN, number

if TYPE_CHECKING:
    from hpobench.results.run import Results

MOST_SEARCHERS = 8
"""With more, only the pairs with the lowest searcher are shown at once."""

SMALLEST_P = 0.001
MOST_TIMES, FEWEST_TIMES = 100_000, 100
"""At which crossovers are looked for: over all pairs of a page, and for each."""


@dataclass(frozen=True)
class Pair:
    """``first`` ended at or below ``second``, in the mean over the seeds that both have.

    ``difference``: first − second; ``p``: adjusted for all pairs of the task. ``improvement``: the
    share of seeds on which the first is lower; a cell that is not complete is not lower.
    ``crossover``: from when on the first is lower; None if it never is.
    """

    first: str
    second: str
    difference: Difference
    p: float
    better: str | None
    improvement: Share
    crossover: Crossover | None


def pairs_of(results: Results, curves: FlatCurves, task: str) -> list[Pair]:
    """Every pair of searchers, those with the lowest first; crossovers are over the curves' clock.

    Only a searcher that completed all of its cells, and is not still at the task's default, comes
    first. Crossovers are exact but on large studies, where they are looked for at fewer times.
    """
    number = results.tasks.index(task)
    names = results.searchers
    ends = curves.finals(curves.values)[number]
    by_seed = dict(zip(names, ends, strict=True))
    order = {searcher: place for place, searcher in enumerate(_ranked(results, task))}
    measured = ~np.isnan(ends).all(axis=0)
    pairs = math.comb(len(names), 2) * len(results.tasks)
    times = curves.times_of(number)
    times = times[kept_steps(times, times[-1], max(MOST_TIMES // max(pairs, 1), FEWEST_TIMES))]
    values = dict(zip(names, curves.on_grid(number, times), strict=True))
    compared = []
    for verdict in verdicts(by_seed):
        first, second, difference = _oriented(verdict, order)
        a, b = by_seed[first], by_seed[second]
        both = ~(np.isnan(a) | np.isnan(b))
        compared.append(
            Pair(
                *(first, second, difference, verdict.p, verdict.better),
                probability_of_improvement(a[measured], b[measured])
                if measured.any()
                else _NO_SHARE,
                crossover(times, values[first][both], values[second][both]) if both.any() else None,
            )
        )
    return sorted(compared, key=lambda pair: sorted((order[pair.first], order[pair.second])))


_NO_SHARE = Share(math.nan, math.nan, math.nan, 0, 0)


def pairs_tables(results: Results, curves: FlatCurves, clock: Clock) -> Record | None:
    """What the page shows: each task's table, and what is said of all; None for one searcher.

    Of many searchers, the pairs without the lowest one are in ``rest``.
    """
    if len(results.searchers) < 2:
        return None
    seeds = len(results.study["seeds"])
    few = seeds < FEWEST_SEEDS_FOR_A_BAND
    return {
        "tasks": [_table(results, curves, task, clock, few) for task in results.tasks],
        "columns": _columns(few, CLOCKS[clock].unit),
        "explained": _explained(seeds, few, math.comb(len(results.searchers), 2)),
    }


def _ranked(results: Results, task: str) -> list[str]:
    """The searchers as the summary has them, those that cannot be called lowest after the rest."""
    summary = results.summary()
    whole = summary["seeds_complete"] == summary["seeds_planned"]
    first = whole & (summary["seeds_at_default"] < summary["seeds_complete"])
    of_task = summary["task"] == task
    return [*summary.loc[of_task & first, "searcher"], *summary.loc[of_task & ~first, "searcher"]]


def _oriented(verdict: Verdict, order: Mapping[str, int]) -> tuple[str, str, Difference]:
    first, second, d = verdict.first, verdict.second, verdict.difference
    tied = not d.mean < 0 and not d.mean > 0
    if d.mean < 0 or (tied and order[first] < order[second]):
        return first, second, d
    return second, first, Difference(-d.mean, d.standard_error, -d.high, -d.low, d.p, d.n)


def _table(results: Results, curves: FlatCurves, task: str, clock: Clock, few: bool) -> Record:
    pairs = pairs_of(results, curves, task)
    rows = [_row(pair, few, CLOCKS[clock].amount) for pair in pairs]
    many = len(results.searchers) > MOST_SEARCHERS
    shown = len(results.searchers) - 1 if many else len(rows)
    what = "test loss" if results.references[task] is None else "regret"
    return {"name": task, "final": what, "rows": rows[:shown], "rest": rows[shown:]}


def _columns(few: bool, unit: str) -> list[str]:
    separated = [] if few else ["p, adjusted", "lower"]
    return ["seeds", "difference", *separated, "improvement", f"lower from, {unit}"]


def _explained(seeds: int, few: bool, pairs: int) -> str:
    pair = (
        "The one that ended lower comes first; the difference is the first's final value minus the"
        " second's, the mean over the seeds on which both are complete."
    )
    chance = (
        "Improvement is the probability of improvement: the share of seeds on which the first ended"
        " lower, where a tie counts half and a cell that is not complete is not lower."
    )
    since = "Lower from: since when the first's mean is below the second's, to the end."
    if few:
        number = "One seed is" if seeds == 1 else f"{seeds} seeds are"
        least = FEWEST_SEEDS_FOR_A_BAND
        said = f"{number} too few for p and for intervals; it takes at least {least}."
        return f"{pair} {chance} {since} {said}"
    sure = "In brackets are 95 % intervals"
    if pairs > 1:
        sure += (
            f", each of its own pair alone, while p is adjusted for all {pairs} pairs of a task"
            " (Holm): an interval may leave out zero where the pair is not separated"
        )
    return f"{pair} {sure}. {chance} {since}"


def _row(pair: Pair, few: bool, amount: Callable[[float], str]) -> Record:
    d, since = pair.difference, pair.crossover
    enough = d.n >= FEWEST_SEEDS_FOR_A_BAND
    lower = pair.better or "not separated"
    separated = [_p(pair.p), lower] if enough else [UNKNOWN, "too few seeds"]
    return {
        "first": pair.first,
        "second": pair.second,
        "values": [
            str(d.n),
            _between(d.mean, (d.low, d.high) if enough else None, number),
            *([] if few else separated),
            _share(pair.improvement, few),
            UNKNOWN if since is None else _between(since.time, since.interval, amount),
        ],
    }


def _p(p: float) -> str:
    return f"< {SMALLEST_P:g}" if p < SMALLEST_P else number(p, 2)


def _between(
    value: float, interval: tuple[float, float] | None, words: Callable[[float], str]
) -> str:
    if interval is None or math.isnan(value):
        return words(value)
    low, high = ("∞" if math.isinf(end) else words(end) for end in interval)
    return f"{words(value)} [{low} to {high}]"


def _share(share: Share, few: bool) -> str:
    if not share.n:
        return UNKNOWN
    gone = f", {share.missing} missing" if share.missing else ""
    if few:
        return f"{number(share.value * share.n)} of {share.n}{gone}"
    value, low, high = (f"{100 * part:.0f}" for part in share[:3])
    return f"{value} % [{low} to {high}]{gone}"
