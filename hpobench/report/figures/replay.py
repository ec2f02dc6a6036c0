"""Replay regret over the clock: what each incumbent is worth, trained again on fresh draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hpobench.report.figures.panel import Drawn, Panel, panel_of
from hpobench.results.regret import StepCurve, zero_tolerance
from hpobench.results.replay_times import replayed_curves

if TYPE_CHECKING:
    from hpobench.results.run import Results


def replay_panel(results: Results, task: str) -> Panel | None:
    """The replayed curves of one task's complete cells; None unless every incumbent was asked for.

    Each is the mean over draws of the incumbent's test loss minus the reference's, until the first
    full training the default's. A cell whose incumbents are not all trained again has none.
    """
    replays = results.replays
    if replays is None or not replays.every:
        return None
    search = panel_of(results, task)
    metric, regret = results.task(task)["metric"], results.references[task] is not None
    rows = replays.lines
    rows = rows[(rows["task"] == task) & (rows["draw"] < replays.draws)]
    draws = {
        key: mine["test_loss"].to_numpy()
        for key, mine in rows[rows["row"] != "incumbent"].groupby(["row", "seed"])
    }
    seeds = results.study["seeds"]

    def mean(row: str, seed: int) -> float:
        found = draws.get((row, seed), ())
        return float(np.mean(found)) if len(found) == replays.draws else math.nan

    zero = {s: mean("reference", s) if regret else 0.0 for s in seeds}
    default = {s: mean("default", s) for s in seeds}

    def curve(seed: int, losses: StepCurve) -> StepCurve:
        known = np.where(np.isinf(losses.values), default[seed], losses.values)
        return StepCurve(losses.times, known - zero[seed])

    drawn = []
    for place, (searcher, of_seed) in enumerate(replayed_curves(results, task).items()):
        curves = {seed: curve(seed, losses) for seed, losses in of_seed.items()}
        whole = {seed: c for seed, c in curves.items() if not np.isnan(c.values).any()}
        planned = search.drawn[place].planned
        drawn.append(Drawn(searcher, place, tuple(whole.values()), planned, tuple(whole)))
    tolerances = [zero_tolerance(draws["reference", s]) for s in seeds if ("reference", s) in draws]
    return Panel(
        task=task,
        quantity=f"replay regret: test {metric} above the reference's, both trained again"
        if regret
        else f"replayed test {metric} of the incumbent",
        regret=regret,
        drawn=tuple(drawn),
        default=float(np.mean([default[s] - zero[s] for s in seeds])),
        tolerance=float(np.mean(tolerances)) if tolerances else math.nan,
        end=search.end,
        end_is_budget=search.end_is_budget,
    )
