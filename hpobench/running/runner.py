"""Running a study: yardsticks, then cells on slices side by side, then what follows from them.

Slices are taken from the cluster as long as there is work for them. Each has a thread of this
process, which carries out one piece of work after another there: the yardsticks of a split, or a
cell. The thread of the caller only watches.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from hpobench.errors import RunError, StudyError
from hpobench.references.known import known_reference
from hpobench.results.json_files import is_draft, make_folder, write_json
from hpobench.results.loading import read_study
from hpobench.results.regret import Clock
from hpobench.results.run import Results
from hpobench.running.baseline_runs import missing_yardsticks
from hpobench.running.cell_run import SETTLED, CellRun
from hpobench.running.display import Display, Plan, make_display
from hpobench.running.interfaces import Cluster
from hpobench.running.scheduler import Interrupted, SliceScheduler
from hpobench.study import Study
from hpobench.study_file import check_same, describe, rebuild


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
    _check_wandb(wandb)
    for task in study.tasks:
        known_reference(task)  # one that cannot be read is refused before anything is written
    with _new_folder(folder):
        with _cluster(study, address, source) as cluster:  # may refuse: nothing is written before
            write_json(folder / "study.json", describe(study, source))
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
    record = read_study(folder)
    if source is not None:
        record["source"] = str(source)
    if study is None:
        study = rebuild(record)
    else:
        check_same(study, record)
    with held(folder):
        runs = cell_runs(study, folder)
        for cell in runs:
            cell.check()
        unsettled = any(cell.status not in SETTLED for cell in runs)
        if unsettled or missing_yardsticks(study, folder, runs):
            place = Path(record["source"]) if record.get("source") else None
            with _cluster(study, address, place) as cluster:
                _carry_out(study, folder, cluster, display, clock)
        return _finish(folder, wandb, clock)


@contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """A folder of one's own that holds nothing yet; if nothing comes to be in it, it is removed."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    with held(make_folder(folder)):
        if (folder / "study.json").exists():
            raise RunError(f"{folder} already holds a run; resume it, or choose another folder")
        if any(not is_draft(file) for file in folder.iterdir()):
            raise RunError(f"{folder} is not empty; choose another folder for the run")
        try:
            yield
        finally:
            with suppress(OSError):  # one that is not empty stays
                for place in made:
                    place.rmdir()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Only one runner writes to a run's folder; the system takes a claim back when it ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(
                f"{folder}: another process is at work on this run; wait for it, or stop it"
            ) from None
        yield
    finally:
        os.close(descriptor)


def cell_runs(study: Study, folder: Path) -> list[CellRun]:
    """Every cell of a study in a run's folder, in the order in which they run."""
    return [CellRun(cell, folder / "cells" / cell.name, study) for cell in study.cells()]


def _cluster(
    study: Study, address: str | None, source: Path | None
) -> AbstractContextManager[Cluster]:
    from hpobench.running.ray_backend import cluster

    return cluster(study, address, source)


def _carry_out(
    study: Study, folder: Path, cluster: Cluster, display: Display | None, clock: Clock
) -> None:
    runs = cell_runs(study, folder)
    waiting = [cell for cell in runs if cell.status not in SETTLED]
    display = display or make_display()
    plan = Plan(study, folder, runs)
    with display.showing(plan):
        crew = SliceScheduler(cluster, display, plan)
        try:
            crew.work([*missing_yardsticks(study, folder, runs), *waiting])
            crew.work(missing_yardsticks(study, folder, runs))
        except Interrupted:
            _publish(folder, clock)  # what is complete; a second interrupt ends this, too
            raise


def _finish(folder: Path, wandb: str, clock: Clock) -> Results:
    """Everything that can be rebuilt from the records: tables, figures, the page, W&B."""
    results = _publish(folder, clock)
    if wandb != "off":
        from hpobench.tracking.wandb.track import track

        track(results, wandb)
    return results


def _publish(folder: Path, clock: Clock) -> Results:
    from hpobench.report.publishing import publish

    results = Results.load(folder)
    publish(results, clock)
    return results


def _check_wandb(mode: str) -> None:
    if mode not in ("offline", "online", "off"):
        raise StudyError(f"wandb is offline, online or off, not {mode!r}")
