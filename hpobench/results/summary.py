"""The summary of a run: one row for each task and searcher, best first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from hpobench.results.json_files import Record
from hpobench.results.regret import Clock
from hpobench.results.targets import approaches
from hpobench.statistics.curves import estimate
from hpobench.statistics.times import Times, median_time


def summarise(
    tasks: Sequence[str],
    searchers: Sequence[str],
    cells: pd.DataFrame,
    evaluations: pd.DataFrame,
    regret: pd.DataFrame,
    clock: Clock = "seconds",
) -> pd.DataFrame:
    """A row for each task and searcher of the study; tasks in order, then the lowest regret first.

    * seeds_complete, seeds_failed, seeds_planned: cells; the rest are missing or under way.
    * seeds_at_default: complete cells whose incumbent is still the task's default; seeds_untrained:
      those of them that trained nothing in full (in the others every full training diverged or
      failed).
    * final_regret, final_regret_se: mean and standard error over the complete seeds, in the task's
      metric; also final_normalised_regret, final_test_loss, final_validation_loss.
    * seconds_to_10_percent, …_1_percent, …_zero: the time on the cell's clock by which at least
      half of the seeds that ended had reached the target to stay, empty if fewer did (a failed
      cell reached nothing); reached_…: how many seeds did, empty where there is no reference.
      Zero is the reference's level plus its standard error: where that is more than 10 % of the
      default's regret, more seeds may reach zero than 10 %.
      With another ``clock``: slot_seconds_to_10_percent, steps_to_10_percent, ….
    * evaluations, full_evaluations, diverged, failed: mean count per cell that has begun.
    * thinking_share: search ÷ (slots × wall), over all cells that have a ledger; and
      orchestration_share, what the framework took, likewise.
    * host_memory, device_memory: bytes, the most that a slot of any of its cells needed.

    Without a reference, rows are ordered by test loss, then by validation loss.
    """
    ended = regret[(regret["curve"] == "incumbent") & (regret["status"] == "complete")]
    cells_of, ended_of = _by_pair(cells), _by_pair(ended)
    evaluations_of = _by_pair(_counted(evaluations))
    rows = []
    for task, searcher in itertools.product(tasks, searchers):
        of_pair, changes = cells_of(task, searcher), ended_of(task, searcher)
        last = changes.drop_duplicates("seed", keep="last")
        tried = evaluations_of(task, searcher)
        rows.append(
            {"task": task, "searcher": searcher}
            | _outcome(of_pair, last)
            | _times(of_pair, changes, clock)
            | _untrained(last, tried)
            | _effort(of_pair, tried)
        )
    table = pd.DataFrame(rows)
    counts = [name for name in table.columns if name.startswith("reached_")]
    table = table.astype(dict.fromkeys(counts, "Int64"))
    order = ["final_regret", "final_test_loss", "final_validation_loss"]
    place = table["task"].map({task: number for number, task in enumerate(tasks)})
    table = table.assign(place=place).sort_values(["place", *order], kind="stable")
    return table.drop(columns="place").reset_index(drop=True)


def _counted(evaluations: pd.DataFrame) -> pd.DataFrame:
    """What is counted of them, as columns that are quick to choose rows of."""
    status = evaluations["status"]
    marks = {name: (status == name).to_numpy() for name in ("diverged", "failed")}
    return evaluations[["task", "searcher", "seed", "full"]].assign(**marks)


def _by_pair(table: pd.DataFrame) -> Callable[[str, str], pd.DataFrame]:
    """The rows of a task and a searcher, without these two columns."""
    where = table.groupby(["task", "searcher"], sort=False).indices
    rest = table.drop(columns=["task", "searcher"])
    return lambda task, searcher: rest.iloc[where.get((task, searcher), [])]


def _outcome(cells: pd.DataFrame, last: pd.DataFrame) -> Record:
    """How it ended: the last incumbents of the complete cells."""
    final = estimate(last["regret"])
    return {
        "seeds_complete": int((cells["status"] == "complete").sum()),
        "seeds_failed": int((cells["status"] == "failed").sum()),
        "seeds_planned": len(cells),
        "final_regret": final.mean,
        "final_regret_se": final.standard_error,
        "final_normalised_regret": estimate(last["normalised_regret"]).mean,
        "final_test_loss": estimate(last["test_loss"]).mean,
        "final_validation_loss": estimate(last["validation_loss"]).mean,
    }


def _times(cells: pd.DataFrame, changes: pd.DataFrame, clock: Clock) -> Record:
    """When targets were reached, by the incumbents' curves of the complete cells."""
    failed = int((cells["status"] == "failed").sum())
    times: Record = {}
    for name, approach in approaches(changes, clock).items():
        when, how_many = _reached(list(approach.times().values()), failed)
        times |= {f"{clock}_to_{name}": when, f"reached_{name}": how_many}
    return times


def _untrained(last: pd.DataFrame, evaluations: pd.DataFrame) -> Record:
    """How many complete cells end with the default as their incumbent."""
    held = set(last.loc[last["evaluation"].isna(), "seed"])
    trained = set(evaluations.loc[evaluations["full"], "seed"].unique())
    return {"seeds_at_default": len(held), "seeds_untrained": len(held - trained)}


def _reached(times: list[float | None], failed: int) -> tuple[float, Any]:
    """The median time to a target, NaN if fewer than half came to it, and how many did."""
    if not times:  # no reference, or nothing tested: not "zero of n", but unknown
        return math.nan, pd.NA
    median = median_time(Times.until([*times, *[None] * failed], end=0.0)).at_most
    reached = sum(time is not None for time in times)
    return median if math.isfinite(median) else math.nan, reached


def _effort(cells: pd.DataFrame, evaluations: pd.DataFrame) -> Record:
    begun = int((cells["status"] != "missing").sum())
    counts = {
        "evaluations": len(evaluations),
        "full_evaluations": int(evaluations["full"].sum()),
        "diverged": int(evaluations["diverged"].sum()),
        "failed": int(evaluations["failed"].sum()),
    }
    measured = cells[cells["wall"].notna()]
    slot_seconds = float((measured["slots"] * measured["wall"]).sum())
    shares = {"thinking_share": "search", "orchestration_share": "orchestration"}
    return {name: count / begun if begun else math.nan for name, count in counts.items()} | {
        **{
            name: measured[part].sum() / slot_seconds if slot_seconds else math.nan
            for name, part in shares.items()
        },
        **{name: float(cells[name].max()) for name in ("host_memory", "device_memory")},
    }
