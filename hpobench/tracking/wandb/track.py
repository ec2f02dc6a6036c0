"""Weights & Biases: one run for each cell, tracked once the study has been measured.

A cell keeps its run's id for good, and what has been tracked already and still holds is left
alone, so tracking a folder again makes no second run. Where the content has changed (a reference or
a replay that came later), the offline file is replaced, and an upload replaces the run of the same
id, row by row: what a cell measured is at the same W&B steps for good.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hpobench.errors import TrackingError
from hpobench.results.json_files import Record, make_folder, read_bytes
from hpobench.results.replayed import label, summarise_replay
from hpobench.results.run import Results
from hpobench.tracking.wandb.content import Cell, history_of, summary_of, table_of
from hpobench.tracking.wandb.files import PROJECT, WandbRun, not_uploaded, upload, write

ENDED = ("complete", "failed")
LONGEST_TAG = 64

OF_REPLAY = ("replay.json", "replay.jsonl", "replay.csv", "replay_times.csv")
OF_STUDY = ("study.json", "references.json", "yardsticks.jsonl", *OF_REPLAY)
OF_CELL = ("evaluations.jsonl", "cell.json", "tests.jsonl")


@dataclass(frozen=True)
class WandbSink:
    """Weights & Biases, as the pipeline sees it; ``mode`` is "offline" or "online"."""

    mode: str

    def track(self, results: Results) -> None:
        track(results, self.mode)


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
    folder = make_folder(_folder(results))
    write(folder, runs)
    if mode == "online":
        upload(folder, runs)
    return folder


def sync(
    results: Results, entity: str | None, project: str, again: bool = False
) -> tuple[int, int]:
    """Upload each cell that has ended to a project; how many that were now, and how many in all.

    ``again``: those too that are there. Raises as `track` does, and also if no cell has ended.
    """
    runs = runs_of(results)
    if not runs:
        raise TrackingError(
            f"{results.path}: no cell has ended, so there is nothing to upload;"
            f" hpobench resume {results.path}"
        )
    folder = make_folder(_folder(results))
    write(folder, runs)
    return upload(folder, runs, entity, project, again), len(runs)


def left_here(results: Results, entity: str, project: str) -> int:
    """How many runs of cells that have ended a project does not have as they are now."""
    return not_uploaded(_folder(results), runs_of(results), entity, project)


def _folder(results: Results) -> Path:
    return results.path / "wandb"


def runs_of(results: Results) -> list[WandbRun]:
    """The complete and the failed cells, in run order; the others have nothing final to show."""
    cells, regret = results.cells.to_dict("records"), results.regret()
    evaluations_of, tests_of = _by_cell(results.evaluations), _by_cell(results.tests)
    regret_of = _by_cell(regret[regret["curve"] == "incumbent"])
    files, replayed = _digests(results.path, OF_STUDY), _replayed(results)
    return [
        _run(
            results,
            Cell(
                told=cell,
                task=results.task(cell["task"]),
                budget=results.study["budget"],
                evaluations=evaluations_of(cell["cell"]),
                tests=tests_of(cell["cell"]),
                changes=regret_of(cell["cell"]),
                replayed=replayed.get(cell["cell"], {}),
            ),
            files,
        )
        for cell in cells
        if cell["status"] in ENDED
    ]


def study_id(study: Record) -> str:
    """The same for good: `study.json` is written once, and says when and where the run began."""
    return _digest(study)


def _by_cell(table: pd.DataFrame) -> Callable[[str], pd.DataFrame]:
    where = table.groupby("cell", sort=False).indices
    return lambda cell: table.iloc[where.get(cell, [])]


def _replayed(results: Results) -> dict[str, Mapping[Any, Any]]:
    """By cell: the replay's summary of it alone, so that both say the same, at the last time."""
    if results.replays is None:
        return {}
    at, frame = results.replays.at[-1:], results.replay()
    frame = frame[frame["at"] == label(at[0])]
    found: dict[str, Mapping[Any, Any]] = {}
    for cell, rows in frame.groupby("cell", sort=False):
        table = summarise_replay([rows["task"].iloc[0]], at, rows, results.references)
        [found[str(cell)]] = table.to_dict("records")
    return found


def _run(results: Results, cell: Cell, files: Mapping[str, str]) -> WandbRun:
    name, task, searcher = cell.told["cell"], cell.told["task"], cell.told["searcher"]
    config = _config(results, task, searcher)
    return WandbRun(
        id=_digest([results.study, name]),
        project=PROJECT,
        group=results.path.resolve().name,
        name=name,
        job_type=searcher,
        tags=[str(tag)[:LONGEST_TAG] for tag in (config["study"], task, config["kind"]) if tag],
        config={"task": task, "searcher": searcher, "seed": cell.told["seed"], **config},
        history=history_of(cell),
        table=table_of(cell),
        # Those of the study too, each time: any one artifact says all that its cell's numbers
        # follow from, and together they make the run's folder again.
        files={**files, **_digests(results.path, [f"cells/{name}/{file}" for file in OF_CELL])},
        summary=summary_of(cell),
        failed=cell.told["status"] == "failed",
    )


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _digests(root: Path, names: tuple[str, ...] | list[str]) -> dict[str, str]:
    """The digests of those of the files that are there."""
    there = [name for name in names if (root / name).is_file()]
    return {name: hashlib.sha256(read_bytes(root / name)).hexdigest() for name in there}


def _config(results: Results, task_name: str, searcher_name: str) -> Record:
    study, task = results.study, results.task(task_name)
    searcher = next(s for s in study["searchers"] if s["name"] == searcher_name)
    of_task = ("metric", "space", "initial", "default", "budgets", "smaller_budget")
    return {
        "study": study["name"],
        "study_id": study_id(study),
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
