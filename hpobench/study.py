"""What a study is: tasks × searchers × seeds under one budget."""

from __future__ import annotations

import math
import random
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hpobench.budget import Budget
from hpobench.errors import StudyError
from searchers.catalog import find_searcher
from searchers.protocols import BlackBoxSearcher, GradientSearcher, Searcher
from searchers.settings import is_number, is_whole, make_plain, not_finite, plain
from trainables.rng import derive
from trainables.task import Task
from trainables.tasks import find_task

if TYPE_CHECKING:
    from hpobench.results.run import Results

T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One run of a searcher on a task: alone on its slots, on its own clock.

    Args:
        task: What is tuned.
        searcher: How.
        seed: Of the cell: it decides the split of the data, and with an evaluation's number the
            initial weights and the order of the batches.
    """

    task: Task
    searcher: Searcher
    seed: int

    @property
    def name(self) -> str:
        """As its folder is called."""
        return f"{self.task.name}__{self.searcher.name}__s{self.seed}"


@dataclass(frozen=True)
class Study:
    """Tasks × searchers × seeds under one budget for each cell.

    Args:
        name: A word; the run's folder is called after it.
        tasks: By name, or tasks of one's own.
        searchers: By name, or searchers with settings, or of one's own.
        seeds: How many (0, 1, …), or which.
        budget: What each cell may spend; a bare number means seconds.
        width: Slots of a cell: how many trainings it may do at once.
        cpus: Cores of a slot.
        gpus: GPUs of a slot, which may be a fraction of one.
        yardstick_draws: How often the reference's and the default's configurations are trained on
            each split, outside every cell's clock.
        patience: For how many seconds nothing may happen in a cell before it is ended.

    Raises:
        StudyError: For a study that makes no sense, in one line that says why.
        SearcherError, TaskError: For a name that there is not, with what there is.

    >>> study = Study("mine", ["digits"], ["random", "fds"], seeds=2, budget=8)
    >>> [cell.name for cell in study.cells()][:1]
    ['digits__fds__s0']
    """

    name: str
    tasks: tuple[Task, ...]
    searchers: tuple[Searcher, ...]
    seeds: tuple[int, ...]
    budget: Budget
    width: int = 1
    cpus: int = 1
    gpus: float = 0.0
    yardstick_draws: int = 5
    patience: float = 1800.0

    def __init__(
        self,
        name: str,
        tasks: Iterable[Task | str],
        searchers: Iterable[Searcher | str],
        seeds: int | Iterable[int],
        budget: Budget | float,
        width: int = 1,
        cpus: int = 1,
        gpus: float = 0.0,
        yardstick_draws: int = 5,
        patience: float = 1800.0,
    ) -> None:
        def put(field: str, value: object) -> None:
            object.__setattr__(self, field, value)

        put("name", name)
        put("tasks", tuple(find_task(t) if isinstance(t, str) else t for t in _several(tasks)))
        put(
            "searchers",
            tuple(find_searcher(s) if isinstance(s, str) else s for s in _several(searchers)),
        )
        put("seeds", _seeds(seeds if getattr(seeds, "shape", ()) else plain(seeds)))
        put("budget", budget if isinstance(budget, Budget) else Budget(budget))
        put("width", width)
        put("cpus", cpus)
        put("gpus", gpus)
        put("yardstick_draws", yardstick_draws)
        put("patience", patience)
        make_plain(self)
        self._check()

    @property
    def device(self) -> str:
        """Where trainings run, in torch's words."""
        return "cuda" if self.gpus else "cpu"

    @property
    def slice_cpus(self) -> int:
        """Cores of a cell's slots together."""
        return self.width * self.cpus

    @property
    def slice_gpus(self) -> int:
        """Whole GPUs that a cell's slots fit on: slots may share a GPU, cells never do."""
        if self.gpus in (0, int(self.gpus)):
            return self.width * int(self.gpus)
        return math.ceil(self.width / math.floor(1 / self.gpus + 1e-9))

    def cells(self) -> list[Cell]:
        """All cells, in the order in which they run.

        Seed by seed, each seed's cells shuffled (by the study's name): whatever drifts on the
        machine meets every searcher alike, and a study cut short has whole seeds.
        """
        order: list[Cell] = []
        for seed in self.seeds:
            block = [Cell(task, s, seed) for task in self.tasks for s in self.searchers]
            random.Random(derive(self.name, seed, "order")).shuffle(block)
            order += block
        return order

    def run(
        self, out: str | Path | None = None, wandb: str = "offline", address: str | None = None
    ) -> Results:
        """Run every cell and write the results.

        Args:
            out: The run's own folder; without it ``runs/<name>-<time>``.
            wandb: Weights & Biases: "offline", "online" or "off".
            address: Of a Ray cluster (``auto``, ``HOST:PORT``, ``ray://HOST:PORT``); without one
                the study starts a Ray of its own on this machine.

        Warns:
            UserWarning: Of each figure that could not be drawn; the results are whole.

        Raises:
            HpobenchError: In one line, as `hpobench.pipeline.run` says.
        """
        from hpobench.pipeline import run

        return _warned(run(self, out, wandb, address))

    def resume(
        self, folder: str | Path, wandb: str = "offline", address: str | None = None
    ) -> Results:
        """Run what is not complete in the folder of an earlier run of this study.

        Args:
            folder: Of that run.
            wandb, address: As in `run`.

        Raises:
            HpobenchError: In one line, as `hpobench.pipeline.resume` says.
        """
        from hpobench.pipeline import resume

        return _warned(resume(folder, wandb, address, self))

    def _check(self) -> None:
        if not isinstance(self.name, str) or not self.name or set(self.name) & set("/\\\0 "):
            raise StudyError(f"a study's name has no spaces or slashes: {self.name!r}")
        for task in self.tasks:
            if not isinstance(task, Task):
                raise StudyError(f"study {self.name}: {task!r} is not a Task")
        for searcher in self.searchers:
            if isinstance(searcher, type):
                name = searcher.__name__
                raise StudyError(f"study {self.name}: {name} is a class: give {name}()")
            if not isinstance(searcher, (BlackBoxSearcher, GradientSearcher)):
                raise StudyError(
                    f"study {self.name}: {searcher!r} is not a searcher:"
                    " it has neither suggester(brief) nor search(problem, brief, chain)"
                )
        for what, items in (("task", self.tasks), ("searcher", self.searchers)):
            if not items:
                raise StudyError(f"study {self.name}: needs at least one {what}")
            twice = [name for name, n in Counter(i.name for i in items).items() if n > 1]
            if twice:
                raise StudyError(f"study {self.name}: two {what}s are called {twice[0]}")
        names = Counter(f"{task.name}__{s.name}" for task in self.tasks for s in self.searchers)
        alike = [name for name, n in names.items() if n > 1]
        if alike:
            raise StudyError(f"study {self.name}: two cells would be called {alike[0]}: rename one")
        for searcher in self.searchers:
            if not str(searcher.name).replace("-", "_").isidentifier():
                raise StudyError(f"study {self.name}: searcher name {searcher.name!r}: use a word")
            if (setting := not_finite(searcher)) is not None:
                what = f"{setting} of {searcher.name} is not finite, and cannot be recorded"
                raise StudyError(f"study {self.name}: {what}")
        for what, least in (("width", 1), ("cpus", 1), ("yardstick_draws", 2)):
            count = getattr(self, what)
            if not is_whole(count, least):
                raise StudyError(
                    f"study {self.name}: {what} is a whole number ≥ {least}, not {count!r}"
                )
        _check_gpus(self.name, self.gpus)
        if not is_number(self.patience) or self.patience <= 0:
            raise StudyError(f"study {self.name}: patience is seconds above 0: {self.patience!r}")


def _warned(results: Results) -> Results:
    """Say what could not be drawn of them: it has to be seen, and they are whole."""
    for line in results.undrawn:
        warnings.warn(line, stacklevel=3)
    return results


def _check_gpus(study: str, gpus: Any) -> None:
    if not is_number(gpus) or gpus < 0 or (gpus > 1 and gpus % 1):
        what = "gpus of a slot are 0, a fraction of one, or a whole number"
        raise StudyError(f"study {study}: {what}, not {gpus!r}")


def _several(items: Iterable[T | str]) -> tuple[T | str, ...]:
    return (items,) if isinstance(items, str) else tuple(items)


def _seeds(seeds: Any) -> tuple[int, ...]:
    several = isinstance(seeds, Iterable) and not isinstance(seeds, str)
    which = tuple(map(plain, seeds)) if several else ()
    if is_whole(seeds, 1):
        which = tuple(range(seeds))
    whole = all(is_whole(seed, 0) for seed in which)
    if not which or not whole or len(set(which)) < len(which):
        raise StudyError(f"seeds are a number above 0, or different whole numbers ≥ 0: {seeds!r}")
    return which
