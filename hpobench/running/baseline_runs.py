"""Baseline runs: what the references and the defaults come to on each split of a study.

Their lines are in ``yardsticks.jsonl``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpobench.references.known import best_observed, known_reference
from hpobench.results.json_files import read_json, read_lines, write_json
from hpobench.running.cell_run import SETTLED, CellRun
from hpobench.running.test_metrics import train_baselines
from hpobench.running.training import Training
from hpobench.study import Study
from searchers.space import Flat
from trainables.task import Task


def missing_baseline_runs(study: Study, folder: Path, runs: Sequence[CellRun]) -> list[Training]:
    """What has still to be trained for the references and the defaults, split by split.

    Also freezes ``references.json``: a task without a reference gets the best that the study came
    upon, once every cell of the task has come to its end.

    Args:
        study: Whose tasks and splits.
        folder: Of the run.
        runs: Every cell of the study.
    """
    unsettled = {run.cell.task.name for run in runs if run.status not in SETTLED}
    file = folder / "references.json"
    references = read_json(file) if file.exists() else {}
    for task in study.tasks:
        if references.get(task.name) is None:
            references[task.name] = known_reference(task)
        if references[task.name] is None and task.name not in unsettled:
            references[task.name] = best_observed(
                task, study.name, _evaluations(study, folder, task)
            )
    write_json(file, references)
    drawn = _drawn(folder)
    missing = []
    for task in study.tasks:
        rows = {"default": task.space.flatten(task.default)}
        if references[task.name] is not None:
            rows["reference"] = references[task.name]["hyperparameters"]
        for seed in study.seeds:
            wanted = [
                (row, configuration, draw)
                for row, configuration in rows.items()
                for draw in range(study.yardstick_draws)
                if (task.name, seed, row, draw) not in drawn
            ]
            if wanted:
                missing.append(_training(study, folder, task, seed, wanted))
    return missing


def trainings_to_come(study: Study, folder: Path) -> int:
    """How many trainings of references there will be that the cells have still to come upon."""
    references = read_json(folder / "references.json")
    unknown = sum(references[task.name] is None for task in study.tasks)
    return unknown * len(study.seeds) * study.yardstick_draws


def _training(
    study: Study, folder: Path, task: Task, seed: int, wanted: Sequence[tuple[str, Flat, int]]
) -> Training:
    """Of one split: the rows' configurations on their draws, in one go."""
    rows = dict.fromkeys(row for row, _, _ in wanted)
    return Training(
        f"training {' and '.join(rows)} of {task.name} on seed {seed}",
        study,
        folder / "yardsticks.jsonl",
        {"task": task.name, "seed": seed},
        train_baselines,
        task,
        seed,
        wanted,
        count=len(wanted),
    )


def _drawn(folder: Path) -> set[tuple[str, int, str, int]]:
    """Task, seed, row and draw of what has been measured."""
    file = folder / "yardsticks.jsonl"
    lines = read_lines(file).records if file.exists() else []
    return {(line["task"], line["seed"], line["row"], line["draw"]) for line in lines}


def _evaluations(study: Study, folder: Path, task: Task) -> list[dict[str, Any]]:
    cells = [cell for cell in study.cells() if cell.task is task]
    files = [folder / "cells" / cell.name / "evaluations.jsonl" for cell in cells]
    return [record for f in files if f.exists() for record in read_lines(f).records]
