"""The yardsticks of a study: what the references and the defaults come to on each split."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpobench.references.known import best_observed, known_reference
from hpobench.results.json_files import append_lines, read_json, read_lines, write_json
from hpobench.results.schema import SCHEMA
from hpobench.running import test_metrics
from hpobench.running.cell_run import SETTLED, CellRun
from hpobench.running.interfaces import Slice
from hpobench.study import Study
from searchers.space import Flat
from trainables.task import Task


class BaselineRun:
    """The yardsticks of one split, still to be measured: rows, their configurations, draws."""

    _appending = threading.Lock()  # the threads of all slices write to one file

    def __init__(
        self,
        study: Study,
        folder: Path,
        task: Task,
        seed: int,
        wanted: Sequence[tuple[str, Flat, int]],
    ):
        self._study, self._file = study, folder / "yardsticks.jsonl"
        self._task, self._seed, self._wanted = task, seed, wanted
        rows = dict.fromkeys(row for row, _, _ in wanted)
        self._measuring = test_metrics.Measuring(
            f"training {' and '.join(rows)} of {task.name}", study
        )

    def run(self, piece: Slice, stop: object) -> bool:
        """Measure them on a slice; False if its machines failed, and it is to be tried again.

        Raises Fault if that happened time and again.
        """
        study = self._study
        lines = self._measuring.on(
            piece,
            test_metrics.yardsticks,
            self._task,
            self._seed,
            self._wanted,
            study.device,
            study.cpus,
        )
        if lines is not None:
            with self._appending:
                append_lines(self._file, [{"schema": SCHEMA, **line} for line in lines])
        return lines is not None


def missing_yardsticks(study: Study, folder: Path, runs: Sequence[CellRun]) -> list[BaselineRun]:
    """What has still to be trained for the references and the defaults, split by split.

    Also freezes ``references.json``: a task without a reference gets the best that the study came
    upon, once every cell of the task (``runs``: of all) has come to its end.
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
    drawn = _drawn_yardsticks(folder)
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
                missing.append(BaselineRun(study, folder, task, seed, wanted))
    return missing


def _drawn_yardsticks(folder: Path) -> set[tuple[str, int, str, int]]:
    """Task, seed, row and draw of what has been measured."""
    file = folder / "yardsticks.jsonl"
    lines = read_lines(file).records if file.exists() else []
    return {(line["task"], line["seed"], line["row"], line["draw"]) for line in lines}


def _evaluations(study: Study, folder: Path, task: Task) -> list[dict[str, Any]]:
    cells = [cell for cell in study.cells() if cell.task is task]
    files = [folder / "cells" / cell.name / "evaluations.jsonl" for cell in cells]
    return [record for f in files if f.exists() for record in read_lines(f).records]
