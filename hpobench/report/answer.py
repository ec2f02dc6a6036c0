"""The answer in words: who ended lowest on a task, and how sure that is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hpobench.report.wording import default_held, listed, number, plural
from hpobench.results.regret import FEWEST_SEEDS_FOR_A_BAND, Estimate, estimate

if TYPE_CHECKING:
    from hpobench.results.run import Results


def answers(results: Results) -> list[str]:
    """One or two sentences for each task, computed from the complete cells."""
    return [answer(results, task) for task in results.tasks]


def answer(results: Results, task: str) -> str:
    """Who ended lowest on a task, with its uncertainty, and from whom that does not separate it.

    Only a searcher whose planned cells are all complete, and not all still at the task's default,
    is called lowest. Two searchers are separated if the 95 % intervals of their means, from at
    least five seeds each, do not overlap.
    """
    finals = final_values(results, task)
    planned = results.cells.loc[results.cells["task"] == task, "searcher"].value_counts()
    whole = {s: values for s, values in finals.items() if len(values) == planned[s]}
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
    separation, lower = _separation(lowest, others, whole), _lower(lowest, finals, whole)
    return " ".join(filter(None, [sentence, separation, lower, held]))


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


def final_values(results: Results, task: str) -> dict[str, list[float]]:
    """By searcher, each complete seed's final regret; without a reference, its test loss."""
    value = "test_loss" if results.references[task] is None else "regret"
    rows = results.regret()
    rows = rows[
        (rows["task"] == task) & (rows["curve"] == "incumbent") & (rows["status"] == "complete")
    ]
    last = rows.drop_duplicates(["searcher", "seed"], keep="last").dropna(subset=[value])
    return {
        searcher: last.loc[last["searcher"] == searcher, value].tolist()
        for searcher in results.searchers
    }


def _lead(results: Results, task: str, lowest: str, values: list[float]) -> str:
    if results.references[task] is None:
        metric = results.task(task)["metric"]
        return (
            f"{task} has no reference, so no regret; {lowest} ended with the lowest"
            f" test {metric}, {_spread(values)}"
        )
    regret, zero = estimate(values).mean, _zero_tolerance(results, task)
    if abs(regret) <= zero:
        place = ", within the reference's standard error"
    else:
        interval = estimate(values).interval()
        surely = interval is not None and interval[1] < 0
        below = "better than the reference" if surely else "below the reference"
        place = f", {below}" if regret < 0 else ""
    return f"On {task}, {lowest} ended lowest, with a regret of {_spread(values)}{place}"


def _zero_tolerance(results: Results, task: str) -> float:
    rows = results.regret()
    rows = rows[(rows["task"] == task) & (rows["status"] == "complete")]
    return float(rows.drop_duplicates("seed")["zero_tolerance"].mean())


def _spread(values: list[float]) -> str:
    """The mean, with its 95 % interval or, below five seeds, the range of the seeds."""
    found = estimate(values)
    interval = found.interval()
    seeds = plural(found.n, "seed")
    if interval is not None:
        low, high = map(number, interval)
        return f"{number(found.mean)} (95 % interval {low} to {high}, {seeds})"
    if found.n == 1:
        return f"{number(found.mean)} ({seeds})"
    return f"{number(found.mean)} ({seeds}, from {number(min(values))} to {number(max(values))})"


def _next(others: list[str], whole: dict[str, list[float]]) -> str:
    if not others:
        return ""
    return f"; next is {others[0]}, with {_spread(whole[others[0]])}"


def _separation(lowest: str, others: list[str], whole: dict[str, list[float]]) -> str:
    if not others:
        return "No other searcher has all of its cells complete, with something trained in full."
    n = len(whole[lowest])
    if n < FEWEST_SEEDS_FOR_A_BAND:
        few = "One seed is" if n == 1 else f"{n} seeds are"
        return f"{few} too few to separate searchers; it takes at least {FEWEST_SEEDS_FOR_A_BAND}."
    mine = estimate(whole[lowest])
    close = [other for other in others if _overlap(mine, estimate(whole[other]))]
    if not close:
        return f"Its interval overlaps with no other: {n} seeds separate it from the rest."
    return f"Its interval overlaps with that of {listed(close)}: {n} seeds do not separate them."


def _overlap(a: Estimate, b: Estimate) -> bool:
    first, second = a.interval(), b.interval()
    if first is None or second is None or math.isnan(first[0]) or math.isnan(second[0]):
        return True
    return first[0] <= second[1] and second[0] <= first[1]


def _lower(lowest: str, finals: dict[str, list[float]], whole: dict[str, list[float]]) -> str:
    """Those that are lower over the few seeds that they completed."""
    level = estimate(whole[lowest]).mean
    lower = [s for s in finals if s not in whole and finals[s] and estimate(finals[s]).mean < level]
    if not lower:
        return ""
    verb = "is" if len(lower) == 1 else "are"
    return f"{listed(lower)} {verb} lower still, but not all of the cells are complete."
