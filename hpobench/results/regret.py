"""Regret over time as a frame, from each cell's evaluations and its split's yardsticks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench.results.json_files import Record
from hpobench.results.schema import CLOCKS
from hpobench.statistics.curves import StepCurve, incumbents, normalised, regret, zero_tolerance

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
_MEASURES = ("validation_loss", "test_loss", "test_accuracy")


@dataclass(frozen=True)
class Split:
    """What a task's default and reference come to on one split; NaN where not measured.

    Args:
        default: its mean validation_loss, test_loss and test_accuracy.
        reference_loss: the reference's mean test loss.
        tolerance: what still counts as zero regret.
    """

    default: Mapping[str, float]
    reference_loss: float
    tolerance: float


UNMEASURED = Split(dict.fromkeys(_MEASURES, math.nan), math.nan, math.nan)


def regret_frame(
    cells: pd.DataFrame,
    evaluations: pd.DataFrame,
    tests: pd.DataFrame,
    yardsticks: pd.DataFrame,
    references: Mapping[str, Record | None],
) -> pd.DataFrame:
    """Regret over time: for each cell that has begun, and each curve, a row at 0 s and each change.

    The first row is the task's default's.

    Args:
        cells: the planned cells, as `Results` has them; so are the next three.
        evaluations: those of the cells.
        tests: test metrics by cell and evaluation.
        yardsticks: draws of the default and of the reference on each split.
        references: by task, None where there is none.

    Returns:
        ``COLUMNS``. ``curve``: "incumbent" (the best among full evaluations) or "in_hand" (at any
        budget). ``evaluation`` is empty for the default. ``regret`` and ``normalised_regret`` are
        empty where there is no reference, or no test metric yet. ``zero_tolerance``: what counts as
        zero regret.
    """
    begun = cells[cells["status"] != "missing"]
    rows = _changes(begun["cell"].tolist(), evaluations)
    cell = begun.iloc[rows["place"]].reset_index(drop=True)
    table = pd.concat([rows, cell[["task", "searcher", "seed", "cell", "status"]]], axis=1)
    tested = tests[["cell", "evaluation", "test_loss", "test_accuracy"]]
    tested = tested.drop_duplicates(["cell", "evaluation"], keep="last")
    table = table.merge(tested, on=["cell", "evaluation"], how="left")

    splits = splits_of(yardsticks, references)
    worth = {task: worth_of(task, splits) for task in references}
    split = [splits.get(key, UNMEASURED) for key in zip(table["task"], table["seed"], strict=True)]
    at_default = table["evaluation"].isna()
    for name in _MEASURES:
        default = pd.Series([s.default[name] for s in split], index=table.index, dtype=float)
        table[name] = table[name].where(~at_default, default)
    reference = np.array([s.reference_loss for s in split], dtype=float)
    table["regret"] = regret(table["test_loss"], reference)
    table["normalised_regret"] = normalised(table["regret"], table["task"].map(worth))
    table["zero_tolerance"] = np.array([s.tolerance for s in split], dtype=float)
    return table[list(COLUMNS)]


def splits_of(
    yardsticks: pd.DataFrame, references: Mapping[str, Record | None]
) -> dict[tuple[str, int], Split]:
    """What the default and the reference come to on each split that has yardsticks.

    Args:
        yardsticks: their draws.
        references: by task, None where there is none.

    Returns:
        By task and cell seed; see `UNMEASURED` for the others.
    """
    drawn = yardsticks.drop_duplicates(["task", "seed", "row", "draw"], keep="last")
    rows: dict[tuple[str, int], dict[str, pd.DataFrame]] = {}
    for key, draws in drawn.groupby(["task", "seed", "row"], sort=False):
        task, seed, row = cast(tuple[str, int, str], key)
        rows.setdefault((task, int(seed)), {})[row] = draws
    return {key: _split(of_key, references.get(key[0])) for key, of_key in rows.items()}


def _split(rows: Mapping[str, pd.DataFrame], reference: Record | None) -> Split:
    default, measured = UNMEASURED.default, rows.get("default")
    if measured is not None:
        default = {name: float(measured[name].mean(skipna=False)) for name in _MEASURES}
    if reference is None or "reference" not in rows:
        return Split(default, reference_loss=math.nan, tolerance=math.nan)
    draws = rows["reference"]["test_loss"].to_numpy()
    return Split(default, float(draws.mean()), zero_tolerance(draws))


def worth_of(task: str, splits: Mapping[tuple[str, int], Split]) -> float:
    """What a task's reference is worth: default − reference, the mean over its splits.

    One number for all of a task's seeds: on a single split the difference can be as small as its
    own noise, and a ratio by it says nothing.

    Args:
        task: name of the task.
        splits: by task and cell seed, of any tasks.

    Returns:
        NaN if it is known on no split.
    """
    of_task = [split for (name, _), split in splits.items() if name == task]
    gaps = [split.default["test_loss"] - split.reference_loss for split in of_task]
    known = [gap for gap in gaps if not math.isnan(gap)]
    return sum(known) / len(known) if known else math.nan


def step_curves(
    table: pd.DataFrame, clock: Clock = "seconds", value: str = "regret"
) -> dict[int, StepCurve]:
    """Regret as a step curve for each seed.

    Args:
        table: rows of the regret frame, of one task, searcher and curve.
        clock: the column of the times.
        value: the column of the values.
    """
    seeds, times, values = (table[name].to_numpy() for name in ("seed", clock, value))
    return {
        int(seed): StepCurve(times[rows], values[rows])
        for seed in dict.fromkeys(seeds.tolist())
        for rows in [seeds == seed]
    }


def _changes(cells: Sequence[str], evaluations: pd.DataFrame) -> pd.DataFrame:
    """For each cell and curve the default, then each evaluation that was better than all before.

    Columns: place (the cell's in ``cells``), curve, and of the evaluation its number, clocks and
    validation_loss; the default has no number, and its clocks are 0.
    """
    where = evaluations.groupby("cell", sort=False).indices
    losses = evaluations["validation_loss"].to_numpy()
    ok = (evaluations["status"] == "ok").to_numpy()
    eligible = {"incumbent": ok & evaluations["full"].to_numpy(), "in_hand": ok}
    nothing = np.empty(0, dtype=np.int64)
    changed = [
        np.append(-1, places[incumbents(losses[places], among[places])])
        for places in (where.get(cell, nothing) for cell in cells)
        for among in eligible.values()
    ]
    lengths = [len(rows) for rows in changed]
    rows = np.concatenate([nothing, *changed])
    table = {
        "place": np.repeat(np.repeat(np.arange(len(cells)), len(eligible)), lengths),
        "curve": np.repeat(np.array([*eligible] * len(cells), dtype=object), lengths),
        "evaluation": _at(evaluations["evaluation"].astype("Int64"), rows),
        "validation_loss": _at(evaluations["validation_loss"], rows),
    }
    table |= {clock: np.where(rows < 0, 0.0, _at(evaluations[clock], rows)) for clock in CLOCKS}
    return pd.DataFrame(table)


def _at(column: pd.Series, rows: NDArray[np.int64]) -> Any:
    """The values in rows by number; empty at -1."""
    return column.array.take(rows, allow_fill=True)
