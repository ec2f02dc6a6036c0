"""A study, from its specification to what a reader opens: one step after the other.

1. The run's folder is made, or checked to hold this study, and held: one runner at a time.
2. The work is done on slices of a cluster (`hpobench.running`): baseline runs and cells, or
   replays.
3. Tables, figures and the page are published (`hpobench.report`): at the end, and on an interrupt.
4. The results go to the sinks (`hpobench.tracking`): Weights & Biases, and whatever else is asked
   for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from hpobench.errors import RunError
from hpobench.references.known import known_reference
from hpobench.report.publishing import publish
from hpobench.results.json_files import write_json
from hpobench.results.loading import read_study
from hpobench.results.regret import Clock
from hpobench.results.run import Results
from hpobench.running import ray_backend
from hpobench.running.baseline_runs import missing_baseline_runs, trainings_to_come
from hpobench.running.cell_run import SETTLED, cell_runs
from hpobench.running.display import CountLine, Display, make_display
from hpobench.running.interfaces import Cluster
from hpobench.running.progress import Progress
from hpobench.running.replays import agreed, missing_replays, write_agreed
from hpobench.running.run_folder import held, new_folder
from hpobench.running.scheduler import Interrupted, SliceScheduler
from hpobench.running.task_checks import TaskCheck, check, own_tasks
from hpobench.study import Study
from hpobench.study_file import check_same, describe, rebuild
from hpobench.tracking.catalog import sinks_for
from hpobench.tracking.sink import Sink
from trainables.task import Task


def run(
    study: Study,
    out: str | Path | None = None,
    wandb: str = "offline",
    address: str | None = None,
    display: Display | None = None,
    source: Path | None = None,
    clock: Clock = "seconds",
    sinks: Sequence[Sink] = (),
) -> Results:
    """Run a study in a new folder; see `Study.run`.

    Args:
        study: What is run.
        out: The run's own folder; without it ``runs/<name>-<time>``.
        wandb: Weights & Biases: "offline", "online" or "off".
        address: Of a Ray cluster; without one, the study starts a Ray of its own on this machine.
        display: What a person sees meanwhile, instead of the usual table or lines.
        source: The user's file that the study came from.
        clock: What figures and page are drawn over.
        sinks: Where else the results are tracked.

    Returns:
        All of them. ``undrawn`` names the figures that could not be drawn: the rest is published.

    Raises:
        StudyError: For a study, a mode of ``wandb`` or a reference that makes no sense, or a
            machine too small for the study; nothing has been written then.
        RunError: For a folder that is not free, or a cluster or a disk that refuses.
        TrackingError: For a sink that fails; the results are whole.
        KeyboardInterrupt: With all that is complete kept, and published.
    """
    folder = Path(out) if out is not None else folder_for(study)
    sinks = [*sinks_for(wandb), *sinks]
    for task in study.tasks:
        known_reference(task)  # one that cannot be read is refused before anything is written
    display = display or make_display()
    own = own_tasks(study)
    if here := address is None and not study.gpus:
        _check_here(own, study, display)
    with new_folder(folder):
        with ray_backend.cluster(study, address, source) as cluster:  # may refuse, too
            write_json(folder / "study.json", describe(study, source))
            checks = () if here else [TaskCheck(task, study) for task in own]
            run_cells(study, folder, cluster, display, clock, checks)
        return _finish(folder, clock, sinks)


def _check_here(tasks: Sequence[Task], study: Study, display: Display) -> None:
    """Check a user's own tasks in this process, and say so: before a Ray is started."""
    for task in tasks:
        display.say(f"{task.name}: checking, by a few training steps and passes over its data")
        seconds = check(task, study.seeds[0], study.device, study.cpus)
        display.say(f"{task.name}: keeps to what a task has to ({seconds:.1f} s)")


def folder_for(study: Study) -> Path:
    """Where a run of a study lies that begins now, unless told."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{study.name}-{stamp}"


def resume(
    folder: str | Path,
    wandb: str = "offline",
    address: str | None = None,
    study: Study | None = None,
    display: Display | None = None,
    source: Path | None = None,
    clock: Clock = "seconds",
    sinks: Sequence[Sink] = (),
) -> Results:
    """Run what is not complete in a run's folder; nothing that is complete is touched.

    Args:
        folder: Of the run.
        wandb, address, display, clock, sinks: As in `run`.
        study: What the folder is a run of; without it, the study is made again from its
            ``study.json``.
        source: The file that the study came from, if it is no longer where it was.

    Raises:
        RunError: If the folder holds no run, or one of another study, if a record is damaged, or
            another process is at work on it.
        StudyError, TrackingError, KeyboardInterrupt: As in `run`.
    """
    folder = Path(folder)
    if not (folder / "study.json").is_file():
        raise RunError(f"{folder} holds no run: there is no study.json in it")
    sinks = [*sinks_for(wandb), *sinks]
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
        if unsettled or missing_baseline_runs(study, folder, runs):
            place = Path(record["source"]) if record.get("source") else None
            with ray_backend.cluster(study, address, place) as cluster:
                run_cells(study, folder, cluster, display, clock)
        return _finish(folder, clock, sinks)


def replay(
    folder: str | Path,
    at: Sequence[float] | None = None,
    draws: int | None = None,
    every: bool = False,
    address: str | None = None,
    source: Path | None = None,
    clock: Clock = "seconds",
    display: Display | None = None,
) -> Results:
    """Train the incumbents of a run's complete cells again; go on with what an earlier call began.

    What was asked for earlier is kept to, too.

    Args:
        folder: Of the run.
        at: Times on the cells' clocks, in seconds; ``math.inf`` is the end of the budget, which it
            is unless told.
        draws: How often each incumbent is trained.
        every: Also the incumbents between these times.
        address, clock, display: As in `run`.
        source: The file that the study came from, if it is no longer where it was.

    Raises:
        RunError: If the folder is no run, or another process is at work on it.
        StudyError: For times and draws that make no sense.
        KeyboardInterrupt: With all that is done kept, and published.
    """
    folder = Path(folder)
    record = read_study(folder)
    if source is not None:
        record["source"] = str(source)
    study = rebuild(record)
    with held(folder):
        results = Results.load(folder)
        replays = agreed(results, study.budget, at, draws, every)
        results = dataclasses.replace(results, replays=replays)
        work = missing_replays(study, results)
        write_agreed(results)
        if work:
            place = Path(record["source"]) if record.get("source") else None
            progress = Progress(study, folder, [])
            display = display or CountLine(work, "replays")
            with (
                ray_backend.cluster(study, address, place) as cluster,
                _at_work(progress, cluster, display, clock) as scheduler,
            ):
                scheduler.work(work)
        return _publish(folder, clock)


def run_cells(
    study: Study,
    folder: Path,
    cluster: Cluster,
    display: Display | None,
    clock: Clock,
    checks: Sequence[TaskCheck] = (),
) -> None:
    """Do what is missing in a run's folder: the baseline runs, and every cell; first, checks."""
    runs = cell_runs(study, folder)
    waiting = [cell for cell in runs if cell.status not in SETTLED]
    progress = Progress(study, folder, runs)
    with _at_work(progress, cluster, display or make_display(), clock) as scheduler:
        scheduler.work(checks)
        progress.baselines = missing_baseline_runs(study, folder, runs)
        progress.to_come = trainings_to_come(study, folder)
        scheduler.work([*progress.baselines, *waiting])
        # Of the references that the cells came upon:
        late = missing_baseline_runs(study, folder, runs)
        progress.baselines, progress.to_come = [*progress.baselines, *late], 0
        scheduler.work(late)


@contextmanager
def _at_work(
    progress: Progress, cluster: Cluster, display: Display, clock: Clock
) -> Iterator[SliceScheduler]:
    """A scheduler whose progress is shown; on an interrupt, what is complete is published."""
    with display.showing(progress):
        try:
            yield SliceScheduler(cluster, display, progress)
        except Interrupted as interrupt:
            for line in _publish(progress.folder, clock).undrawn:  # a second one ends this, too
                interrupt.add_note(line)
            raise


def _finish(folder: Path, clock: Clock, sinks: Sequence[Sink]) -> Results:
    """Everything that follows from the records: tables, figures, the page, and tracking."""
    results = _publish(folder, clock)
    for sink in sinks:
        sink.track(results)
    return results


def _publish(folder: Path, clock: Clock) -> Results:
    results = Results.load(folder)
    undrawn = publish(results, clock)
    return dataclasses.replace(results, undrawn=undrawn) if undrawn else results
