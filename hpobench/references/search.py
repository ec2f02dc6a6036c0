"""Making a reference: search a task long, then let fresh seeds decide among the best.

The minimum over many noisy validation losses is optimistic, so the long list of the best
configurations is trained again on a few splits and draws that no search has seen, the ten best of
those on many more, and the best mean wins.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hpobench.errors import StudyError
from hpobench.provenance import commit
from hpobench.references.known import FOLDER, known_reference
from hpobench.results.records import make_folder, write_json
from hpobench.results.run import Results
from hpobench.running import measuring, runner
from hpobench.specification import task_hash
from hpobench.study import Study
from searchers.space import Flat, SpaceError
from trainables.task import Task
from trainables.tasks import TASKS, find_task

SEARCHERS = ("grid", "random", "tpe", "fds", "rmd")
SEARCH_SEEDS = 1000
LONG_LIST, FEW_SPLITS = 60, range(2000, 2004)
SHORT_LIST, MANY_SPLITS = 10, range(3000, 3020)


def make_reference(
    name: str, seconds: float, seeds: int, out: Path | None
) -> tuple[Path, dict[str, Any]]:
    """Search, choose on fresh seeds, write the JSON; its path and content."""
    task = find_task(name)
    if task.optimum is not None:
        raise StudyError(f"the optimum of {name} is known in closed form: it needs no search")
    study = Study(
        f"reference_{name}",
        [task],
        SEARCHERS,
        seeds=range(SEARCH_SEEDS, SEARCH_SEEDS + seeds),
        budget=seconds,
        yardstick_draws=2,
    )
    reference = choose(task, runner.run(study, wandb="off"))
    file = out or FOLDER / f"{name}.json"
    make_folder(file.parent)
    write_json(file, reference)
    return file, reference


def choose(task: Task, results: Results) -> dict[str, Any]:
    """The reference that a long search leads to."""
    candidates = long_list(task, results)
    print(f"training the {len(candidates)} best again on {len(FEW_SPLITS)} fresh splits")
    validation, _ = on_splits(task, candidates, FEW_SPLITS)
    order = validation.mean(axis=1).argsort()[:SHORT_LIST]
    candidates = [candidates[i] for i in order]
    print(f"training the {len(candidates)} best of them on {len(MANY_SPLITS)} more")
    validation, test = on_splits(task, candidates, MANY_SPLITS)
    best = int(validation.mean(axis=1).argmin())
    study = results.study
    return {
        "schema": 1,
        "task": task.name,
        "kind": "searched",
        "hyperparameters": candidates[best],
        "standard_error": _standard_error(test[best]),
        "provenance": {
            "how": f"{len(results.evaluations)} evaluations of {', '.join(SEARCHERS)},"
            f" {study['budget']['amount']:g} s each on {len(study['seeds'])} splits; of them the"
            f" {LONG_LIST} best, the default, and references under other priors, again on"
            f" {len(FEW_SPLITS)} fresh splits, and the {SHORT_LIST} best of those on"
            f" {len(MANY_SPLITS)} more: the best mean validation loss there",
            "fresh_validation_loss": float(validation[best].mean()),
            "fresh_validation_standard_error": _standard_error(validation[best]),
            "fresh_test_loss": float(test[best].mean()),
            "task_hash": task_hash(task),
            "versions": study["versions"],
            "hardware": study["hardware"],
            "commit": commit(),
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        },
    }


def long_list(task: Task, results: Results) -> list[Flat]:
    """The default, and the best full evaluations: of every split its share, best first."""
    full = results.evaluations.query("full and status == 'ok'").copy()
    full["rank"] = full.groupby("seed")["validation_loss"].rank(method="first")
    full = full.sort_values(["rank", "seed"])
    found = {json.dumps(h, sort_keys=True): h for h in full["hyperparameters"]}
    return [task.space.flatten(task.default), *kin(task), *list(found.values())[:LONG_LIST]]


def kin(task: Task) -> list[Flat]:
    """References of tasks that train the same thing under another prior, where they fit."""
    found = []
    for other in TASKS.values():
        reference = known_reference(other) if other.build is task.build else None
        if reference is not None and other.name != task.name:
            with suppress(SpaceError):
                found.append(task.space.check(reference["hyperparameters"]))
    return found


def on_splits(
    task: Task, configurations: list[Flat], splits: range
) -> tuple[np.ndarray, np.ndarray]:
    """Validation and test losses, each of shape (configurations, splits)."""
    torch.set_num_threads(1)
    losses = np.empty((2, len(configurations), len(splits)))
    for column, seed in enumerate(splits):
        instance = task.build(seed, torch.device("cpu"))
        for row, configuration in enumerate(configurations):
            metrics = measuring.train_fresh(instance, task, seed, configuration, draw=0)
            losses[:, row, column] = [m.loss for m in metrics]
    return losses[0], losses[1]


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))
