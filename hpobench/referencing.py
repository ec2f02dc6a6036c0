"""Making a reference: search a task long, then let fresh seeds decide among the best.

The minimum over many noisy validation losses is optimistic, so the ten best configurations are
trained again on splits and draws that no search has seen, and the best mean wins.
"""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hpobench import measuring, runner
from hpobench.errors import StudyError
from hpobench.records import make_folder, write_json
from hpobench.references import FOLDER
from hpobench.results import Results
from hpobench.specification import commit, task_hash
from hpobench.study import Study
from searchers.space import Flat
from trainables.task import Task
from trainables.tasks import find_task

SEARCHERS = ("grid", "random", "tpe", "fds", "rmd")
SEARCH_SEEDS = 1000
FRESH_SEEDS = 2000
SPLITS = 20
TOP = 10


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
    results = runner.run(study, wandb="off")
    candidates = best_configurations(task, results)
    print(f"training the {len(candidates)} best again on {SPLITS} fresh splits")
    validation, test = on_fresh_splits(task, candidates)
    best = int(validation.mean(axis=1).argmin())
    reference = {
        "schema": 1,
        "task": name,
        "kind": "searched",
        "hyperparameters": candidates[best],
        "standard_error": _standard_error(test[best]),
        "provenance": {
            "how": f"the best mean validation loss on {SPLITS} fresh splits among the {TOP} best"
            f" of {len(results.evaluations)} evaluations of {', '.join(SEARCHERS)}"
            f" and the default, {seconds:g} s each on {seeds} splits",
            "fresh_validation_loss": float(validation[best].mean()),
            "fresh_validation_standard_error": _standard_error(validation[best]),
            "fresh_test_loss": float(test[best].mean()),
            "task_hash": task_hash(task),
            "versions": results.study["versions"],
            "hardware": results.study["hardware"],
            "commit": commit(),
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        },
    }
    file = out or FOLDER / f"{name}.json"
    make_folder(file.parent)
    write_json(file, reference)
    return file, reference


def best_configurations(task: Task, results: Results) -> list[Flat]:
    """The default, and the ten full evaluations with the lowest validation losses."""
    full = results.evaluations.query("full and status == 'ok'").sort_values("validation_loss")
    found = {json.dumps(h, sort_keys=True): h for h in full["hyperparameters"]}
    return [task.space.flatten(task.default), *list(found.values())[:TOP]]


def on_fresh_splits(task: Task, configurations: list[Flat]) -> tuple[np.ndarray, np.ndarray]:
    """Validation and test losses, each of shape (configurations, SPLITS)."""
    torch.set_num_threads(1)
    losses = np.empty((2, len(configurations), SPLITS))
    for split in range(SPLITS):
        seed = FRESH_SEEDS + split
        instance = task.build(seed, torch.device("cpu"))
        for i, configuration in enumerate(configurations):
            metrics = measuring.train_fresh(instance, task, seed, configuration, draw=0)
            losses[:, i, split] = [m.loss for m in metrics]
    return losses[0], losses[1]


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))
