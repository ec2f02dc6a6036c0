"""The cell's control, driven by hand on a clock of the test's own: no Ray."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from hpobench.budget import Budget
from hpobench.results.records import read_lines
from hpobench.running.control import Control, Header, WorkerLost
from searchers.catalog import find_searcher
from searchers.protocols import Brief, Job
from trainables.tasks import find_task


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@dataclasses.dataclass(frozen=True)
class Scripted:
    """A black-box searcher that proposes the default, and may raise or stop."""

    name: str = "scripted"
    jobs: int = 1000
    raises_at: int | None = None

    def suggester(self, brief: Brief) -> ScriptedSuggester:
        return ScriptedSuggester(self, brief)


class ScriptedSuggester:
    def __init__(self, settings: Scripted, brief: Brief) -> None:
        self.settings, self.brief, self.asked, self.told = settings, brief, 0, []

    def ask(self) -> Job | None:
        if self.settings.raises_at == self.asked:
            raise RuntimeError("no more ideas\nsecond line")
        if self.asked == self.settings.jobs:
            return None
        self.asked += 1
        return Job(self.asked - 1, dict(self.brief.default), self.brief.horizon)

    def tell(self, job: Job, loss: float) -> None:
        self.told.append((job.training, loss))


def control(
    tmp_path: Path, clock: Clock, searcher: Any = None, budget: Budget | None = None, width: int = 1
) -> Control:
    searcher = searcher or Scripted()
    task = find_task("quadratic")
    return Control(
        Header("c", task.name, searcher.name, 0, 1),
        task,
        searcher,
        budget or Budget(10),
        width,
        tmp_path / "evaluations.jsonl",
        clock,
    )


def warm_up(cell: Control) -> None:
    for i in range(cell.width):
        assert cell.next_work(f"w{i}") == {"work": "warm-up"}
    assert cell.next_work("too many") is None
    for i in range(cell.width):
        assert cell.warm(f"w{i}") == (i == cell.width - 1)


def report(training: int, loss: float = 1.0, **more: Any) -> dict[str, Any]:
    return {
        "training": training,
        "budget": 9,
        "full": True,
        "hyperparameters": {},
        "validation_loss": loss,
        "validation_accuracy": None,
        "steps": 9,
        "status": "ok",
        "parts": {"train": 0.5},
        **more,
    }


def test_the_clock_starts_when_the_last_slot_is_warm(tmp_path: Path) -> None:
    clock = Clock()
    cell = control(tmp_path, clock, width=2)
    cell.next_work("w0")
    cell.next_work("w1")
    clock.time += 50
    assert not cell.warm("w0")
    assert not cell.warm("w0")  # a slot that reports twice is one slot
    assert cell.clock() == 0
    assert cell.warm("w1")
    clock.time += 2
    assert cell.clock() == 2


def test_never_more_under_way_than_slots(tmp_path: Path) -> None:
    cell = control(tmp_path, Clock(), width=2)
    warm_up(cell)
    assert cell.next_work("a") is not None
    assert cell.next_work("b") is not None
    assert cell.next_work("c") is None
    cell.report("a", report(0))
    assert cell.next_work("c") is None  # until its trial has ended
    cell.done("a")
    assert cell.next_work("c")["training"] == 2


def test_a_report_after_the_budget_is_discarded(tmp_path: Path) -> None:
    clock = Clock()
    cell = control(tmp_path, clock)
    warm_up(cell)
    cell.next_work("a")
    clock.time += 9.999
    cell.report("a", report(0))
    cell.done("a")
    cell.next_work("b")
    clock.time += 0.002
    cell.report("b", report(1, loss=0.0))
    assert cell.over
    assert cell.ended == "budget"
    lines = read_lines(tmp_path / "evaluations.jsonl").records
    assert [line["evaluation"] for line in lines] == [0]
    assert lines[0]["seconds"] == pytest.approx(9.999)


def test_a_budget_in_evaluations_is_met_exactly(tmp_path: Path) -> None:
    cell = control(tmp_path, Clock(), budget=Budget(3, "evaluations"), width=2)
    warm_up(cell)
    cell.next_work("a")
    cell.next_work("b")
    cell.report("a", report(0))
    cell.done("a")
    assert cell.next_work("c") is not None
    cell.report("b", report(1))
    cell.done("b")
    assert cell.next_work("d") is None  # the third is under way
    assert not cell.over
    cell.report("c", report(2))
    assert cell.over
    assert len(read_lines(tmp_path / "evaluations.jsonl").records) == 3


def test_a_budget_in_steps_discards_what_goes_beyond(tmp_path: Path) -> None:
    cell = control(tmp_path, Clock(), budget=Budget(20, "steps"))
    warm_up(cell)
    for n in range(3):
        cell.next_work(str(n))
        cell.report(str(n), report(n))
        cell.done(str(n))
    assert cell.ended == "budget"
    lines = read_lines(tmp_path / "evaluations.jsonl").records
    assert [line["steps"] for line in lines] == [9, 18]


def test_a_searcher_with_nothing_left_ends_its_cell(tmp_path: Path) -> None:
    cell = control(tmp_path, Clock(), Scripted(jobs=1))
    warm_up(cell)
    cell.next_work("a")
    assert cell.next_work("b") is None
    assert not cell.over  # the last job is under way
    cell.report("a", report(0))
    cell.done("a")
    assert cell.next_work("b") is None
    assert cell.ended == "nothing left to try"


def test_a_searcher_that_raises_fails_its_cell_in_one_line(tmp_path: Path) -> None:
    cell = control(tmp_path, Clock(), Scripted(raises_at=1))
    warm_up(cell)
    cell.next_work("a")
    cell.report("a", report(0))
    cell.done("a")
    assert cell.next_work("b") is None
    assert cell.over
    assert str(cell.fault) == "scripted failed: RuntimeError: no more ideas"
    assert len(read_lines(tmp_path / "evaluations.jsonl").records) == 1  # nothing is lost


def test_a_failed_training_is_data_and_all_failed_is_a_fault(tmp_path: Path) -> None:
    cell = control(tmp_path, Clock(), Scripted(jobs=2))
    warm_up(cell)
    for name in "ab":
        cell.next_work(name)
        cell.report(name, {"failed": "ValueError: bad layer", "parts": {"train": 0.1}})
        cell.done(name)
    cell.next_work("c")
    cell.close()
    lines = read_lines(tmp_path / "evaluations.jsonl").records
    assert [line["status"] for line in lines] == ["failed", "failed"]
    assert lines[0]["validation_loss"] == find_task("quadratic").loss_ceiling
    assert "ValueError: bad layer" in str(cell.fault)


def test_a_lost_worker_voids_the_attempt(tmp_path: Path) -> None:
    cell = control(tmp_path, Clock())
    warm_up(cell)
    cell.next_work("a")
    cell.lost("a")
    assert isinstance(cell.fault, WorkerLost)


def test_gradient_based_searchers_get_a_chain_for_each_slot(tmp_path: Path) -> None:
    cell = control(tmp_path, Clock(), find_searcher("fds"), width=2)
    warm_up(cell)
    assert cell.next_work("a") == {"work": "chain", "index": 0, "of": 2}
    assert cell.next_work("b") == {"work": "chain", "index": 1, "of": 2}
    cell.report("a", report(0))
    cell.report("b", report(1))
    cell.report("a", report(2))
    trials = [line["trial"] for line in read_lines(tmp_path / "evaluations.jsonl").records]
    assert trials == [0, 1, 0]


def test_the_books_add_up(tmp_path: Path) -> None:
    clock = Clock()
    cell = control(tmp_path, clock, width=2)
    warm_up(cell)
    cell.next_work("a")
    cell.next_work("b")
    clock.time += 3
    cell.report("a", report(0, parts={"train": 2.0, "validation": 0.5}))
    cell.done("a")
    clock.time += 1
    cell.next_work("c")
    clock.time += 20
    assert cell.over
    cell.close()
    books = cell.ledger.as_json(startup=1.5)
    assert books["wall"] == 10
    assert sum(books["parts"].values()) == pytest.approx(2 * 10)
    assert books["parts"]["train"] == 2
    assert books["parts"]["unfinished"] == pytest.approx(10 + 6)
    assert books["parts"]["orchestration"] == pytest.approx(0.5 + 1)


def test_a_searcher_that_thinks_beyond_the_budget_is_noticed(tmp_path: Path) -> None:
    clock = Clock()
    seen = []

    @dataclasses.dataclass(frozen=True)
    class Slow(Scripted):
        def suggester(self, brief: Brief) -> ScriptedSuggester:
            clock.time += 25
            seen.append(cell.overdue())
            return super().suggester(brief)

    cell = control(tmp_path, clock, Slow())
    warm_up(cell)
    assert cell.overdue() == 0
    cell.next_work("a")
    assert seen == [15]
    assert cell.overdue() == 0  # it has answered
    assert cell.over


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("surprise", "it asked for 'surprise', which is not a Job"),
        (Job(0, {}, 9), "configuration: missing: learning_rate_0"),
        (Job(0, None, 9), "a configuration is a flat dict"),  # type: ignore[arg-type]
        (Job(-1, {}, 9), "trainings are numbered"),
        (Job(0, {}, 5), "5 epochs are none of the task's budgets, 1, 3, 9"),
    ],
)
def test_a_job_that_makes_no_sense_is_the_searchers_failure(job, said, tmp_path: Path) -> None:
    class Odd(Scripted):
        def suggester(self, brief: Brief):
            suggester = super().suggester(brief)
            suggester.ask = lambda: job
            return suggester

    cell = control(tmp_path, Clock(), Odd())
    warm_up(cell)
    assert cell.next_work("a") is None
    assert said in str(cell.fault)
