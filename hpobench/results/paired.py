"""What searchers come to on a task, paired by seed: arrays for the statistics.

Every array has one place for each seed of the study, in its order. A cell that is not complete has
no value (NaN); it is never left out, so that equal places stay pairs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hpobench.results.regret import Clock, step_curves
from hpobench.results.targets import approaches
from hpobench.statistics.curves import Array
from hpobench.statistics.times import Times

if TYPE_CHECKING:
    from hpobench.results.run import Results


def finals(results: Results, task: str) -> dict[str, Array]:
    """By searcher, each seed's regret at the end; without a reference, its test loss."""
    return ends(results, task, "test_loss" if results.references[task] is None else "regret")


def ends(results: Results, task: str, value: str) -> dict[str, Array]:
    """What each seed's incumbent comes to at the end.

    Args:
        results: the run.
        task: name of the task.
        value: a column of the regret frame.

    Returns:
        By searcher, (seeds,).
    """
    ends_of = {}
    for searcher in results.searchers:
        curves = step_curves(results.changes(task, searcher), "seconds", value)
        last = {seed: curve.last for seed, curve in curves.items()}
        ends_of[searcher] = np.array([last.get(seed, math.nan) for seed in results.study["seeds"]])
    return ends_of


def times_to(results: Results, task: str, target: str, clock: Clock) -> dict[str, Times] | None:
    """When each seed came to a target to stay.

    A complete cell that ends above it gets there later than its end, if ever; so does one that
    failed, of which that end is the budget's where the budget is on this clock. Of any other cell
    nothing is known.

    Args:
        results: the run.
        task: name of the task.
        target: one of `targets.TARGETS`.
        clock: seconds, slot_seconds or steps.

    Returns:
        By searcher; None without a reference.
    """
    if results.references[task] is None:
        return None
    found = {}
    for searcher in results.searchers:
        reached = approaches(results.changes(task, searcher), clock)[target].times()
        end_of = results.ended(task, searcher, clock)
        known = [(reached.get(seed), end_of.get(seed, 0.0)) for seed in results.study["seeds"]]
        found[searcher] = Times.until([time for time, _ in known], [end for _, end in known])
    return found
