"""Running a study: yardsticks, then cells on slices side by side, then what follows from them.

Slices are taken from the cluster as long as there is work for them. Each has a thread of this
process, which carries out one piece of work after another there: the yardsticks of a split, or a
cell. The thread of the caller only watches.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from hpobench.errors import RunError, StudyError
from hpobench.references.known import best_observed, known_reference
from hpobench.results.curves import Clock
from hpobench.results.records import (
    append_lines,
    is_draft,
    make_folder,
    read_json,
    read_lines,
    write_json,
)
from hpobench.results.run import Results
from hpobench.running import measuring
from hpobench.running.attempts import CellRun
from hpobench.running.crew import Crew, Interrupted
from hpobench.running.display import Display, Plan, make_display
from hpobench.running.slices import Cluster, Slice
from hpobench.specification import SCHEMA, check_same, describe, rebuild
from hpobench.study import Study
from searchers.space import Flat
from trainables.task import Task

DONE = ("complete", "failed")


def run(
    study: Study,
    out: str | Path | None = None,
    wandb: str = "offline",
    address: str | None = None,
    display: Display | None = None,
    source: Path | None = None,
    clock: Clock = "seconds",
) -> Results:
    """Run a study in a new folder; see `Study.run`. ``clock``: what figures and page are over."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path(out) if out is not None else Path("runs") / f"{study.name}-{stamp}"
    if (folder / "study.json").exists():
        raise RunError(f"{folder} already holds a run; resume it, or choose another folder")
    if folder.is_dir() and any(not is_draft(file) for file in folder.iterdir()):
        raise RunError(f"{folder} is not empty; choose another folder for the run")
    _check_wandb(wandb)
    with ExitStack() as until_the_end:
        with _cluster(study, address, source) as cluster:  # may refuse: nothing is written before
            write_json(make_folder(folder) / "study.json", describe(study, source))
            until_the_end.enter_context(_held(folder))
            _carry_out(study, folder, cluster, display, clock)
        return _finish(folder, wandb, clock)


def resume(
    folder: str | Path,
    wandb: str = "offline",
    address: str | None = None,
    study: Study | None = None,
    display: Display | None = None,
    source: Path | None = None,
    clock: Clock = "seconds",
) -> Results:
    """Run what is not complete in a run's folder; nothing that is complete is touched.

    ``source``: the file that the study came from, if it is no longer where it was.
    """
    folder = Path(folder)
    if not (folder / "study.json").is_file():
        raise RunError(f"{folder} holds no run: there is no study.json in it")
    _check_wandb(wandb)
    record = read_json(folder / "study.json")
    if source is not None:
        record["source"] = str(source)
    if study is None:
        study = rebuild(record)
    else:
        check_same(study, record)
    with _held(folder):
        runs = cell_runs(study, folder)
        for cell in runs:
            cell.check()
        if any(cell.status not in DONE for cell in runs) or missing_yardsticks(study, folder):
            place = Path(record["source"]) if record.get("source") else None
            with _cluster(study, address, place) as cluster:
                _carry_out(study, folder, cluster, display, clock)
        return _finish(folder, wandb, clock)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Only one runner writes to a run's folder; the system takes a claim back when it ends."""
    with open(folder / "study.json", "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(
                f"{folder}: another process is at work on this run; wait for it, or stop it"
            ) from None
        yield


def cell_runs(study: Study, folder: Path) -> list[CellRun]:
    """Every cell of a study in a run's folder, in the order in which they run."""
    return [CellRun(cell, folder / "cells" / cell.name, study) for cell in study.cells()]


def _cluster(
    study: Study, address: str | None, source: Path | None
) -> AbstractContextManager[Cluster]:
    from hpobench.running.on_ray import cluster

    return cluster(study, address, source)


def _carry_out(
    study: Study, folder: Path, cluster: Cluster, display: Display | None, clock: Clock
) -> None:
    runs = cell_runs(study, folder)
    waiting = [cell for cell in runs if cell.status not in DONE]
    display = display or make_display()
    plan = Plan(study, folder, runs)
    with display.showing(plan):
        crew = Crew(cluster, display, plan)
        try:
            crew.work([*missing_yardsticks(study, folder), *waiting])
            crew.work(missing_yardsticks(study, folder, observed=True))
        except Interrupted:
            _publish(folder, clock)  # what is complete; a second interrupt ends this, too
            raise


def _finish(folder: Path, wandb: str, clock: Clock) -> Results:
    """Everything that can be rebuilt from the records: tables, figures, the page, W&B."""
    results = _publish(folder, clock)
    if wandb != "off":
        from hpobench.tracking.track import track

        track(results, wandb)
    return results


def _publish(folder: Path, clock: Clock) -> Results:
    from hpobench.report.publishing import publish

    results = Results.load(folder)
    publish(results, clock)
    return results


class Yardstick:
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
        self._measuring = measuring.Measuring(
            f"training {' and '.join(rows)} of {task.name}", study
        )

    def carry_out(self, piece: Slice, stop: object) -> bool:
        """Measure them on a slice; False if its machines failed, and it is to be tried again."""
        study = self._study
        lines = self._measuring.on(
            piece,
            measuring.yardsticks,
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


def missing_yardsticks(study: Study, folder: Path, observed: bool = False) -> list[Yardstick]:
    """What has still to be trained for the references and the defaults, split by split.

    Also freezes ``references.json``. With ``observed``, tasks without a reference get the best
    that the study came upon.
    """
    file = folder / "references.json"
    references = read_json(file) if file.exists() else {}
    for task in study.tasks:
        if references.get(task.name) is None:
            references[task.name] = known_reference(task)
        if references[task.name] is None and observed:
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
                missing.append(Yardstick(study, folder, task, seed, wanted))
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


def _check_wandb(mode: str) -> None:
    if mode not in ("offline", "online", "off"):
        raise StudyError(f"wandb is offline, online or off, not {mode!r}")
