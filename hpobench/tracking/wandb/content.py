"""What a cell's run holds: its history, its table of evaluations and its summary, as plain JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hpobench.results.json_files import Record
from hpobench.results.regret import Clock
from hpobench.results.schema import LEDGER, MEMORY, NAMES, PARTS
from hpobench.results.summary import summarise
from hpobench.results.targets import TARGET_WORDS

MEASURES = ("regret", "normalised_regret", "validation_loss", "test_loss", "test_accuracy")
TESTED = ("test_loss", "test_accuracy")
AT_LEAST = "seconds_to_{}_at_least"

SUMMARISED = {
    "final_regret": "final_regret",
    "final_normalised_regret": "final_normalised_regret",
    "final_test_loss": "final_test_loss",
    "final_validation_loss": "final_validation_loss",
    **{f"seconds_to_{target}": f"seconds_to_{target}" for target in TARGET_WORDS},
    **{f"reached_{target}": f"reached_{target}" for target in TARGET_WORDS},
    "evaluations": "evaluations",
    "full_evaluations": "full_evaluations",
    "diverged": "diverged_evaluations",
    "failed": "failed_evaluations",
    "thinking_share": "thinking_share",
    "orchestration_share": "orchestration_share",
}
"""Columns of the results' summary → names in a run's summary."""

REPLAYED = ("replay_regret", "replay_test_loss")
"""Of the replay's summary, what is also in a run's."""

POINTS_A_DECADE = 16
FIRST_DECADE = {"seconds": -2, "steps": 0}


@dataclass(frozen=True)
class Cell:
    """A cell that has ended: its row of the cells' frame, its task and the study's budget.

    ``evaluations``, ``tests``: its rows of these frames. ``changes``: those of the regret frame,
    for its incumbents. ``replayed``: the replay's summary of this cell alone, at the last time that
    was asked for; empty if nobody asked.
    """

    told: Mapping[Any, Any]
    task: Record
    budget: Record
    evaluations: pd.DataFrame
    tests: pd.DataFrame
    changes: pd.DataFrame
    replayed: Mapping[Any, Any]


def history_of(cell: Cell) -> list[Record]:
    """Rows by the clock: the default at 0 s; an evaluation comes before the change it made.

    Then the same curves at times that all cells have in common: W&B takes the median over runs
    from those that have a value at one place, and where one seed changes the others have none.
    """
    evaluations, changes = cell.evaluations.to_dict("records"), cell.changes.to_dict("records")
    tried = {row["evaluation"]: row["hyperparameters"] for row in evaluations}
    held = [cell.task["default"] if pd.isna(n) else tried[n] for n in cell.changes["evaluation"]]
    timed = [(row["seconds"], _evaluation(row)) for row in evaluations]
    timed += [(row["seconds"], _change(row, h)) for row, h in zip(changes, held, strict=True)]
    rows = [row for _, row in sorted(timed, key=lambda pair: pair[0])]
    return [*rows, *_curves(cell, "seconds", held), *_curves(cell, "steps", held)]


def table_of(cell: Cell) -> Record:
    """A row for each evaluation, with all that its line says, and its test metrics if it has any.

    In columns and data, as W&B's Table has them; what is no number, text or truth is JSON text.
    """
    others = [name for name in cell.evaluations if name not in {*NAMES, "schema"}]
    known = {row["evaluation"]: row for row in cell.tests.to_dict("records")}
    rows = []
    for line in cell.evaluations[others].to_dict("records"):
        row = {name: _plain(value) for name, value in line.items() if name != "hyperparameters"}
        row |= {f"hyperparameters/{name}": v for name, v in line["hyperparameters"].items()}
        test = known.get(line["evaluation"], {})
        rows.append(row | {name: _plain(test.get(name)) for name in TESTED})
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return {"columns": columns, "data": [[row.get(name) for name in columns] for row in rows]}


def summary_of(cell: Cell) -> Record:
    """The results' summary of this cell alone, so that both say the same, and its ledger.

    A time to a target that it did not reach is not there; that it took at least until the cell's
    end is.
    """
    told = cell.told
    alone = pd.DataFrame([told])
    table = summarise([told["task"]], [told["searcher"]], alone, cell.evaluations, cell.changes)
    row = table[list(SUMMARISED)].to_dict("records")[0]
    at_least = {
        AT_LEAST.format(target): _end(cell, "seconds")
        if reached == 0
        else row[f"seconds_to_{target}"]
        for target in TARGET_WORDS
        if not pd.isna(reached := row[f"reached_{target}"])
    }
    ledger = {name: told[name] for name in LEDGER if name not in PARTS}
    return _known(
        {name: told[name] for name in ("status", "cause", "why")}
        | {name: row[column] for column, name in SUMMARISED.items()}
        | at_least
        | {name: cell.replayed[name] for name in REPLAYED if cell.replayed}
        | {"zero_tolerance": cell.changes["zero_tolerance"].iloc[-1]}
        | ledger
        | {f"slot_seconds/{part}": told[part] for part in PARTS}
        | {name: told[name] for name in MEMORY}
    )


def _evaluation(row: Mapping[Any, Any]) -> Record:
    names = ("slot_seconds", "steps", "validation_loss", "validation_accuracy", "budget", "full")
    return _known(
        {"evaluation/wallclock": row["seconds"], "evaluation/number": row["evaluation"]}
        | {f"evaluation/{name}": row[name] for name in (*names, "status")}
        | {f"evaluation/parts/{part}": seconds for part, seconds in _parts(row.get("parts"))}
        | {f"hyperparameters/{name}": value for name, value in row["hyperparameters"].items()}
    )


def _parts(said: Any) -> list[tuple[str, float]]:
    """Where the time of an evaluation went, by part of the ledger; empty where it does not say."""
    parts = said.items() if isinstance(said, dict) else ()
    return [(part, seconds) for part, seconds in parts if _number(seconds)]


def _change(row: Mapping[Any, Any], hyperparameters: Record) -> Record:
    return _known(
        {"wallclock": row["seconds"], "steps": row["steps"]}
        | {"incumbent_evaluation": row["evaluation"]}
        | {name: row[name] for name in MEASURES}
        | {f"incumbent/{name}": value for name, value in hyperparameters.items()}
    )


def _curves(cell: Cell, clock: Clock, held: Sequence[Record]) -> list[Record]:
    """Each curve at the places of `_grid`."""
    grid = _grid(cell, clock)
    last = np.searchsorted(cell.changes[clock].to_numpy(float), grid, side="right") - 1
    measures = cell.changes[list(MEASURES)].to_dict("records")
    spent = _spent(cell, clock, grid)
    return [
        _known(
            {f"over_{clock}/{clock}": float(place)}
            | {f"over_{clock}/{name}": value for name, value in measures[index].items()}
            | {f"over_{clock}/incumbent/{k}": v for k, v in held[index].items() if _number(v)}
            | {f"over_{clock}/ledger/{part}": sums[number] for part, sums in spent.items()}
        )
        for number, (place, index) in enumerate(zip(grid, last, strict=True))
    ]


def _spent(cell: Cell, clock: Clock, grid: np.ndarray) -> dict[str, list[float]]:
    """By part of the ledger: the slot-seconds of the evaluations that had ended by each place."""
    if "parts" not in cell.evaluations:
        return {}
    rows = cell.evaluations[[clock, "parts"]].sort_values(clock, kind="stable")
    parts = pd.DataFrame([dict(_parts(said)) for said in rows["parts"]], dtype=float)
    parts = parts.fillna(0.0).cumsum()
    ended = np.searchsorted(rows[clock].to_numpy(float), grid, side="right")
    return {
        str(part): np.concatenate([[0.0], sums.to_numpy()])[ended].tolist()
        for part, sums in parts.items()
    }


def _grid(cell: Cell, clock: Clock) -> np.ndarray:
    """0, then so many places a decade, the same for every cell, as far as it went.

    Where it went is a place too, if it is the budget and so the same for every cell.
    """
    end, first = _end(cell, clock), POINTS_A_DECADE * FIRST_DECADE[clock]
    last = math.floor(POINTS_A_DECADE * math.log10(end)) if end > 0 else first - 1
    grid = 10.0 ** (np.arange(first, last + 1) / POINTS_A_DECADE)
    common = [end] if _whole(cell, clock) else []
    return np.unique([0.0, *grid[grid <= end], *common])


def _end(cell: Cell, clock: Clock) -> float:
    """Until where on a clock the cell's incumbent is known."""
    if _whole(cell, clock):
        return float(cell.budget["amount"])
    wall = cell.told["wall"]
    if clock == "seconds" and pd.notna(wall):
        return float(wall)
    return float(cell.evaluations[clock].max()) if len(cell.evaluations) else 0.0


def _whole(cell: Cell, clock: Clock) -> bool:
    """Whether the cell used up a budget that is measured by this clock."""
    return bool(cell.budget["kind"] == clock and cell.told["status"] == "complete")


def _plain(value: Any) -> Any:
    """A number, text, a truth or None as it is; anything else as JSON text."""
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _known(row: Mapping[str, Any]) -> Record:
    """Without what has no value."""

    def known(value: Any) -> bool:
        return not pd.isna(value) and not (isinstance(value, float) and math.isinf(value))

    return {name: value for name, value in row.items() if known(value)}
