"""What a searcher's clock went into beside training: the framework's price, and its thinking."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hpobench.text import listed, percent, seconds

if TYPE_CHECKING:
    from hpobench.results.run import Results

MOST_APART = 0.02
"""By how much the framework's shares of two searchers' clocks may differ, before it is said."""

DEAR = 0.1
"""From which share of its clock on it is said that a searcher thought."""


def price_notes(results: Results, task: str) -> list[str]:
    """A note if the framework charged the searchers of a task unequally."""
    share = _shares(results, task, "orchestration_share")
    if len(share) < 2:
        return []
    most, least = max(share, key=share.__getitem__), min(share, key=share.__getitem__)
    if share[most] - share[least] <= MOST_APART:
        return []
    return [
        f"On {task} the framework took {percent(share[most])} of the clock of {most} and"
        f" {percent(share[least])} of that of {least}: curves over seconds favour {least} by as"
        " much. Longer trainings make it small; --clock steps leaves it out."
    ]


def thinking_notes(results: Results, task: str) -> list[str]:
    """A note on who thought for much of its clock, and how long a training took beside it."""
    share = _shares(results, task, "thinking_share")
    dear = {name: part for name, part in share.items() if part > DEAR}
    if not dear:
        return []
    whose = listed([f"{name} {percent(part)}" for name, part in dear.items()])
    of_task = results.evaluations[results.evaluations["task"] == task]
    length = (of_task["ended"] - of_task["began"]).median()
    beside = "" if math.isnan(length) else f" beside evaluations of {seconds(length)} s"
    return [
        f"Thinking took much of the clock on {task}{beside}: {whose}. The longer an evaluation"
        " takes, the less it weighs."
    ]


def _shares(results: Results, task: str, column: str) -> dict[str, float]:
    """By searcher, those that are known."""
    summary = results.summary()
    of_task = summary[(summary["task"] == task) & summary[column].notna()]
    return dict(zip(of_task["searcher"], of_task[column], strict=True))
