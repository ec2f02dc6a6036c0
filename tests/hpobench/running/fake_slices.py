"""Slices and attempts that do what a script says, without Ray and without training."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from hpobench import Study, evaluations
from hpobench.errors import LostRayError
from hpobench.results.evaluation_record import EvaluationRecord
from hpobench.running.cell_run import CellRun, Stop
from hpobench.running.faults import Fault
from hpobench.running.interfaces import AttemptSpec, AttemptUpdate, Outcome
from hpobench.running.ledger import Ledger
from trainables.tasks import find_task
from trainables.training_job import save_weights

STARTED = "2026-01-02T03:04:05.123+00:00"
LOSSES = (0.5, 0.7, 0.2, 0.4)


@dataclass
class Script:
    """What an attempt comes to: evaluations with these losses, and then its end.

    ``fault``: how it ends, as its controller tells it; ``gone``: its controller is lost instead;
    ``last``: what is heard of it from then on, again and again; ``no_weights``: its controller is
    lost when it is asked for weights. ``meanwhile`` is called once the evaluations are there.
    """

    losses: tuple[float, ...] = LOSSES
    fault: Fault | None = None
    gone: Fault | None = None
    last: list[AttemptUpdate | None] | None = None
    no_weights: Fault | None = None
    meanwhile: Callable[[], Any] = lambda: None


class FakeAttempt:
    """An attempt as its script has it."""

    def __init__(self, spec: AttemptSpec, script: Script, slice_: FakeSlice) -> None:
        self._script = script
        self.ended = False
        self._lines = [line(spec, number, loss) for number, loss in enumerate(script.losses)]
        self._outcome = Outcome(
            ended=None if script.fault else "budget",
            fault=script.fault,
            started=STARTED,
            slice={"name": slice_.name, "node": "here", "cores": [0], "gpus": []},
            ledger=Ledger(spec.width).as_json(1.0),
            memory={"host": 1000, "device": None},
            log=("Traceback …",) if script.fault else (),
        )

    def update(self, seen: int) -> AttemptUpdate | None:
        assert not self.ended
        if seen < len(self._lines):
            return AttemptUpdate(self._lines[seen : seen + 2], clock=1.0, doing="training")
        self._script.meanwhile()
        if self._script.gone is not None:
            raise self._script.gone
        if self._script.last is not None:
            time.sleep(0.005)
            return self._script.last[0]
        return AttemptUpdate(outcome=self._outcome)

    def weights(self, training: int, epochs: int) -> bytes:
        assert not self.ended
        if self._script.no_weights is not None:
            raise self._script.no_weights
        return some_weights()

    def end(self) -> None:
        self.ended = True


@dataclass
class FakeSlice:
    """A slice; attempts at any cell follow its scripts in turn, and the last of them for good.

    ``calls``: what becomes of functions run on it, in turn: a fault, or None if they are run.
    """

    scripts: list[Script] = field(default_factory=lambda: [Script()])
    name: str = "slice 0"
    calls: list[Fault | None] = field(default_factory=list)
    there: bool = True
    returned: bool = False
    attempts: list[FakeAttempt] = field(default_factory=list)
    specs: list[AttemptSpec] = field(default_factory=list)

    def start(self, spec: AttemptSpec) -> FakeAttempt:
        assert not self.returned
        script = self.scripts[min(len(self.attempts), len(self.scripts) - 1)]
        self.specs.append(spec)
        self.attempts.append(FakeAttempt(spec, script, self))
        return self.attempts[-1]

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        assert not self.returned
        fault = self.calls.pop(0) if self.calls else None
        if fault is not None:
            raise fault
        return function(*arguments)

    def alive(self) -> bool:
        return self.there

    def give_back(self) -> None:
        assert not self.returned
        self.returned = True


@dataclass
class FakeCluster:
    """Hands out its slices one by one; more may be added at any time."""

    free: list[FakeSlice] = field(default_factory=list)
    why: str | None = None
    taken: list[FakeSlice] = field(default_factory=list)
    asking: bool = False
    gone: bool = False

    def take(self) -> FakeSlice | None:
        self.asking = not self.free
        if self.asking:
            return None
        self.taken.append(self.free.pop(0))
        return self.taken[-1]

    def wanting(self) -> str | None:
        return self.why

    def check(self, within: float = 0.0) -> None:
        if self.gone:
            raise LostRayError("Ray's raylet has ended")

    def stop_asking(self) -> None:
        self.asking = False


def small_study(**changes: Any) -> Study:
    settings: dict[str, Any] = {"seeds": 1, "budget": evaluations(4), "yardstick_draws": 2}
    return Study("small", ["quadratic"], ["random"], **{**settings, **changes})


def cell_run_in(folder: Path, **changes: Any) -> CellRun:
    """The one cell of a small study, as it is in the folder of its run."""
    study = small_study(**changes)
    [cell] = study.cells()
    return CellRun(cell, folder / "run" / "cells" / cell.name, study)


def never() -> Stop:
    """Nobody stops it."""
    return Stop()


def line(spec: AttemptSpec, number: int, loss: float) -> dict[str, Any]:
    """A line of ``evaluations.jsonl``."""
    cell, steps = spec.cell, spec.cell.task.horizon * (number + 1)
    return EvaluationRecord(
        cell=cell.name,
        task=cell.task.name,
        searcher=cell.searcher.name,
        seed=cell.seed,
        attempt=spec.attempt,
        trial=number,
        evaluation=number,
        training=number,
        budget=cell.task.horizon,
        full=True,
        hyperparameters=cell.task.space.flatten(cell.task.default),
        validation_loss=loss,
        validation_accuracy=None,
        steps=steps,
        status="ok",
        parts={},
        seconds=0.01 * steps,
        slot_seconds=0.01 * steps,
        slot=0,
        began=0.01 * (steps - 1),
        ended=0.01 * steps,
    ).line()


@cache
def some_weights() -> bytes:
    """Weights of the quadratic task, as the content of a file."""
    inner = find_task("quadratic").build(0, torch.device("cpu")).inner
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.npz"
        save_weights(file, inner.draw(0).initial())
        return file.read_bytes()
