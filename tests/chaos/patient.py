"""The study that is disturbed. It is copied into a folder of its own, beside its ``plan.json``.

Its results depend on its seeds alone. Its trainings are slowed, so that faults hit them; whoever
trains, searches or tests leaves a file in ``present/`` that says who it is; and a training ends
its process in the way that a file in ``orders/`` asks of it. Faults of the data and of searchers
are part of the study: they strike with or without disturbances.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from hpobench import Study, evaluations
from searchers import FDS, RandomSearch
from searchers.catalog import find_searcher
from searchers.inner_problem import Metrics
from searchers.protocols import Brief, Chain, Evaluation, Job
from trainables.task import Instance
from trainables.tasks import find_task

HERE = Path(__file__).resolve().parent
PLAN = json.loads((HERE / "plan.json").read_text())
HOLD = HERE / "hold"
"""While this file is there, no training goes on."""
MOMENT = 0.05
FRESH = 1_000_000  # trainings from here on are the yardsticks'
FOR_EVER = 1e9
MUCH = 1 << 50  # of what no machine has


def announce(role: str, of: str, seed: int) -> None:
    """Say that this process is at work; the file's time says when it was last."""
    file = HERE / "present" / f"{os.getpid()}.{role}.{of}.{seed}"
    file.touch()


def outside_cells() -> bool:
    """Whether this process trains for no cell: the yardsticks', or the check of a task."""
    return Path("/proc/self/cmdline").read_bytes().startswith(b"ray::RemoteWorker")


def obey() -> None:
    """End as ordered, if anything is."""
    order = HERE / "orders" / str(os.getpid())
    if not order.exists():
        return
    what = order.read_text()
    order.unlink()
    if what == "exit":
        os._exit(3)
    if what == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)
    raise ValueError(f"no such order: {what}")


class Slowed:
    """The inner problem, slowed and watched."""

    def __init__(self, inner: Any, task: str, seed: int):
        self.inner, self.task, self.seed = inner, task, seed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def draw(self, training: int) -> Any:
        role = "yardstick" if training >= FRESH or outside_cells() else "worker"
        announce(role, self.task, self.seed)
        time.sleep(PLAN["pause"])
        obey()
        while HOLD.exists():
            announce(role, self.task, self.seed)
            time.sleep(MOMENT)
        return self.inner.draw(training)


class Poor(Slowed):
    """It also goes wrong for some trainings, always for the same ones."""

    def draw(self, training: int) -> Any:
        drawn = super().draw(training)
        self.training = training
        if training == 1:
            raise ValueError("bad batch")
        if training == 2:
            bytearray(MUCH << 10)  # MemoryError
        if training == 3:
            torch.empty(MUCH)  # torch's own way to say that there is no memory
        return drawn

    def validation(self, weights: Any) -> Metrics:
        metrics = self.inner.validation(weights)
        wrong = {4: math.nan, 5: math.inf, 6: -math.inf}.get(self.training)
        return metrics if wrong is None else dataclasses.replace(metrics, loss=wrong)


problem = find_task("noisy_quadratic")  # whoever is given another's task or seed shows it
SPLITS = {"smooth": 0, "poor": 1000}


def build(kind: type[Slowed], name: str, seed: int, device: torch.device) -> Instance:
    instance = problem.build(SPLITS[name] + seed, device)

    def test(weights: Any) -> Metrics:
        announce("tester", name, seed)
        time.sleep(PLAN["pause"])
        return instance.test(weights)

    return Instance(kind(instance.inner, name, seed), test)


def build_smooth(seed: int, device: torch.device) -> Instance:
    return build(Slowed, "smooth", seed, device)


def build_poor(seed: int, device: torch.device) -> Instance:
    return build(Poor, "poor", seed, device)


TASKS = {
    "smooth": dataclasses.replace(problem, name="smooth", build=build_smooth),
    "poor": dataclasses.replace(problem, name="poor", build=build_poor),
}


@dataclasses.dataclass(frozen=True)
class Watched:
    """A black-box searcher whose process is known, and which goes wrong at one of its calls."""

    name: str
    searcher: Any
    wrong: str = ""

    def warm_up(self) -> None:
        getattr(self.searcher, "warm_up", lambda: None)()

    def suggester(self, brief: Brief) -> Any:
        return WatchedSuggester(self.searcher.suggester(brief), self, brief.seed)


class WatchedSuggester:
    CALLS_UNTIL_WRONG = 3

    def __init__(self, inner: Any, searcher: Watched, seed: int):
        self.inner, self.searcher, self.seed, self.calls = inner, searcher, seed, 0

    def ask(self) -> Job | None:
        self.calls += 1
        self._go_on("ask")
        return self.inner.ask()

    def tell(self, job: Job, loss: float) -> None:
        self._go_on("tell")
        self.inner.tell(job, loss)

    def _go_on(self, call: str) -> None:
        announce("searcher", self.searcher.name, self.seed)
        if self.calls < self.CALLS_UNTIL_WRONG:
            return
        if self.searcher.wrong == f"raises in {call}":
            raise RuntimeError("out of ideas")
        if self.searcher.wrong == f"hangs in {call}":
            time.sleep(FOR_EVER)


@dataclasses.dataclass(frozen=True)
class WrongSearch:
    """A gradient-based searcher that goes wrong after two evaluations."""

    name: str
    wrong: str

    def search(self, problem: Any, brief: Brief, chain: Chain) -> Iterator[Evaluation]:
        found = FDS().search(problem, brief, chain)
        yield next(found)
        yield next(found)
        if self.wrong == "raises":
            raise RuntimeError("lost the way")
        time.sleep(FOR_EVER)


WRONG = {
    "raises_in_ask": Watched("raises_in_ask", RandomSearch(), "raises in ask"),
    "raises_in_tell": Watched("raises_in_tell", RandomSearch(), "raises in tell"),
    "raises_in_search": WrongSearch("raises_in_search", "raises"),
    "hangs_in_ask": Watched("hangs_in_ask", RandomSearch(), "hangs in ask"),
    "hangs_in_search": WrongSearch("hangs_in_search", "hangs"),
}


def searcher(name: str) -> Any:
    if name in WRONG:
        return WRONG[name]
    found = find_searcher(name)
    return Watched(name, found) if hasattr(found, "suggester") else found


for folder in ("present", "orders"):
    (HERE / folder).mkdir(exist_ok=True)

study = Study(
    "patient",
    [TASKS[name] for name in PLAN["tasks"]],
    [searcher(name) for name in PLAN["searchers"]],
    seeds=PLAN["seeds"],
    budget=evaluations(PLAN["evaluations"]),
    yardstick_draws=2,
    patience=PLAN["patience"],
)
