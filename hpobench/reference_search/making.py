"""`hpobench reference`: make a reference, all of it on Ray, and go on with what was begun.

The folder of a search:

    asked.json         what was asked for, and each code and machine that had a part in it
    search/            the run of the long search, as of any study
    trainings.jsonl    the grid, and the trainings on fresh splits: a line each
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from hpobench.errors import RunError, StudyError
from hpobench.pipeline import resume, run
from hpobench.provenance import commit, hardware, versions
from hpobench.reference_search.search import (
    Procedure,
    best_first,
    best_of_search,
    grid_of,
    key_of,
    long_list,
    losses_of,
    searched,
    winner,
)
from hpobench.reference_search.table import certified_by
from hpobench.reference_search.target import Target
from hpobench.results.json_files import Record, make_folder, read_json, read_lines, write_json
from hpobench.results.run import Results
from hpobench.results.schema import SCHEMA
from hpobench.running import ray_backend, test_metrics
from hpobench.running.display import CountLine, Display
from hpobench.running.interfaces import Cluster
from hpobench.running.progress import Progress
from hpobench.running.run_folder import held, is_empty
from hpobench.running.scheduler import SliceScheduler
from hpobench.running.training import Training
from hpobench.statistics.curves import Array
from hpobench.study import Study
from hpobench.study_file import task_hash
from hpobench.text import plus_minus
from searchers.space import Flat
from trainables.task import Task


def from_table(target: Target, table: Path) -> Record:
    """Write the reference that a whole table certifies. StudyError for a table that is not one."""
    _check_free(target, {})
    return _write(target, certified_by(target.task, table), _made_now())


def make_reference(
    target: Target,
    procedure: Procedure,
    folder: Path,
    cpus: int = 1,
    gpus: float = 0.0,
    address: str | None = None,
    display: Display | None = None,
) -> Record | None:
    """Search, choose on fresh splits, and write the reference; None if machines failed some of it.

    The same call on the same ``folder`` goes on where an earlier one stopped. ``display``: instead
    of the usual ones.

    Raises RunError if the folder holds another search, or somebody is at work on it; StudyError if
    there is a reference already; KeyboardInterrupt with all that is done kept.
    """
    study = procedure.study(target.task, cpus, gpus)
    asked = {"task_hash": task_hash(target.task), "procedure": procedure.as_json()}
    asked |= {"slot": {"cpus": cpus, "gpus": gpus}}
    _check_free(target, _began(folder, asked))
    with held(make_folder(folder)):
        began = _agree(folder, asked)
        found = _long_search(study, folder / "search", target.source, address, display)
        if found is None:
            return None
        reference = _on_fresh_splits(target, procedure, study, found, folder, address, display)
        return None if reference is None else _write(target, reference, began)


def _began(folder: Path, asked: Mapping[str, Any]) -> Record:
    """What `asked.json` of a folder says, if there is one. RunError if it asks for another."""
    file = folder / "asked.json"
    if not file.exists():
        if folder.exists() and not is_empty(folder):
            raise RunError(f"{folder} is not empty; choose another --folder for the search")
        return {}
    earlier = read_json(file)
    for name, now in asked.items():
        if earlier.get(name) != now:
            raise RunError(
                f"{folder} holds the search for another reference (its {name} differs); choose"
                " another --folder, or go on with what was asked for then"
            )
    return earlier


def _agree(folder: Path, asked: Mapping[str, Any]) -> Record:
    """Write down what is asked for, and that this code and machine have a part in it."""
    earlier = _began(folder, asked)
    now = _made_now()
    made = earlier.get("made", [])
    if now["made"][0] not in made:
        made = [*made, *now["made"]]
    agreed = {"schema": SCHEMA, **asked, "began": earlier.get("began", now["began"]), "made": made}
    write_json(folder / "asked.json", agreed)
    return agreed


def _made_now() -> Record:
    made = {"versions": versions(), "hardware": hardware(), "commit": commit()}
    return {"began": _now(), "made": [made]}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _check_free(target: Target, began: Mapping[str, Any]) -> None:
    """A reference stays as it is while it is one of its task, unless this search wrote it."""
    if not target.out.exists():
        return
    there = read_json(target.out).get("provenance", {})
    ours = began and there.get("began") == began["began"]
    if there.get("task_hash") == task_hash(target.task) and not ours:
        raise StudyError(
            f"{target.out} is a reference of {target.task.name} already, and stays as it is;"
            " give another --out, or remove that file"
        )


def _long_search(
    study: Study, folder: Path, source: Path | None, address: str | None, display: Display | None
) -> Results | None:
    """The run of the long search, complete; None if machines left some of it."""
    if (folder / "study.json").exists():
        results = Results.load(folder)
        if results.unfinished:
            results = resume(folder, "off", address, study, display)
    else:
        results = run(study, folder, "off", address, display, source)
    return None if results.unfinished else results


def train_on_split(
    task: Task, configuration: Flat, seed: int, device: str, threads: int
) -> list[dict[str, Any]]:
    """Train on one split; what the one line of ``trainings.jsonl`` says of the outcome."""
    torch.set_num_threads(threads)
    instance = task.build(seed, torch.device(device))
    validation, test = test_metrics.train_fresh(instance, task, seed, configuration, draw=0)
    return [{"validation_loss": validation.loss, "test_loss": test.loss}]


@dataclasses.dataclass(frozen=True)
class Board:
    """What has been trained for a reference, in ``trainings.jsonl``, and what does the rest."""

    study: Study
    file: Path
    slices: Cluster
    display: Display | None

    def lines(self) -> list[Record]:
        """What the file holds."""
        return read_lines(self.file).records if self.file.exists() else []

    def missing(self, configurations: Sequence[Flat], splits: Sequence[int]) -> list[Training]:
        """What has still to be trained, split by split."""
        [task] = self.study.tasks
        there = {(line["seed"], key_of(line["hyperparameters"])) for line in self.lines()}
        return [
            Training(
                f"training {task.name} on split {seed}",
                self.study,
                self.file,
                {"task": task.name, "seed": seed, "hyperparameters": configuration},
                train_on_split,
                task,
                configuration,
                seed,
            )
            for seed in splits
            for configuration in configurations
            if (seed, key_of(configuration)) not in there
        ]

    def train(self, configurations: Sequence[Flat], splits: Sequence[int], what: str) -> bool:
        """Train what is missing; False if machines failed some of it time and again."""
        work = self.missing(configurations, splits)
        progress = Progress(self.study, self.file.parent, [])
        display = self.display or CountLine(work, what)
        if work:
            with display.showing(progress):
                SliceScheduler(self.slices, display, progress).work(work)
        return not progress.left

    def losses(self, configurations: Sequence[Flat], splits: Sequence[int], column: str) -> Array:
        """Shape (configurations, splits)."""
        return losses_of(self.lines(), configurations, splits, column)


def _on_fresh_splits(
    target: Target,
    procedure: Procedure,
    study: Study,
    found: Results,
    folder: Path,
    address: str | None,
    display: Display | None,
) -> Record | None:
    """The grid, then the long list and the short list; None if machines left some of it."""
    grid = grid_of(target.task)
    few, fresh = procedure.few_splits(target.task), procedure.fresh_splits(target.task)
    with ray_backend.cluster(study, address, target.source) as slices:
        board = Board(study, folder / "trainings.jsonl", slices, display)
        if not board.train(grid, procedure.search_splits, "trainings of the grid"):
            return None
        on_grid = best_first(grid, board.losses(grid, procedure.search_splits, "validation_loss"))
        candidates = long_list(target.task, procedure, on_grid, best_of_search(found.evaluations))
        if not board.train(candidates, few, "trainings of the long list"):
            return None
        order = best_first(candidates, board.losses(candidates, few, "validation_loss"))
        short = order[: procedure.short_list]
        if len(short) < 2:
            raise StudyError(f"{target.task.name}: the search found nothing beside the default")
        if not board.train(short, fresh, "trainings of the short list"):
            return None
        best = winner(
            short,
            board.losses(short, fresh, "validation_loss"),
            board.losses(short, fresh, "test_loss"),
        )
    return searched(best, procedure, len(found.evaluations), len(grid), len(candidates))


def outcome(reference: Record) -> str:
    """What was found and how certain it is, in words."""
    measured = reference["provenance"]
    if reference["kind"] == "certified":
        return f"certified: {measured['how']}, {measured['validation_loss']:.4g}"
    loss = plus_minus(measured["fresh_test_loss"], reference["standard_error"])
    margin = plus_minus(
        measured["runner_up_above_by"], measured["runner_up_above_by_standard_error"]
    )
    return (
        f"searched: test loss {loss} on fresh splits (standard error); the runner-up's validation"
        f" loss is {margin} above"
    )


def _write(target: Target, reference: Record, began: Record) -> Record:
    """With who made it when."""
    *others, last = began["made"]
    provenance = {
        **reference["provenance"],
        "task_hash": task_hash(target.task),
        **last,
        **({"begun_with": others} if others else {}),
        "began": began["began"],
        "created": _now(),
    }
    whole = {"schema": SCHEMA, "task": target.task.name, **reference, "provenance": provenance}
    make_folder(target.out.parent)
    write_json(target.out, whole)
    return whole
