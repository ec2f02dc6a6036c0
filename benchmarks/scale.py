"""How the runner's own cost grows with slots and cells: on a simulated cluster, without training.

    python benchmarks/scale.py

Simulated are the slices, what a training takes (it sleeps for a synthetic while), and its losses.
Real are the runner with all its files, and each cell's loop with a random search; what that
costs is a controller's, on a cluster a process of its own elsewhere, and taken off. What Ray itself
costs is not in it. Exits with 1 if a cell costs the runner much more in a large study than in a
small one, if the cost grows faster than the slots, or if a study takes much longer than its
trainings.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from hpobench import Study, evaluations
from hpobench.pipeline import run_cells
from hpobench.running.actor import UPDATE_SECONDS
from hpobench.running.cell_loop import CellLoop, Header
from hpobench.running.display import Display, PlainLines
from hpobench.running.interfaces import AttemptSpec, AttemptUpdate, Outcome
from searchers.black_box.random_search import RandomSearch
from trainables.rng import derive

TRIALS = 10
"""Trainings of a cell."""

SLOTS, CELLS = (16, 64, 256), (250, 500, 1000)
SECONDS = 0.02
"""What a cell of a study takes, divided by the slots: a thousand of them take 20 s."""

WEIGHTS = bytes(4096)
MOST_GROWTH = 2.0
"""How much more a cell may cost in a large study than in a small one."""
MOST_BEYOND = 0.5
"""How much longer a study may take than its trainings, as a share."""


class Controllers:
    """CPU seconds that simulated controllers took, over all threads."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        began = time.thread_time()
        try:
            yield
        finally:
            with self._lock:
                self.seconds += time.thread_time() - began


class SimulatedAttempt:
    """A cell's loop, whose slots sleep; it goes on while it is asked for updates."""

    def __init__(self, spec: AttemptSpec, slice_: SimulatedSlice) -> None:
        cell = spec.cell
        header = Header(cell.name, cell.task.name, cell.searcher.name, cell.seed, spec.attempt)
        self._loop = CellLoop(header, cell.task, cell.searcher, spec.budget, spec.width)
        self._slice = slice_
        self._random = random.Random(derive(cell.name, cell.seed, "durations"))
        self._ends: dict[int, float] = {}  # slot at work → when it will have ended
        self._begun: dict[int, float] = {}  # → when it began
        with slice_.controllers.at_work():
            for slot in range(spec.width):
                self._loop.warm(slot, self._slot(slot))
            for slot in range(spec.width):
                self._begin(slot)

    def update(self, seen: int) -> AttemptUpdate | None:
        end = time.monotonic() + UPDATE_SECONDS
        while not self._loop.over:
            time.sleep(max(min([end, *self._ends.values()]) - time.monotonic(), 0.0))
            with self._slice.controllers.at_work():
                self._advance()
            if time.monotonic() >= end:
                break
        with self._slice.controllers.at_work():
            sent = pickle.dumps(self._news(seen))
        return pickle.loads(sent)

    def weights(self, training: int, epochs: int) -> bytes:
        return WEIGHTS

    def end(self) -> None:
        self._ends.clear()

    def _news(self, seen: int) -> AttemptUpdate:
        loop = self._loop
        quiet = loop.now() - loop.stirred
        outcome = self._outcome() if loop.over else None
        return AttemptUpdate(loop.lines[seen:], loop.clock(), quiet, loop.doing, outcome)

    def _advance(self) -> None:
        """Hand over what has ended by now, and begin what follows it."""
        now = time.monotonic()
        for slot in sorted(self._ends, key=self._ends.__getitem__):
            if self._ends[slot] > now:
                break
            report = self._report(slot, self._begun.pop(slot), self._ends.pop(slot))
            self._loop.report(slot, report)
            self._begin(slot)

    def _begin(self, slot: int) -> None:
        if self._loop.next_work(slot) is not None:
            self._begun[slot] = began = time.monotonic()
            seconds = self._slice.seconds * self._random.lognormvariate(-0.02, 0.2)  # mean 1
            self._ends[slot] = began + seconds

    def _report(self, slot: int, began: float, ended: float) -> dict[str, Any]:
        task = self._loop.task
        return {
            "training": len(self._loop.lines),
            "budget": task.horizon,
            "full": True,
            "hyperparameters": task.space.flatten(task.default),
            "validation_loss": self._random.random(),
            "validation_accuracy": None,
            "steps": task.horizon,
            "status": "ok",
            "parts": {"train": ended - began},
            "slot": self._slot(slot),
            "worked": (began, ended),
        }

    def _slot(self, number: int) -> dict[str, Any]:
        memory = {"host": 10**9, "device": None}
        process = f"{self._slice.name}:{number}"
        return {"process": process, "gpus": [], "gpu": None, "memory": memory}

    def _outcome(self) -> Outcome:
        loop = self._loop
        where = {"name": self._slice.name, "node": "simulated", "cores": [], "gpus": []}
        started = datetime.now(UTC) - timedelta(seconds=loop.clock())
        processes = [slot["process"] for slot in loop.slots.values()]
        return Outcome(
            ended=loop.ended,
            fault=loop.fault,
            started=started.isoformat(),
            slice={**where, "processes": processes},
            ledger=loop.ledger.as_json(0.0),
            memory=loop.memory,
        )


@dataclass
class SimulatedSlice:
    """``seconds``: what a training takes on it, on average. ``free``: where it goes afterwards."""

    name: str
    seconds: float
    controllers: Controllers
    free: list[SimulatedSlice] = field(default_factory=list)

    def start(self, spec: AttemptSpec) -> SimulatedAttempt:
        return SimulatedAttempt(spec, self)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Of `test_cell` and `train_baselines` only what they answer."""
        test = {"test_loss": 0.5, "test_accuracy": None}
        if function.__name__ == "test_cell":
            return [{"evaluation": number, **test} for number in arguments[2]]
        wanted = arguments[2]
        return [
            {"row": row, "draw": draw, "validation_loss": 0.5, **test} for row, _, draw in wanted
        ]

    def alive(self) -> bool:
        return True

    def give_back(self) -> None:
        self.free.append(self)


class SimulatedCluster:
    """So many slices, whose trainings take so many seconds on average."""

    def __init__(self, slices: int, seconds: float) -> None:
        self.controllers = Controllers()
        self._free: list[SimulatedSlice] = []
        for number in range(slices):
            name = f"slice {number}"
            self._free.append(SimulatedSlice(name, seconds, self.controllers, self._free))

    def take(self) -> SimulatedSlice | None:
        return self._free.pop() if self._free else None

    def wanting(self) -> str | None:
        return None

    def check(self, within: float = 0.0) -> None:
        pass

    def stop_asking(self) -> None:
        pass


class Cost(NamedTuple):
    """What a study cost. Seconds; ``cpu``: the runner's own."""

    slots: int
    cells: int
    ideal: float
    wall: float
    cpu: float

    @property
    def beyond(self) -> float:
        return self.wall / self.ideal - 1

    @property
    def each(self) -> float:
        """CPU seconds a cell."""
        return self.cpu / self.cells


def study_of(cells: int, trials: int = TRIALS, width: int = 1) -> Study:
    """A study of so many cells: ten searchers that are all random searches."""
    searchers = [dataclasses.replace(RandomSearch(), name=f"random_{n}") for n in range(10)]
    name, budget = f"scale-{cells}", evaluations(trials)
    return Study(name, ["quadratic"], searchers, -(-cells // 10), budget, width, yardstick_draws=2)


def simulate(
    folder: Path,
    slots: int,
    cells: int,
    seconds: float = SECONDS,
    trials: int = TRIALS,
    width: int = 1,
    display: Display | None = None,
) -> Cost:
    """Run a simulated study; a cell takes ``seconds`` × slots, if nothing is in its way."""
    study = study_of(cells, trials, width)
    each = seconds * slots / trials
    cluster = SimulatedCluster(slots // width, each)
    display = display or PlainLines(Console(file=io.StringIO(), width=100))
    (folder / "cells").mkdir(parents=True)
    began, cpu = time.monotonic(), time.process_time()
    run_cells(study, folder, cluster, display, "seconds")
    wall = time.monotonic() - began
    cpu = time.process_time() - cpu - cluster.controllers.seconds
    return Cost(slots, cells, seconds * cells, wall, cpu)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:  # load what is loaded once
        simulate(Path(folder) / "run", slots=4, cells=10)
    print(f"simulated studies, {TRIALS} trials a cell")
    names = "slots", "cells", "ideal s", "wall s", "beyond", "runner's CPU s", "ms a cell"
    print("".join(f"{name:>16}" for name in names))
    by_slots = [_show(slots, max(CELLS)) for slots in SLOTS]
    by_cells = [*(_show(max(SLOTS), cells) for cells in CELLS[:-1]), by_slots[-1]]
    growth = by_cells[-1].each / by_cells[0].each
    print(
        f"a cell of {CELLS[-1]} costs {growth:.2f} times what one of {CELLS[0]} does"
        f" (limit {MOST_GROWTH:g})"
    )
    more = by_slots[-1].cpu / by_slots[0].cpu
    times = SLOTS[-1] / SLOTS[0]
    print(f"{times:g} times the slots cost {more:.2f} times as much (limit {times:g})")
    worst = max(cost.beyond for cost in by_slots)
    print(f"at most {worst:.0%} longer than its trainings (limit {MOST_BEYOND:.0%})")
    sys.exit(bool(growth > MOST_GROWTH or more > times or worst > MOST_BEYOND))


def _show(slots: int, cells: int) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        cost = simulate(Path(folder) / "run", slots, cells)
    numbers = f"{cost.ideal:16.1f}{cost.wall:16.1f}{cost.beyond:16.0%}{cost.cpu:16.2f}"
    print(f"{slots:16d}{cells:16d}{numbers}{1000 * cost.each:16.2f}", flush=True)
    return cost


if __name__ == "__main__":
    main()
