"""The summary of a run: one row for each task and searcher, best first."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from hpobench.results.curves import step_curves
from hpobench.results.records import Record
from hpobench.results.regret import StepCurve, estimate, median_time, time_to_target


def summarise(
    tasks: Sequence[str],
    searchers: Sequence[str],
    cells: pd.DataFrame,
    evaluations: pd.DataFrame,
    regret: pd.DataFrame,
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
    * evaluations, full_evaluations, diverged, failed: mean count per cell that has begun.
    * thinking_share: search ÷ (slots × wall), over all cells that have a ledger.

    Without a reference, rows are ordered by test loss, then by validation loss.
    """
    rows = []
    for task in tasks:
        for searcher in searchers:
            mine = (cells["task"] == task) & (cells["searcher"] == searcher)
            rows.append(
                {"task": task, "searcher": searcher}
                | _outcome(cells[mine], _of(regret, task, searcher))
                | _untrained(_of(regret, task, searcher), _of(evaluations, task, searcher))
                | _effort(cells[mine], _of(evaluations, task, searcher))
            )
    table = pd.DataFrame(rows)
    counts = [name for name in table.columns if name.startswith("reached_")]
    table = table.astype(dict.fromkeys(counts, "Int64"))
    order = ["final_regret", "final_test_loss", "final_validation_loss"]
    place = table["task"].map({task: number for number, task in enumerate(tasks)})
    table = table.assign(place=place).sort_values(["place", *order], kind="stable")
    return table.drop(columns="place").reset_index(drop=True)


def _of(table: pd.DataFrame, task: str, searcher: str) -> pd.DataFrame:
    return table[(table["task"] == task) & (table["searcher"] == searcher)]


def _outcome(cells: pd.DataFrame, regret: pd.DataFrame) -> Record:
    """How it ended: the last incumbents of the complete cells, and when targets were reached."""
    rows = regret[(regret["curve"] == "incumbent") & (regret["status"] == "complete")]
    last = rows.drop_duplicates("seed", keep="last")
    final = estimate(last["regret"])
    failed = int((cells["status"] == "failed").sum())
    outcome: Record = {
        "seeds_complete": int((cells["status"] == "complete").sum()),
        "seeds_failed": failed,
        "seeds_planned": len(cells),
        "final_regret": final.mean,
        "final_regret_se": final.standard_error,
        "final_normalised_regret": estimate(last["normalised_regret"]).mean,
        "final_test_loss": estimate(last["test_loss"]).mean,
        "final_validation_loss": estimate(last["validation_loss"]).mean,
    }
    above_zero = rows.assign(regret=rows["regret"] - rows["zero_tolerance"])
    for name, curves, target in (
        ("10_percent", step_curves(rows, value="normalised_regret"), 0.1),
        ("1_percent", step_curves(rows, value="normalised_regret"), 0.01),
        ("zero", step_curves(above_zero, value="regret"), 0.0),
    ):
        outcome |= _reached(name, list(curves.values()), target, failed)
    return outcome


def _untrained(regret: pd.DataFrame, evaluations: pd.DataFrame) -> Record:
    """How many complete cells end with the default as their incumbent."""
    rows = regret[(regret["curve"] == "incumbent") & (regret["status"] == "complete")]
    last = rows.drop_duplicates("seed", keep="last")
    held = set(last.loc[last["evaluation"].isna(), "seed"])
    trained = set(evaluations.loc[evaluations["full"], "seed"])
    return {"seeds_at_default": len(held), "seeds_untrained": len(held - trained)}


def _reached(name: str, curves: list[StepCurve], target: float, failed: int) -> Record:
    times = [time_to_target(curve, target) for curve in curves if not math.isnan(curve.last)]
    if not times:  # no reference, or nothing tested: not "zero of n", but unknown
        return {f"seconds_to_{name}": math.nan, f"reached_{name}": pd.NA}
    median = median_time([*times, *[None] * failed])
    return {
        f"seconds_to_{name}": math.nan if median is None else median,
        f"reached_{name}": sum(time is not None for time in times),
    }


def _effort(cells: pd.DataFrame, evaluations: pd.DataFrame) -> Record:
    begun = int((cells["status"] != "missing").sum())
    counts = {
        "evaluations": len(evaluations),
        "full_evaluations": int(evaluations["full"].sum()),
        "diverged": int((evaluations["status"] == "diverged").sum()),
        "failed": int((evaluations["status"] == "failed").sum()),
    }
    measured = cells[cells["wall"].notna()]
    slot_seconds = float((measured["slots"] * measured["wall"]).sum())
    return {name: count / begun if begun else math.nan for name, count in counts.items()} | {
        "thinking_share": measured["search"].sum() / slot_seconds if slot_seconds else math.nan
    }
