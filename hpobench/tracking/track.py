"""Weights & Biases: one run for each cell, tracked once the study has been measured.

A cell keeps its run's id for good, and what has been tracked already and still holds is left
alone, so tracking a folder again makes no second run. Where the content has changed (a reference
that came later), the offline file is replaced, and an upload replaces the run of the same id.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hpobench.errors import TrackingError
from hpobench.results.records import Record, make_folder
from hpobench.results.run import Results
from hpobench.results.summary import summarise
from hpobench.running.ledger import PARTS
from hpobench.tracking.files import WandbRun, upload, write

PROJECT = "hpobench"
ENDED = ("complete", "failed")
LONGEST_TAG = 64

SUMMARISED = {
    "final_regret": "final_regret",
    "final_normalised_regret": "final_normalised_regret",
    "final_test_loss": "final_test_loss",
    "final_validation_loss": "final_validation_loss",
    "seconds_to_10_percent": "seconds_to_10_percent",
    "seconds_to_1_percent": "seconds_to_1_percent",
    "seconds_to_zero": "seconds_to_zero",
    "evaluations": "evaluations",
    "full_evaluations": "full_evaluations",
    "diverged": "diverged_evaluations",
    "failed": "failed_evaluations",
    "thinking_share": "thinking_share",
}
"""Columns of the results' summary → names in a run's summary."""


def track(results: Results, mode: str) -> Path | None:
    """Write each cell that has ended as an offline run; with mode "online", upload them too.

    Returns the folder of W&B's files; None if no cell has ended. TrackingError, in one line, if
    W&B cannot write them, has no key, or does not answer; nothing else in the folder is touched.
    """
    if mode not in ("offline", "online"):
        raise TrackingError(f"W&B tracks offline or online, not {mode!r}")
    runs = runs_of(results)
    if not runs:
        return None
    folder = make_folder(results.path / "wandb")
    write(folder, runs)
    if mode == "online":
        upload(folder, runs)
    return folder


def runs_of(results: Results) -> list[WandbRun]:
    """The complete and the failed cells, in run order; the others have nothing final to show."""
    cells, regret = results.cells.to_dict("records"), results.regret()
    evaluations_of = _by_cell(results.evaluations)
    regret_of = _by_cell(regret[regret["curve"] == "incumbent"])
    return [
        _run(results, cell, evaluations_of(cell["cell"]), regret_of(cell["cell"]))
        for cell in cells
        if cell["status"] in ENDED
    ]


def _by_cell(table: pd.DataFrame) -> Callable[[str], pd.DataFrame]:
    where = table.groupby("cell", sort=False).indices
    return lambda cell: table.iloc[where.get(cell, [])]


def _run(
    results: Results, cell: Mapping[Any, Any], evaluations: pd.DataFrame, regret: pd.DataFrame
) -> WandbRun:
    name, task, searcher = cell["cell"], cell["task"], cell["searcher"]
    config = _config(results, task, searcher)
    return WandbRun(
        id=_id(results.study, name),
        project=PROJECT,
        group=results.path.resolve().name,
        name=name,
        job_type=searcher,
        tags=[str(tag)[:LONGEST_TAG] for tag in (config["study"], task, config["kind"]) if tag],
        config={"task": task, "searcher": searcher, "seed": cell["seed"], **config},
        history=_history(evaluations, regret),
        summary=_summary(results.cells, evaluations, regret, cell),
        failed=cell["status"] == "failed",
    )


def _id(study: Record, cell: str) -> str:
    """The same for good: `study.json` is written once, and says when and where the run began."""
    return hashlib.sha256(json.dumps([study, cell], sort_keys=True).encode()).hexdigest()[:16]


def _config(results: Results, task_name: str, searcher_name: str) -> Record:
    study, task = results.study, results.task(task_name)
    searcher = next(s for s in study["searchers"] if s["name"] == searcher_name)
    of_task = ("metric", "space", "initial", "default", "budgets", "smaller_budget")
    return {
        "study": study["name"],
        "budget": study["budget"],
        "width": study["width"],
        "slot": study.get("slot"),
        "kind": searcher.get("kind"),
        "settings": searcher.get("settings"),
        **{name: task.get(name) for name in of_task},
        "task_hash": task.get("hash"),
        "reference": results.references[task_name],
        **{name: study.get(name) for name in ("created", "versions", "hardware", "commit")},
    }


def _history(evaluations: pd.DataFrame, regret: pd.DataFrame) -> list[Record]:
    """Rows by the clock: the default at 0 s; an evaluation comes before the change it made."""
    timed = [(row["seconds"], _evaluation(row)) for row in evaluations.to_dict("records")]
    timed += [(row["seconds"], _change(row)) for row in regret.to_dict("records")]
    return [row for _, row in sorted(timed, key=lambda pair: pair[0])]


def _evaluation(row: Mapping[Any, Any]) -> Record:
    return _known(
        {"evaluation/wallclock": row["seconds"], "evaluation/number": row["evaluation"]}
        | {f"evaluation/{name}": row[name] for name in ("validation_loss", "budget", "status")}
        | {f"hyperparameters/{name}": value for name, value in row["hyperparameters"].items()}
    )


def _change(row: Mapping[Any, Any]) -> Record:
    measures = ("regret", "normalised_regret", "validation_loss", "test_loss", "test_accuracy")
    return _known(
        {"wallclock": row["seconds"], "steps": row["steps"]}
        | {name: row[name] for name in measures}
    )


def _summary(
    cells: pd.DataFrame, evaluations: pd.DataFrame, regret: pd.DataFrame, cell: Mapping[Any, Any]
) -> Record:
    """The results' summary of this cell alone, so that both say the same, and its ledger."""
    alone = cells[cells["cell"] == cell["cell"]]
    table = summarise([cell["task"]], [cell["searcher"]], alone, evaluations, regret)
    row = table[list(SUMMARISED)].to_dict("records")[0]
    return _known(
        {name: cell[name] for name in ("status", "cause", "why")}
        | {name: row[column] for column, name in SUMMARISED.items()}
        | {"zero_tolerance": regret["zero_tolerance"].iloc[-1]}
        | {name: cell[name] for name in ("wall", "slots", "startup")}
        | {f"slot_seconds/{part}": cell[part] for part in PARTS}
    )


def _known(row: Mapping[str, Any]) -> Record:
    """Without what has no value."""

    def known(value: Any) -> bool:
        return value is not None and not (isinstance(value, float) and not math.isfinite(value))

    return {name: value for name, value in row.items() if known(value)}
