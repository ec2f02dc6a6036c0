"""Replay regret: what incumbents come to when they are trained again, on draws that nobody chose.

An incumbent is chosen for one validation loss, so part of it is a lucky draw; trained again with
its hyperparameters frozen, only the hyperparameters are left. Replay regret is its test loss then,
minus the reference's on the same split and the same draw: the same initial weights and batch order
for every searcher, for the reference and for the default, so that all differences are paired.

How a replay trains is said in `hpobench.running.replays`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from hpobench.results.json_files import Record
from hpobench.statistics.curves import estimate, regret

END = "end"
"""The end of the budget, as a time."""

COLUMNS = (
    "task",
    "searcher",
    "seed",
    "at",
    "draw",
    "evaluation",
    "trained_on",
    "test_loss",
    "test_accuracy",
    "reference_loss",
    "default_loss",
    "replay_regret",
    "search_regret",
    "cell",
    "status",
)
_LINE = ["test_loss", "test_accuracy", "trained_on"]
_PAIR = ["task", "seed", "draw"]


@dataclass(frozen=True)
class Replays:
    """What of a run has been trained again, and what was asked for.

    Args:
        at: times on the cells' clocks in seconds, ascending; ``math.inf`` is the end.
        draws: how often each incumbent is trained.
        lines: those of ``replay.jsonl``.
        every: whether the incumbents between those times were asked for, too.
    """

    at: tuple[float, ...]
    draws: int
    lines: pd.DataFrame
    every: bool = False


def label(at: float) -> str:
    """A time as the tables have it: seconds, or "end"."""
    return END if math.isinf(at) else f"{at:.12g}"


def incumbents_at(changes: pd.DataFrame, at: Sequence[float]) -> pd.DataFrame:
    """Who was the incumbent of each cell at each time.

    Args:
        changes: the regret frame (see `hpobench.results.regret.regret_frame`).
        at: times in seconds.

    Returns:
        Columns: cell; at, as `label` has it; evaluation, empty while the incumbent is the task's
        default; search_regret, the regret of the weights that the search itself had trained.
    """
    columns = ["cell", "seconds", "evaluation", "regret"]
    incumbents = changes.loc[changes["curve"] == "incumbent", columns]

    def held_at(time: float) -> pd.DataFrame:
        so_far = incumbents[incumbents["seconds"] <= time]
        return so_far.drop_duplicates("cell", keep="last").assign(at=label(time))

    held = [held_at(time) for time in at]
    table = pd.concat(held, ignore_index=True) if held else incumbents.assign(at="")[:0]
    table = table.rename(columns={"regret": "search_regret"})
    return table[["cell", "at", "evaluation", "search_regret"]]


def replay_frame(
    cells: pd.DataFrame, evaluations: pd.DataFrame, changes: pd.DataFrame, replays: Replays
) -> pd.DataFrame:
    """A row for each planned cell, time and draw.

    Args:
        cells: the planned cells, as `Results` has them.
        evaluations: theirs.
        changes: the regret frame.
        replays: what was trained again.

    Returns:
        ``COLUMNS``. ``replay_regret``: ``test_loss`` minus ``reference_loss``, all of the same
        draw. Where the incumbent was still the default, it is the default's replay. What has not
        been trained is empty, and so are the rows of a cell that is not complete; ``status`` says
        so. ``trained_on``: "training and validation", or "training" for a task that does not say
        how to train on both. ``search_regret``: the incumbent's regret in the search, the same for
        every draw.
    """
    planned = cells[["task", "searcher", "seed", "cell", "status"]]
    times = pd.DataFrame({"at": [label(time) for time in replays.at]})
    draws = pd.DataFrame({"draw": np.arange(replays.draws)})
    table = planned.merge(times, how="cross").merge(draws, how="cross")
    held = incumbents_at(changes, replays.at)
    complete = held["cell"].isin(cells.loc[cells["status"] == "complete", "cell"])
    table = table.merge(held[complete], on=["cell", "at"], how="left")
    table["evaluation"] = table["evaluation"].astype("Int64")

    lines = replays.lines.drop_duplicates([*_PAIR, "row", "cell", "evaluation"], keep="last")
    trained = of_incumbents(lines, evaluations)
    table = table.merge(trained, on=["cell", "evaluation", "draw"], how="left")
    rows = {name: lines[lines["row"] == name] for name in ("reference", "default")}
    for name, of_row in rows.items():
        loss = of_row[[*_PAIR, "test_loss"]].rename(columns={"test_loss": f"{name}_loss"})
        table = table.merge(loss, on=_PAIR, how="left")
    default = table[_PAIR].merge(rows["default"][[*_PAIR, *_LINE]], on=_PAIR, how="left")
    at_default = (table["status"] == "complete") & table["evaluation"].isna()
    for name in _LINE:
        table[name] = table[name].where(~at_default, default[name])
    table["replay_regret"] = regret(table["test_loss"], table["reference_loss"])
    return table[list(COLUMNS)]


def of_incumbents(lines: pd.DataFrame, evaluations: pd.DataFrame) -> pd.DataFrame:
    """What replayed incumbents came to.

    Those of an attempt that has been run again since are of other evaluations, and left out.

    Args:
        lines: of ``replay.jsonl``.
        evaluations: those that the run has now.

    Returns:
        Cell, evaluation, draw and outcome.
    """
    columns = ["cell", "evaluation", "attempt", "draw", *_LINE]
    replayed = lines.loc[lines["row"] == "incumbent", columns]
    replayed = replayed.astype({"evaluation": "Int64", "attempt": "Int64"})
    evaluated = evaluations.reindex(columns=["cell", "evaluation", "attempt"])
    evaluated = evaluated.astype({"evaluation": "Int64", "attempt": "Int64"})
    return replayed.merge(evaluated, on=["cell", "evaluation", "attempt"]).drop(columns="attempt")


def summarise_replay(
    tasks: Sequence[str],
    at: Sequence[float],
    frame: pd.DataFrame,
    references: Mapping[str, Record | None],
) -> pd.DataFrame:
    """A row for each task, time and searcher; times in order, then the lowest regret first.

    * replay_n: cells for which every draw is there, of the incumbent, of the default, and of the
      reference if the task has one; seeds_complete: cells that can be replayed; seeds_planned.
    * replay_regret, replay_regret_se: over these cells, each one's mean over its draws, as draws
      of one cell share its incumbent (and its split) and are no independent seeds.
    * replay_test_loss, replay_default_loss, search_regret: means over the same cells.
    * trained_on: see `replay_frame`; empty if nothing has been trained.
    """
    losses = ["test_loss", "reference_loss", "default_loss", "replay_regret", "search_regret"]
    draws, rows = frame["draw"].nunique(), []
    for key, of_searcher in frame.groupby(["task", "searcher", "at"], sort=False):
        task, searcher, time = cast(tuple[str, str, str], key)
        needed = ["test_loss", "default_loss", "reference_loss"]
        needed = needed if references.get(task) is not None else needed[:2]
        means = of_searcher.groupby("cell", sort=False)[losses].sum(min_count=draws) / draws
        means = means[means[needed].notna().all(axis=1)]
        complete = of_searcher.loc[of_searcher["status"] == "complete", "cell"].nunique()
        final = estimate(means["replay_regret"])
        rows.append(
            {
                "task": task,
                "searcher": searcher,
                "at": time,
                "replay_regret": final.mean,
                "replay_regret_se": final.standard_error,
                "replay_n": final.n,
                "seeds_complete": complete,
                "seeds_planned": of_searcher["cell"].nunique(),
                "replay_test_loss": estimate(means["test_loss"]).mean,
                "replay_default_loss": estimate(means["default_loss"]).mean,
                "search_regret": estimate(means["search_regret"]).mean,
                "trained_on": next(iter(of_searcher["trained_on"].dropna()), None),
            }
        )
    table = pd.DataFrame(rows)
    order = list(itertools.product(tasks, map(label, at)))
    place = [order.index(pair) for pair in zip(table["task"], table["at"], strict=True)]
    table = table.assign(place=place)
    table = table.sort_values(["place", "replay_regret", "replay_test_loss"], kind="stable")
    return table.drop(columns="place").reset_index(drop=True)


def lowest_replayed(summary: pd.DataFrame, of_run: pd.DataFrame) -> str | None:
    """Whose last incumbents, on one task, come to the lowest test loss.

    Every cell of the searcher was trained again, and not all of them hold the task's default for
    want of a full training.

    Args:
        summary: rows of `summarise_replay`, of one task.
        of_run: of `summary.summarise`.

    Returns:
        The searcher; None if no one's do.
    """
    last = summary[summary["at"] == summary["at"].iloc[-1]]
    held = of_run[of_run["seeds_at_default"] == of_run["seeds_complete"]]
    at_default = held.loc[held["task"].isin(last["task"]), "searcher"]
    whole = last[(last["replay_n"] == last["seeds_planned"]) & ~last["searcher"].isin(at_default)]
    return None if whole.empty else str(whole.loc[whole["replay_test_loss"].idxmin(), "searcher"])
