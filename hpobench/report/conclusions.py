"""The answer in words: who ended lowest on a task, how sure that is, and how much sooner it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpobench.report.clocks import CLOCKS
from hpobench.report.tables.speedup import sooner
from hpobench.results.paired import finals
from hpobench.results.regret import step_curves
from hpobench.results.replayed import lowest_replayed
from hpobench.statistics.curves import (
    FEWEST_SEEDS_FOR_A_BAND,
    Array,
    StepCurve,
    estimate,
    lowest_from,
    mean_curve,
)
from hpobench.statistics.verdicts import (
    FAMILY_ERROR,
    MOST_SEEDS,
    Verdict,
    paired,
    seeds_to_separate,
    verdicts,
)
from hpobench.text import default_held, listed, number, plural, plus_minus

if TYPE_CHECKING:
    from hpobench.results.regret import Clock
    from hpobench.results.run import Results

MOST_NAMED = 3
"""From whom it is not separated is said at once of so few."""

SMALLEST_P = 0.001
"""Below it, no more is said."""


@dataclass(frozen=True)
class Answer:
    """What a task's cells come to.

    Args:
        headline: Who ended lowest, by how much, and from when on.
        sure: Whether the seeds separate it from the others, in a short sentence.
        details: What else there is to say of it, sentence by sentence.
    """

    headline: str
    sure: str = ""
    details: tuple[str, ...] = ()

    @property
    def opening(self) -> str:
        """What is said first, on a line."""
        return f"{self.headline} {self.sure}".strip()


def answers(results: Results, clock: Clock = "seconds") -> list[Answer]:
    """That of each task, computed from the complete cells."""
    return [answer(results, task, clock) for task in results.tasks]


def verdict(found: Sequence[Answer]) -> list[str]:
    """What a report opens with, a line for each task; what is as sure on all is said once."""
    sure = dict.fromkeys(answer.sure for answer in found)
    (first, *others), several = sure or [""], len(found) > 1
    if not others:
        said = f"On every task, {first[:1].lower()}{first[1:]}" if several and first else first
        return [*(answer.headline for answer in found), *filter(None, [said])]
    return [answer.opening for answer in found]


def further(results: Results, found: Sequence[Answer]) -> list[str]:
    """What else there is to say, a paragraph for each task."""
    told = {task: one.details for task, one in zip(results.tasks, found, strict=True)}
    several = len(told) > 1
    return [
        f"{f'{task}: ' if several else ''}{' '.join(details)}"
        for task, details in told.items()
        if details
    ]


def answer(results: Results, task: str, clock: Clock = "seconds") -> Answer:
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
        return Answer(
            f"On {task}, no searcher has all of its cells complete and measured,"
            " so none is called lowest."
        )
    held, at_default = _held(results, task, whole)
    ranked = sorted(whole.keys() - at_default, key=lambda s: (estimate(whole[s]).mean, s))
    if not ranked:
        none = f"On {task}, no searcher got beyond the default, so none is called lowest."
        return Answer(none, details=(held,))
    lowest, *others = ranked
    compared = _Compared.of(by_seed, lowest, others)
    level = estimate(whole[lowest]).mean
    tied = [searcher for searcher in ranked if estimate(whole[searcher]).mean == level]
    if len(tied) > 1:
        ahead, names = ", and level with each other", listed(tied)
    else:
        ahead, names = _ahead(by_seed, lowest, others), lowest
        ahead += _since(results, task, lowest, [*whole], clock)
    headline = f"{_lead(results, task, names, whole[lowest])}{ahead}."
    higher = [searcher for searcher in others if searcher not in tied]
    details = [
        f"Next is {higher[0]}, with {_spread(whole[higher[0]])}." if higher else "",
        compared.separation(),
        _surely_below(results, task, whole[lowest]),
        sooner(results, task, lowest, others, clock),
        _lower(lowest, by_seed, whole),
        held,
    ]
    again = _replayed(results, task, lowest)
    sure = compared.sure() if len(results.searchers) > 1 else ""
    return Answer(f"{headline} {again}".strip(), sure, tuple(filter(None, details)))


def _ahead(by_seed: Mapping[str, Array], lowest: str, others: list[str]) -> str:
    """By how much the next is above it, seed by seed."""
    if not others:
        return ""
    gap = paired(by_seed[others[0]], by_seed[lowest])
    if gap.n < FEWEST_SEEDS_FOR_A_BAND:
        return f"; {number(gap.mean)} below the next, {others[0]}"
    interval = f"95 % interval {number(gap.low)} to {number(gap.high)}"
    return f"; {number(gap.mean)} ({interval}) below the next, {others[0]}"


def _since(results: Results, task: str, lowest: str, whole: list[str], clock: Clock) -> str:
    """From when on its mean is below those of all that completed their cells.

    Not before it has trained anything in full: what it holds until then is the default.
    """
    value = "test_loss" if results.references[task] is None else "regret"

    def mean(searcher: str) -> StepCurve:
        curves = step_curves(results.changes(task, searcher), clock, value)
        return mean_curve([*curves.values()]).mean

    rivals = [mean(searcher) for searcher in whole if searcher != lowest]
    own = mean(lowest)
    time = lowest_from(own, rivals) if rivals else None
    if time is None:
        return ""
    time = max([time, *own.times[1:2].tolist()])
    words = CLOCKS[clock]
    which = "it is" if len(results.study["seeds"]) == 1 else "its mean over seeds is"
    return f"; {which} the lowest from {words.amount(time)} {words.short} on"


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
    """``lowest``: one name, or several that ended level."""
    reference = results.references[task]
    if reference is None:
        metric = results.task(task)["metric"]
        return (
            f"{task} has no reference, so no regret; {lowest} ended with the lowest"
            f" test {metric}, {_spread(values)}"
        )
    regret, zero = estimate(values).mean, _zero_tolerance(results, task)
    if abs(regret) <= zero:
        place = ", within the reference's standard error"
    elif regret >= 0:
        place = ""
    else:
        place = f", {_how_below(values)} the {reference['kind']} reference"
    return f"On {task}, {lowest} ended lowest, with a regret of {_spread(values)}{place}"


def _how_below(values: list[float]) -> str:
    """What regrets of a mean below zero are to the reference, in words."""
    interval = estimate(values).interval()
    if interval is not None:
        return "below" if interval[1] < 0 else "in the mean, not for certain, below"
    if len(values) == 1:
        return "on the one seed below"
    below = sum(value < 0 for value in values)
    return "on each of them below" if below == len(values) else "in the mean, not on each, below"


def _surely_below(results: Results, task: str, values: list[float]) -> str:
    """What is said of an interval that leaves out the reference; else nothing."""
    interval = estimate(values).interval()
    if results.references[task] is None or interval is None or interval[1] >= 0:
        return ""
    return (
        "The interval of its regret is below the reference, but does not know that it was picked as"
        " the lowest."
    )


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


@dataclass(frozen=True)
class _Compared:
    """The lowest against each of the others that can be called lowest, seed by seed.

    Args:
        lowest: The lowest.
        against: By the other's name, of the others in order.
        pairs: How many pairs there are in all, for which p is adjusted.
    """

    lowest: str
    against: Mapping[str, Verdict]
    pairs: int

    @classmethod
    def of(cls, by_seed: Mapping[str, Array], lowest: str, others: list[str]) -> _Compared:
        every_pair = verdicts(by_seed) if others else []
        against = {
            (v.second if v.first == lowest else v.first): v
            for v in every_pair
            if lowest in (v.first, v.second)
        }
        return cls(lowest, {other: against[other] for other in others}, len(every_pair))

    @property
    def lower(self) -> list[str]:
        return [other for other, verdict in self.against.items() if verdict.better == self.lowest]

    @property
    def near(self) -> list[str]:
        return [other for other, verdict in self.against.items() if verdict.better is None]

    @property
    def seeds(self) -> int:
        return min((verdict.difference.n for verdict in self.against.values()), default=0)

    def sure(self) -> str:
        """Whether it is separated from the others, in a short sentence."""
        if not self.against:
            return (
                "No other searcher has all of its cells complete, with something trained in full."
            )
        if self.seeds < FEWEST_SEEDS_FOR_A_BAND:
            few = "One seed is" if self.seeds == 1 else f"{self.seeds} seeds are"
            least = FEWEST_SEEDS_FOR_A_BAND
            return f"{few} too few to separate searchers; it takes at least {least}."
        level = f" at the {100 * FAMILY_ERROR:g} % level"
        lower, others = len(self.lower), len(self.against)
        if lower == others:
            of = listed(self.lower) if others == 1 else f"all {others} others"
            return f"Seed by seed it is separated from {of}{level}."
        if not lower:
            of = listed(self.near) if others == 1 else f"any of the {others} others"
            return f"Seed by seed it is not separated from {of}{level}."
        near = f", not from {listed(self.near)}" if len(self.near) <= MOST_NAMED else ""
        return f"Seed by seed it is separated from {lower} of the {others} others{level}{near}."

    def separation(self) -> str:
        """From whom it is separated, how surely, and what it would take."""
        if self.seeds < FEWEST_SEEDS_FOR_A_BAND:
            return ""
        lower, near = self.lower, self.near
        clauses = [f"lower than {listed(lower)} ({_p(self.against, lower)})"] if lower else []
        if near:
            clauses.append(f"not separated from {listed(near)} ({_p(self.against, near)})")
        adjusted = f", with Holm's correction for {self.pairs} pairs" if self.pairs > 1 else ""
        verdict = f"Seed by seed{adjusted}, it is {', and '.join(clauses)}."
        return f"{verdict}{_more_seeds(self.against, near, self.pairs)}"


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
