"""Running a study: yardsticks, then cells on slices side by side, then what follows from them.

Each slice has a thread that starts cells, one after the other, each in a process of its own, and
measures on the test set what a cell kept before the slice takes the next one. The thread of the
caller only watches.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from datetime import datetime
from pathlib import Path
from typing import Any

from hpobench.errors import RunError, StudyError
from hpobench.references.known import best_observed, known_reference
from hpobench.results.records import append_line, make_folder, read_json, read_lines, write_json
from hpobench.results.run import Results
from hpobench.running import measuring
from hpobench.running.attempts import CellRun, Stopped
from hpobench.running.display import Display, Plan, make_display
from hpobench.running.local import Machine, Slice, local_machine, slices_of
from hpobench.specification import SCHEMA, check_same, describe, rebuild
from hpobench.study import Study
from trainables.task import Task

WATCH_SECONDS = 0.5
DONE = ("complete", "failed")


def run(
    study: Study,
    out: str | Path | None = None,
    wandb: str = "offline",
    display: Display | None = None,
    source: Path | None = None,
) -> Results:
    """Run a study in a new folder; see `Study.run`."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path(out) if out is not None else Path("runs") / f"{study.name}-{stamp}"
    if (folder / "study.json").exists():
        raise RunError(f"{folder} already holds a run; resume it, or choose another folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty; choose another folder for the run")
    _check_wandb(wandb)
    slices_of(study)  # refuses a study too wide for this machine before anything is written
    make_folder(folder / "cells")
    write_json(folder / "study.json", describe(study, source))
    return _carry_out(study, folder, wandb, display)


def resume(
    folder: str | Path,
    wandb: str = "offline",
    study: Study | None = None,
    display: Display | None = None,
) -> Results:
    """Run what is not complete in a run's folder; nothing that is complete is touched."""
    folder = Path(folder)
    if not (folder / "study.json").is_file():
        raise RunError(f"{folder} holds no run: there is no study.json in it")
    _check_wandb(wandb)
    record = read_json(folder / "study.json")
    if study is None:
        study = rebuild(record)
    else:
        check_same(study, record)
    return _carry_out(study, folder, wandb, display)


def _carry_out(study: Study, folder: Path, wandb: str, display: Display | None) -> Results:
    runs = [CellRun(cell, folder / "cells" / cell.name, study) for cell in study.cells()]
    waiting = [r for r in runs if r.status() not in DONE]
    yardsticks = _missing_yardsticks(study, folder)
    display = display or make_display()
    if waiting or yardsticks:
        with local_machine(study) as machine:
            plan = Plan(study, folder, runs, len(machine.slices))
            with display.showing(plan):
                crew = Crew(study, folder, machine, display, plan)
                crew.work([*yardsticks, *waiting])
                observed = _missing_yardsticks(study, folder, observed=True)
                crew.work(list(observed))
    return _finish(study, folder, wandb)


def _finish(study: Study, folder: Path, wandb: str) -> Results:
    """Everything that can be rebuilt from the records: tables, figures, the page, W&B."""
    from hpobench.report.publishing import publish

    results = Results.load(folder)
    publish(results)
    if wandb != "off":
        from hpobench.tracking.track import track

        track(results, wandb)
    return results


class Yardstick:
    """The yardsticks of one split, still to be measured: rows with their configurations."""

    def __init__(self, task: Task, seed: int, rows: dict[str, Any]):
        self.task, self.seed, self.rows = task, seed, rows


def _missing_yardsticks(study: Study, folder: Path, observed: bool = False) -> list[Yardstick]:
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
    measured = _measured_yardsticks(study, folder)
    missing = []
    for task in study.tasks:
        rows = {"default": task.space.flatten(task.default)}
        if references[task.name] is not None:
            rows["reference"] = references[task.name]["hyperparameters"]
        for seed in study.seeds:
            left = {k: v for k, v in rows.items() if (task.name, seed, k) not in measured}
            if left:
                missing.append(Yardstick(task, seed, left))
    return missing


def _measured_yardsticks(study: Study, folder: Path) -> set[tuple[str, int, str]]:
    """Task, seed and row of the yardsticks with all of their draws."""
    file = folder / "yardsticks.jsonl"
    lines = read_lines(file).records if file.exists() else []
    drawn = {(line["task"], line["seed"], line["row"], line["draw"]) for line in lines}
    counts = Counter((task, seed, row) for task, seed, row, _ in drawn)
    return {row for row, count in counts.items() if count >= study.yardstick_draws}


def _evaluations(study: Study, folder: Path, task: Task) -> list[dict[str, Any]]:
    cells = [cell for cell in study.cells() if cell.task is task]
    files = [folder / "cells" / cell.name / "evaluations.jsonl" for cell in cells]
    return [record for f in files if f.exists() for record in read_lines(f).records]


class Crew:
    """A thread for each slice, taking pieces of work in order."""

    def __init__(self, study: Study, folder: Path, machine: Machine, display: Display, plan: Plan):
        self._study, self._folder, self._machine = study, folder, machine
        self._display, self._plan = display, plan
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def work(self, pieces: list[Yardstick] | list[CellRun] | list[Any]) -> None:
        """Do all of it; on an interrupt or an error, stop what runs, and raise."""
        queue = deque(pieces)
        threads = [
            threading.Thread(target=self._serve, args=(piece, queue), daemon=True)
            for piece in self._machine.slices
        ]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                self._display.refresh(self._plan)
                time.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            self._stop.set()
            for thread in threads:
                thread.join(timeout=10)
            raise
        self._display.refresh(self._plan)
        if self._error is not None:
            raise self._error

    def _serve(self, piece: Slice, queue: deque[Yardstick | CellRun]) -> None:
        while not self._stop.is_set():
            try:
                work = queue.popleft()
            except IndexError:
                return
            try:
                if isinstance(work, Yardstick):
                    self._measure(work, piece)
                else:
                    work.carry_out(self._machine.address, piece, self._stop)
            except Stopped:
                return
            except BaseException as error:
                self._error = self._error or error
                self._stop.set()
                return

    def _measure(self, work: Yardstick, piece: Slice) -> None:
        lines = measuring.on_slice(
            f"training {' and '.join(work.rows)} of {work.task.name}",
            measuring.yardsticks,
            self._study,
            piece,
            work.task,
            work.seed,
            work.rows,
            self._study.yardstick_draws,
            "cuda" if self._study.gpus else "cpu",
            self._study.cpus,
            piece.cores,
        )
        with self._lock:
            for line in lines:
                append_line(self._folder / "yardsticks.jsonl", {"schema": SCHEMA, **line})


def _check_wandb(mode: str) -> None:
    if mode not in ("offline", "online", "off"):
        raise StudyError(f"wandb is offline, online or off, not {mode!r}")
