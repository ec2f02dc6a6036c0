"""Where the time of an evaluation goes: measured parts that leave next to nothing over."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from searchers import stopwatch
from searchers.protocols import GradientSearcher, Job
from tests.trainables.timed_search import GRADIENT_BASED, assert_parts_make_the_whole, timed
from trainables.task import Task
from trainables.tasks.digits import DIGITS
from trainables.tasks.synthetic import QUADRATIC, QuadraticProblem
from trainables.training_job import evaluate_job
from trainables.warm_up import warm_up

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    warm_up(CPU)


@pytest.mark.parametrize("searcher", GRADIENT_BASED, ids=lambda s: s.name)
def test_parts_are_no_more_than_the_whole_and_little_less(searcher: GradientSearcher) -> None:
    """What they leave over is the searcher's own thinking, of microseconds.

    On the digits: tests/trainables/tasks/test_searchers_on_digits.py.
    """
    assert_parts_make_the_whole(timed(searcher, QUADRATIC, 9), most=0.25)


@pytest.mark.parametrize("epochs", [1, 3, 9])
@pytest.mark.parametrize("task", [QUADRATIC, DIGITS], ids=lambda task: task.name)
def test_a_job_leaves_microseconds_over(task: Task, epochs: int, tmp_path: Path) -> None:
    problem, brief = task.build(0, CPU).inner, task.brief(0, 1)
    left = []
    for training in range(5):
        job = Job(training, dict(brief.initial[0]), epochs)
        began = time.perf_counter()
        evaluation = evaluate_job(problem, brief, job, tmp_path)
        wall = time.perf_counter() - began
        left.append(wall - sum(evaluation.seconds.values()))
    assert min(left) >= 0
    assert min(left) <= 100e-6  # the least of five: others use this machine


def test_what_is_kept_and_loaded_is_checkpoint(tmp_path: Path) -> None:
    """A compressed budget keeps nothing; a truncated one is kept below the horizon."""
    truncated = dataclasses.replace(DIGITS, name="truncated", smaller_budget="truncate")
    for task, kept in ((DIGITS, False), (truncated, True)):
        problem, brief = task.build(0, CPU).inner, task.brief(0, 1)
        parts = [
            set(evaluate_job(problem, brief, Job(0, dict(brief.initial[0]), e), tmp_path).seconds)
            for e in (1, 3, 9)
        ]
        expected = {"train", "validation", "checkpoint"} if kept else {"train", "validation"}
        assert parts == [expected] * 3
    alone = evaluate_job(problem, brief, Job(1, dict(brief.initial[0]), 9), tmp_path)
    assert "checkpoint" not in alone.seconds


def test_a_job_waits_for_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a made-up accelerator, whose time passes only where somebody waits for it."""
    waiting, now = [0.0], [0.0]

    def synchronize(device: torch.device) -> None:
        now[0] += waiting.pop()
        waiting.append(0.0)

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    monkeypatch.setattr(stopwatch, "time", SimpleNamespace(monotonic=lambda: now[0]))

    plain = QUADRATIC.build(0, CPU).inner
    assert isinstance(plain, QuadraticProblem)

    class OnGpu(QuadraticProblem):
        """Says so, and stays on the CPU; a step takes a second, a validation a thousand."""

        def draw(self, training):
            return plain.draw(training)

        def training_loss(self, *args):
            waiting[0] += 1.0
            return super().training_loss(*args)

        def validation(self, weights):
            waiting[0] += 1000.0
            return super().validation(weights)

    here = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)}
    problem = OnGpu(**{**here, "device": torch.device("cuda")})
    brief = QUADRATIC.brief(0, 1)
    found = evaluate_job(problem, brief, Job(0, dict(brief.initial[0]), 9), tmp_path)
    assert found.seconds == {"train": 9.0, "validation": 1000.0}
