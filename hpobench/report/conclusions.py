"""The answer in words: who ended lowest on a task, how sure that is, and how much sooner it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpobench.report.tables.speedup import sooner
from hpobench.results.paired import finals
from hpobench.results.replayed import lowest_replayed
from hpobench.statistics.curves import FEWEST_SEEDS_FOR_A_BAND, Array, estimate
from hpobench.statistics.verdicts import MOST_SEEDS, Verdict, seeds_to_separate, verdicts
from hpobench.text import default_held, listed, number, plural, plus_minus

if TYPE_CHECKING:
    from hpobench.results.regret import Clock
    from hpobench.results.run import Results

SMALLEST_P = 0.001
"""Below it, no more is said."""


def answers(results: Results, clock: Clock = "seconds") -> list[str]:
    """A few sentences for each task, computed from the complete cells."""
    return [answer(results, task, clock) for task in results.tasks]


def answer(results: Results, task: str, clock: Clock = "seconds") -> str:
    """Who ended lowest on a task, from whom that separates it, and how much sooner it was there.

    Only a searcher whose planned cells are all complete, and not all still at the task's default,
    is called lowest. The verdicts are those of `statistics.verdicts` at the end of the budget, from
    at least five seeds that both have; times are over a clock.
    """
    by_seed = finals(results, task)
    measured = {s: values[~np.isnan(values)].tolist() for s, values in by_seed.items()}
    planned = results.cells.loc[results.cells["task"] == task, "searcher"].value_counts()
    whole = {s: values for s, values in measured.items() if len(values) == planned[s]}
    if not whole:
        return (
            f"On {task}, no searcher has all of its cells complete and measured,"
            " so none is called lowest."
        )
    held, at_default = _held(results, task, whole)
    ranked = sorted(whole.keys() - at_default, key=lambda s: (estimate(whole[s]).mean, s))
    if not ranked:
        return f"On {task}, no searcher got beyond the default, so none is called lowest. {held}"
    lowest, *others = ranked
    sentence = f"{_lead(results, task, lowest, whole[lowest])}{_next(others, whole)}."
    separation, lower = _separation(by_seed, lowest, others), _lower(lowest, by_seed, whole)
    soon = sooner(results, task, lowest, others, clock)
    again = _replayed(results, task, lowest)
    return " ".join(filter(None, [sentence, separation, soon, lower, held, again]))


def _held(results: Results, task: str, whole: dict[str, list[float]]) -> tuple[str, set[str]]:
    """Which searchers stand at the task's default, in words, and for all of their seeds."""
    summary = results.summary()
    rows = summary[(summary["task"] == task) & (summary["seeds_at_default"] > 0)]
    words, entirely = [], set()
    for row in rows.to_dict("records"):
        searcher = row["searcher"]
        if searcher in whole:
            level = number(estimate(whole[searcher]).mean)
            words.append(f"{searcher}, with {level}, stands at {default_held(row)}.")
        if row["seeds_at_default"] == row["seeds_complete"]:
            entirely.add(searcher)
    return " ".join(words), entirely


def _lead(results: Results, task: str, lowest: str, values: list[float]) -> str:
    if results.references[task] is None:
        metric = results.task(task)["metric"]
        return (
            f"{task} has no reference, so no regret; {lowest} ended with the lowest"
            f" test {metric}, {_spread(values)}"
        )
    regret, zero = estimate(values).mean, _zero_tolerance(results, task)
    interval = estimate(values).interval()
    if abs(regret) <= zero:
        place = ", within the reference's standard error"
    elif regret >= 0:
        place = ""
    elif interval is not None and interval[1] < 0:
        place = ", below the reference (by an interval that does not know it is the lowest's)"
    else:
        place = ", below the reference"
    return f"On {task}, {lowest} ended lowest, with a regret of {_spread(values)}{place}"


def _zero_tolerance(results: Results, task: str) -> float:
    rows = results.regret()
    rows = rows[(rows["task"] == task) & (rows["status"] == "complete")]
    tolerances = rows.drop_duplicates("seed")["zero_tolerance"].to_numpy()
    return float(np.sqrt(np.sum(tolerances**2)) / len(tolerances))  # of the mean over splits


def _spread(values: list[float]) -> str:
    """The mean, with its 95 % interval or, below five seeds, the range of the seeds."""
    mean = estimate(values)
    interval = mean.interval()
    seeds = plural(mean.n, "seed")
    if interval is not None:
        low, high = map(number, interval)
        return f"{number(mean.mean)} (95 % interval {low} to {high}, {seeds})"
    if mean.n == 1:
        return f"{number(mean.mean)} ({seeds})"
    return f"{number(mean.mean)} ({seeds}, from {number(min(values))} to {number(max(values))})"


def _next(others: list[str], whole: dict[str, list[float]]) -> str:
    if not others:
        return ""
    return f"; next is {others[0]}, with {_spread(whole[others[0]])}"


def _separation(by_seed: Mapping[str, Array], lowest: str, others: list[str]) -> str:
    if not others:
        return "No other searcher has all of its cells complete, with something trained in full."
    every_pair = verdicts(by_seed)
    against = {
        (v.second if v.first == lowest else v.first): v
        for v in every_pair
        if lowest in (v.first, v.second)
    }
    n = min(against[other].difference.n for other in others)
    if n < FEWEST_SEEDS_FOR_A_BAND:
        few = "One seed is" if n == 1 else f"{n} seeds are"
        return f"{few} too few to separate searchers; it takes at least {FEWEST_SEEDS_FOR_A_BAND}."
    lower = [other for other in others if against[other].better == lowest]
    near = [other for other in others if against[other].better is None]
    clauses = [f"lower than {listed(lower)} ({_p(against, lower)})"] if lower else []
    clauses += [f"not separated from {listed(near)} ({_p(against, near)})"] if near else []
    pairs = len(every_pair)
    adjusted = f", with Holm's correction for {pairs} pairs" if pairs > 1 else ""
    verdict = f"Seed by seed{adjusted}, it is {', and '.join(clauses)}."
    return f"{verdict}{_more_seeds(against, near, pairs)}"


def _p(verdicts: Mapping[str, Verdict], others: Sequence[str]) -> str:
    """The range of the adjusted p-values."""
    p = sorted(verdicts[other].p for other in others)
    if p[-1] < SMALLEST_P:
        return f"p < {SMALLEST_P:g}"
    low, high = (number(value, 2) for value in (p[0], p[-1]))
    if low == high:
        return f"p = {low}"
    return f"p from {low if p[0] >= SMALLEST_P else f'below {SMALLEST_P:g}'} to {high}"


def _more_seeds(verdicts: Mapping[str, Verdict], near: Sequence[str], pairs: int) -> str:
    """How many more would separate the one that is the nearest to being separated."""
    if not near:
        return ""
    other = min(near, key=lambda name: (verdicts[name].p, name))
    advice = seeds_to_separate(verdicts[other].difference, pairs=pairs)
    if advice is None or advice.more is None:
        start = f" If the difference seen is the true one, more than {MOST_SEEDS} more seeds would"
        fewest = None if advice is None else advice.fewest
        larger = "" if fewest is None else f"; as it may be larger, {fewest} or more"
        return f"{start} separate it from {other}{larger}."
    most = f"more than {MOST_SEEDS}" if advice.most is None else str(advice.most)
    return (
        f" Some {plural(advice.more, 'more seed')} would separate it from {other} with a power of"
        f" 80 % if the difference seen is the true one; as it may be larger or smaller,"
        f" {advice.fewest} to {most}."
    )


def _replayed(results: Results, task: str, lowest: str) -> str:
    """Who is lowest once all last incumbents are trained again; empty if nobody asked."""
    if results.replays is None:
        return ""
    summary = results.replay_summary()
    summary = summary[summary["task"] == task]
    again = lowest_replayed(summary, results.summary())
    if again is None:
        return ""
    last = summary[summary["at"] == summary["at"].iloc[-1]].set_index("searcher")

    def level(searcher: str) -> str:
        row = last.loc[searcher]
        if results.references[task] is None:
            return number(row["replay_test_loss"])
        return plus_minus(row["replay_regret"], row["replay_regret_se"])

    kind = "test loss" if results.references[task] is None else "replay regret"
    draws = plural(results.replays.draws, "fresh draw")
    start = f"Trained again on {draws}, {again} is lowest, with a {kind} of {level(again)}"
    if again == lowest:
        return f"{start}."
    known = last.loc[lowest, "replay_n"] > 0
    return f"{start}; {lowest} comes to {level(lowest)}." if known else f"{start}."


def _lower(lowest: str, by_seed: Mapping[str, Array], whole: Mapping[str, list[float]]) -> str:
    """Those that are lower on the few seeds that they completed."""
    lower = []
    for searcher, values in by_seed.items():
        both = ~np.isnan(values)
        differences = (values - by_seed[lowest])[both]
        if searcher not in whole and both.any() and float(differences.mean()) < 0:
            lower.append(searcher)
    if not lower:
        return ""
    verb = "is" if len(lower) == 1 else "are"
    return f"{listed(lower)} {verb} lower still on the seeds that are complete, but not all are."
