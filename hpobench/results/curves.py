"""Regret over time as a frame, from each cell's evaluations and its split's yardsticks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import pandas as pd

from hpobench.results.records import Record
from hpobench.results.regret import StepCurve, incumbents, normalised, regret, zero_tolerance

Curve: TypeAlias = Literal["incumbent", "in_hand"]
Clock: TypeAlias = Literal["seconds", "slot_seconds", "steps"]

COLUMNS = (
    "task",
    "searcher",
    "seed",
    "curve",
    "seconds",
    "slot_seconds",
    "steps",
    "evaluation",
    "validation_loss",
    "test_loss",
    "test_accuracy",
    "regret",
    "normalised_regret",
    "zero_tolerance",
    "cell",
    "status",
)
_TEXT = ("task", "searcher", "curve", "cell", "status")
_MEASURES = ("validation_loss", "test_loss", "test_accuracy")


@dataclass(frozen=True)
class Split:
    """What a task's default and reference come to on one split; NaN where not measured.

    ``default``: its mean validation_loss, test_loss and test_accuracy. ``reference_loss``: the
    reference's mean test loss. ``tolerance``: what still counts as zero regret.
    """

    default: Mapping[str, float]
    reference_loss: float
    tolerance: float


def regret_frame(
    cells: pd.DataFrame,
    evaluations: pd.DataFrame,
    tests: pd.DataFrame,
    yardsticks: pd.DataFrame,
    references: Mapping[str, Record | None],
) -> pd.DataFrame:
    """For each cell that has begun, and each curve: a row at 0 s (the default) and each change.

    ``curve``: "incumbent" (the best among full evaluations) or "in_hand" (at any budget).
    ``evaluation`` is empty for the default. ``regret`` and ``normalised_regret`` are empty where
    there is no reference, or no test metric yet. ``zero_tolerance``: what counts as zero regret.
    """
    measured = _with_tests(evaluations, tests)
    rows: list[Record] = []
    worth = {task: worth_of(task, yardsticks, references) for task in references}
    for cell in cells[cells["status"] != "missing"].to_dict("records"):
        split = split_of(str(cell["task"]), int(cell["seed"]), yardsticks, references)
        of_cell = measured[measured["cell"] == cell["cell"]]
        for curve in ("incumbent", "in_hand"):
            names = {name: cell[name] for name in ("task", "searcher", "seed", "cell", "status")}
            rows += [
                row | names | {"curve": curve}
                for row in _changes(of_cell, curve, split, worth[cell["task"]])
            ]
    types = {name: object if name in _TEXT else float for name in COLUMNS}
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(types)
    return table.astype({"seed": int, "evaluation": "Int64"})


def split_of(
    task: str,
    seed: int,
    yardsticks: pd.DataFrame,
    references: Mapping[str, Record | None],
) -> Split:
    """The yardsticks of a task on the split of a cell seed."""
    here = yardsticks[(yardsticks["task"] == task) & (yardsticks["seed"] == seed)]
    here = here.drop_duplicates(["row", "draw"], keep="last")
    defaults = here[here["row"] == "default"]
    default = {name: float(defaults[name].mean(skipna=False)) for name in _MEASURES}
    reference = references[task]
    draws = here.loc[here["row"] == "reference", "test_loss"].to_numpy()
    if reference is None or len(draws) == 0:
        return Split(default, reference_loss=math.nan, tolerance=math.nan)
    return Split(default, float(draws.mean()), zero_tolerance(draws))


def worth_of(task: str, yardsticks: pd.DataFrame, references: Mapping[str, Record | None]) -> float:
    """What a task's reference is worth: default − reference, the mean over its splits.

    One number for all of a task's seeds: on a single split the difference can be as small as its
    own noise, and a ratio by it says nothing.
    """
    seeds = yardsticks.loc[yardsticks["task"] == task, "seed"].unique().tolist()
    splits = [split_of(task, int(seed), yardsticks, references) for seed in seeds]
    gaps = [split.default["test_loss"] - split.reference_loss for split in splits]
    known = [gap for gap in gaps if not math.isnan(gap)]
    return sum(known) / len(known) if known else math.nan


def step_curves(
    table: pd.DataFrame, clock: Clock = "seconds", value: str = "regret"
) -> dict[int, StepCurve]:
    """Rows of the regret frame, of one task, searcher and curve, as a step curve for each seed."""
    return {
        seed: StepCurve(rows[clock].to_numpy(), rows[value].to_numpy())
        for seed in table["seed"].unique().tolist()
        for rows in [table[table["seed"] == seed]]
    }


def _with_tests(evaluations: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    names = ["cell", "evaluation", "seconds", "slot_seconds", "steps", "full", "status"]
    tested = tests[["cell", "evaluation", "test_loss", "test_accuracy"]]
    tested = tested.drop_duplicates(["cell", "evaluation"], keep="last")
    return evaluations[[*names, "validation_loss"]].merge(
        tested, on=["cell", "evaluation"], how="left"
    )


def _changes(evaluations: pd.DataFrame, curve: Curve, split: Split, worth: float) -> list[Record]:
    """The default at 0 s, then each evaluation of a cell that became better than all before."""
    eligible = (evaluations["status"] == "ok").to_numpy()
    if curve == "incumbent":
        eligible = eligible & evaluations["full"].to_numpy()
    became = incumbents(evaluations["validation_loss"].to_numpy(), eligible)
    start: Record = {"seconds": 0.0, "slot_seconds": 0.0, "steps": 0.0, **split.default}
    changes: list[Record] = evaluations.iloc[became].to_dict("records")  # type: ignore[assignment]
    rows = [start, *changes]
    for row in rows:
        row["regret"] = float(regret(row["test_loss"], split.reference_loss))
        row["normalised_regret"] = float(normalised(row["regret"], worth))
        row["zero_tolerance"] = split.tolerance
    return rows
