"""How a reference is searched for: the grid, the long list, the short list, and the winner.

1. A *grid*, on a few splits: tied learning rates, and learning rates decayed in steps, × momentum ×
   weight decay, those of them that the task's space has; all else as in the task's default. It
   follows Micaelli & Storkey (2021, appendix F, for CIFAR-10); the levels are `GRID`'s: 9 learning
   rates, 5 momenta and 3 weight decays in the middle of equal parts of the ranges, in their own
   scale, each learning rate held to the end, or divided by 10 after half of the training and again
   after three quarters.
2. A *long search* on the same splits: a study with `SEARCHERS`.
3. The *long list*, the best of both, is trained again on fresh splits, and the short list of the
   best there on many more: a minimum over noise is optimistic. The best mean validation loss wins.
   The test loss guides none of it.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hpobench.budget import Budget
from hpobench.errors import StudyError
from hpobench.references.known import known_reference
from hpobench.statistics.curves import Array, standard_error
from hpobench.study import Study
from hpobench.text import plural
from searchers.black_box.grid import GridSearch
from searchers.settings import is_whole, make_plain
from searchers.space import Flat, Space, SpaceError
from trainables.task import Task
from trainables.tasks import TASKS

SEARCHERS = ("random", "tpe", "fds", "rmd")
GRID = GridSearch(learning_rates=9, momenta=5, weight_decays=3)
ON_GRID = ("learning_rate", "momentum", "weight_decay")

SEARCH_SEEDS, FEW_SEEDS, FRESH_SEEDS = 1000, 2000, 3000
"""The splits of each stage begin here: no stage chooses on what another has seen."""

APART = 10_000
"""From one task's fresh splits to another's: a reference of the same training under another prior
was chosen on its own, and would be at an advantage there."""

MOST_SEEDS = 1000


@dataclass(frozen=True)
class Procedure:
    """How much is spent on a reference.

    ``budget``: of each searcher on each split. ``seeds``: on how many splits grid and searchers
    look. The long list is the default, the references of the same training under other priors, the
    ``from_grid`` best of the grid and the ``from_search`` best of the search; it is trained on
    ``few`` fresh splits, its ``short_list`` best on ``fresh`` others.
    """

    budget: Budget = Budget(60.0)  # noqa: RUF009 (frozen)
    seeds: int = 3
    from_grid: int = 20
    from_search: int = 40
    few: int = 4
    short_list: int = 10
    fresh: int = 20

    def __post_init__(self) -> None:
        make_plain(self)
        least = dict.fromkeys(("seeds", "from_grid", "from_search", "few"), 1)
        least |= {"short_list": 2, "fresh": 2}
        for name, lowest in least.items():
            count = getattr(self, name)
            most = MOST_SEEDS if name in ("seeds", "few", "fresh") else math.inf
            if not is_whole(count, lowest) or count > most:
                upto = f" and at most {most}" if math.isfinite(most) else ""
                raise StudyError(f"a reference's {name} is at least {lowest}{upto}, not {count!r}")

    @property
    def search_splits(self) -> range:
        """The splits of the grid and of the long search."""
        return range(SEARCH_SEEDS, SEARCH_SEEDS + self.seeds)

    def few_splits(self, task: Task) -> range:
        """The fresh splits of the long list."""
        first = FEW_SEEDS + _shift(task)
        return range(first, first + self.few)

    def fresh_splits(self, task: Task) -> range:
        """The fresh splits of the short list."""
        first = FRESH_SEEDS + _shift(task)
        return range(first, first + self.fresh)

    def study(self, task: Task, cpus: int = 1, gpus: float = 0.0) -> Study:
        """The long search."""
        return Study(
            f"reference_{task.name}",
            [task],
            SEARCHERS,
            seeds=self.search_splits,
            budget=self.budget,
            cpus=cpus,
            gpus=gpus,
            yardstick_draws=2,
        )

    def as_json(self) -> dict[str, Any]:
        """As ``asked.json`` has it: two searches with the same are the same search."""
        grid = {name: value for name, value in asdict(GRID).items() if name != "name"}
        rest = {name: value for name, value in asdict(self).items() if name != "budget"}
        return {"grid": grid, "searchers": [*SEARCHERS], "budget": self.budget.as_json(), **rest}


def grid_of(task: Task) -> list[Flat]:
    """The grid's configurations, each once; none for a space without any of its names."""
    on_grid = {name: task.space.domains[name] for name in ON_GRID if name in task.space.domains}
    if not on_grid:
        return []
    default = task.space.flatten(task.default)
    return distinct(default | point for point in GRID.points(Space(on_grid)))


def long_list(
    task: Task, procedure: Procedure, of_grid: Sequence[Flat], of_search: Sequence[Flat]
) -> list[Flat]:
    """What is trained on fresh splits; ``of_grid`` and ``of_search`` are ordered, best first."""
    best = [*of_grid[: procedure.from_grid], *of_search[: procedure.from_search]]
    return distinct([task.space.flatten(task.default), *kin(task), *best])


def best_of_search(evaluations: pd.DataFrame) -> list[Flat]:
    """The full evaluations of a study, best first: of every split the best, then the second, …"""
    full = evaluations.query("full and status == 'ok'").copy()
    full["rank"] = full.groupby("seed")["validation_loss"].rank(method="first")
    return distinct(full.sort_values(["rank", "seed"])["hyperparameters"])


def kin(task: Task) -> list[Flat]:
    """References of tasks that train the same thing under another prior, where they fit."""
    found = []
    for other in TASKS.values():
        reference = known_reference(other) if other.build is task.build else None
        if reference is not None and other.name != task.name:
            with suppress(SpaceError):
                found.append(task.space.check(reference["hyperparameters"]))
    return found


def losses_of(
    lines: Iterable[Mapping[str, Any]],
    configurations: Sequence[Flat],
    splits: Sequence[int],
    column: str,
) -> Array:
    """What configurations came to on splits, shape (configurations, splits); NaN if not trained."""
    there = {(line["seed"], key_of(line["hyperparameters"])): line[column] for line in lines}
    rows = [[there.get((seed, key_of(c)), math.nan) for seed in splits] for c in configurations]
    return np.array(rows, dtype=float).reshape(len(configurations), len(splits))


def best_first(configurations: Sequence[Flat], losses: Array) -> list[Flat]:
    """By mean loss; ``losses``: (configurations, splits). Of equals, the earlier one first."""
    order = losses.mean(axis=1).argsort(kind="stable")
    return [configurations[i] for i in order]


class Winner(NamedTuple):
    """The best by mean validation loss, and what it came to on the fresh splits.

    ``margin``: by how much the runner-up's mean validation loss is above it, over the same splits;
    ``margin_error``: the standard error of that paired difference.
    """

    configuration: Flat
    validation_loss: float
    validation_error: float
    test_loss: float
    test_error: float
    margin: float
    margin_error: float


def winner(configurations: Sequence[Flat], validation: Array, test: Array) -> Winner:
    """``validation``, ``test``: (configurations, splits), at least two of each."""
    first, second = validation.mean(axis=1).argsort(kind="stable")[:2]
    difference = validation[second] - validation[first]
    return Winner(
        configurations[first],
        float(validation[first].mean()),
        float(standard_error(validation[first])),
        float(test[first].mean()),
        float(standard_error(test[first])),
        float(difference.mean()),
        float(standard_error(difference)),
    )


def searched(
    best: Winner, procedure: Procedure, evaluations: int, on_grid: int, candidates: int
) -> dict[str, Any]:
    """The reference that a search leads to, but for who made it when."""
    on_list = min(procedure.short_list, candidates)
    return {
        "kind": "searched",
        "hyperparameters": best.configuration,
        "standard_error": best.test_error,
        "provenance": {
            "how": f"a grid of {on_grid} configurations (tied and step-decayed learning rates ×"
            f" momentum × weight decay) and {evaluations} evaluations of {', '.join(SEARCHERS)}"
            f" ({procedure.budget} each), on {plural(procedure.seeds, 'split')}; the best of"
            f" them, the default and references under other priors, {candidates} together, again"
            f" on {plural(procedure.few, 'fresh split')}, and the {on_list} best of those on"
            f" {procedure.fresh} more: the best mean validation loss there",
            "fresh_validation_loss": best.validation_loss,
            "fresh_validation_standard_error": best.validation_error,
            "fresh_test_loss": best.test_loss,
            "runner_up_above_by": best.margin,
            "runner_up_above_by_standard_error": best.margin_error,
        },
    }


def _shift(task: Task) -> int:
    return APART * (1 + zlib.crc32(task.name.encode()) % APART)


def distinct(configurations: Iterable[Flat]) -> list[Flat]:
    """Each once, where it first stands."""
    return list({key_of(configuration): configuration for configuration in configurations}.values())


def key_of(configuration: Mapping[str, Any]) -> str:
    """The same text for equal configurations, whatever their order."""
    return json.dumps(dict(configuration), sort_keys=True)
