"""The cell's control, driven by hand on a clock of the test's own: no Ray."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from hpobench.budget import Budget
from hpobench.running.cell_loop import CellLoop, Header
from hpobench.running.faults import Fault
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
    clock: Clock, searcher: Any = None, budget: Budget | None = None, width: int = 1
) -> CellLoop:
    searcher = searcher or Scripted()
    task = find_task("quadratic")
    return CellLoop(
        Header("c", task.name, searcher.name, 0, 1),
        task,
        searcher,
        budget or Budget(10),
        width,
        clock,
    )


def slot(process: int, host: int = 100, device: int | None = None) -> dict[str, Any]:
    """What a slot's process says of itself."""
    memory = {"host": host, "device": device}
    told = {"process": f"here:{process}", "pid": process, "number": process}
    return {**told, "memory": memory}


def warm_up(cell: CellLoop) -> None:
    for number in range(cell.width):
        assert cell.next_work(number) is None
        cell.warm(number, slot(number))


def report(
    clock: Clock, training: int, loss: float = 1.0, since: float | None = None, **more: Any
) -> dict[str, Any]:
    """What a slot says of a training that it has worked on ``since`` then, until now."""
    return {
        "slot": slot(0),
        "worked": (clock.time if since is None else since, clock.time),
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


def raised(clock: Clock, cause: str = "searcher error") -> dict[str, Any]:
    worked = {"slot": slot(0), "worked": (clock.time, clock.time), "parts": {"lost": 0.0}}
    return {"cause": cause, "trace": "Traceback …", **worked}


def end_of_chain(clock: Clock, since: float) -> dict[str, Any]:
    """What a slot says that has worked since then, and found its chain at its end."""
    parts = {"search": clock.time - since}
    return {"end": True, "slot": slot(0), "worked": (since, clock.time), "parts": parts}


def failure(clock: Clock, why: str, cause: str = "searcher error") -> dict[str, Any]:
    """What a slot says of a training that raised."""
    ceiling = find_task("quadratic").loss_ceiling
    said = {"validation_loss": ceiling, "steps": 0, "status": "failed", "error": why}
    return report(clock, 0) | said | raised(clock, cause)


def test_the_clock_starts_when_the_last_slot_is_warm() -> None:
    clock = Clock()
    cell = control(clock, width=2)
    clock.time += 50
    cell.warm(0, slot(0))
    cell.warm(0, slot(0))  # a slot that says so twice is one slot
    assert cell.clock() == 0
    assert cell.next_work(0) is None
    cell.warm(1, slot(1))
    clock.time += 2
    assert cell.clock() == 2
    assert cell.next_work(0) is not None


def test_a_slot_is_handed_its_next_work_when_it_has_reported() -> None:
    clock = Clock()
    cell = control(clock, width=2)
    warm_up(cell)
    assert [cell.next_work(number)["training"] for number in (1, 0)] == [0, 1]
    assert cell.busy == {0, 1}
    cell.report(1, report(clock, 0))
    assert cell.busy == {0}
    assert cell.next_work(1)["training"] == 2


def test_a_report_of_a_slot_that_was_handed_nothing_is_none() -> None:
    clock = Clock()
    cell = control(clock, width=2)
    warm_up(cell)
    cell.next_work(0)
    cell.report(1, report(clock, 0))
    assert cell.lines == []


def test_a_report_after_the_budget_is_discarded() -> None:
    clock = Clock()
    cell = control(clock)
    warm_up(cell)
    cell.next_work(0)
    clock.time += 9.999
    cell.report(0, report(clock, 0))
    cell.next_work(0)
    clock.time += 0.002
    cell.report(0, report(clock, 1, loss=0.0))
    assert cell.over
    assert cell.ended == "budget"
    lines = cell.lines
    assert [line["evaluation"] for line in lines] == [0]
    assert lines[0]["seconds"] == pytest.approx(9.999)


def test_a_budget_in_evaluations_is_met_exactly() -> None:
    clock = Clock()
    cell = control(clock, budget=Budget(3, "evaluations"), width=2)
    warm_up(cell)
    cell.next_work(0)
    cell.next_work(1)
    cell.report(0, report(clock, 0))
    assert cell.next_work(0) is not None
    cell.report(1, report(clock, 1))
    assert cell.next_work(1) is None  # the third is under way
    assert not cell.over
    cell.report(0, report(clock, 2))
    assert cell.over
    assert len(cell.lines) == 3


def test_a_budget_in_steps_discards_what_goes_beyond() -> None:
    clock = Clock()
    cell = control(clock, budget=Budget(20, "steps"))
    warm_up(cell)
    for n in range(3):
        cell.next_work(0)
        cell.report(0, report(clock, n))
    assert cell.ended == "budget"
    lines = cell.lines
    assert [line["steps"] for line in lines] == [9, 18]


def test_a_searcher_with_nothing_left_ends_its_cell() -> None:
    clock = Clock()
    cell = control(clock, Scripted(jobs=1), width=2)
    warm_up(cell)
    cell.next_work(0)
    assert cell.next_work(1) is None
    assert not cell.over  # the last job is under way
    cell.report(0, report(clock, 0))
    assert cell.next_work(1) is None
    assert cell.ended == "nothing left to try"


def test_a_searcher_that_raises_fails_its_cell_in_one_line() -> None:
    clock = Clock()
    cell = control(clock, Scripted(raises_at=1))
    warm_up(cell)
    cell.next_work(0)
    cell.report(0, report(clock, 0))
    assert cell.next_work(0) is None
    assert cell.over
    assert cell.fault is not None
    assert cell.fault.why == "scripted failed: RuntimeError: no more ideas"
    assert cell.fault.cause == "searcher error"
    assert "second line" in cell.log[0]
    assert len(cell.lines) == 1  # nothing is lost


def test_a_failed_training_is_data_and_all_failed_is_a_fault() -> None:
    clock = Clock()
    cell = control(clock, Scripted(jobs=2))
    warm_up(cell)
    for _ in range(2):
        cell.next_work(0)
        cell.report(0, failure(clock, "ValueError: bad layer"))
    cell.next_work(0)
    cell.close()
    lines = cell.lines
    assert [line["status"] for line in lines] == ["failed", "failed"]
    assert [line["cause"] for line in lines] == ["searcher error", "searcher error"]
    assert lines[0]["error"] == "ValueError: bad layer"
    assert lines[0]["validation_loss"] == find_task("quadratic").loss_ceiling
    assert cell.fault is not None
    assert cell.fault.why == "every training failed, the last with ValueError: bad layer"
    assert cell.fault.cause == "searcher error"
    assert cell.log == ["Traceback …", "Traceback …"]


def test_a_training_out_of_memory_is_data_that_says_so() -> None:
    clock = Clock()
    cell = control(clock, Scripted(jobs=1))
    warm_up(cell)
    cell.next_work(0)
    cell.report(0, failure(clock, "OutOfMemoryError: CUDA", "out of memory"))
    cell.next_work(0)
    cell.close()
    assert cell.lines[0]["cause"] == "out of memory"
    assert cell.fault is not None
    assert cell.fault.cause == "out of memory"


def test_a_chain_that_raises_fails_its_cell_in_one_line() -> None:
    clock = Clock()
    cell = control(clock, find_searcher("fds"))
    warm_up(cell)
    cell.next_work(0)
    cell.report(0, {"failed": "ValueError: no gradient", **raised(clock)})
    assert cell.over
    assert cell.fault is not None
    assert cell.fault.why == "fds failed: ValueError: no gradient"
    assert cell.fault.cause == "searcher error"
    assert cell.lines == []


def test_a_slot_whose_disk_is_full_ends_the_cell_and_blames_nobody() -> None:
    clock = Clock()
    cell = control(clock)
    warm_up(cell)
    cell.next_work(0)
    worked = {"slot": slot(0), "worked": (clock.time, clock.time)}
    cell.report(0, {"disk": "t0.npz: No space left on device", **worked})
    assert cell.over
    assert cell.fault is not None
    assert cell.fault.cause == "disk full"
    assert cell.lines == []


def test_a_lost_worker_voids_the_attempt() -> None:
    clock = Clock()
    cell = control(clock)
    warm_up(cell)
    cell.next_work(0)
    cell.lost(Fault("a worker was lost: killed", "worker lost"))
    assert cell.over
    assert cell.fault is not None
    assert cell.fault.cause == "worker lost"


def test_a_worker_lost_after_the_end_changes_nothing() -> None:
    clock = Clock()
    cell = control(clock)
    warm_up(cell)
    cell.next_work(0)
    clock.time += 11
    cell.lost(Fault("a worker was lost: killed", "worker lost"))
    assert cell.ended == "budget"
    assert cell.fault is None


def test_gradient_based_searchers_get_a_chain_for_each_slot() -> None:
    clock = Clock()
    cell = control(clock, find_searcher("fds"), width=2)
    warm_up(cell)
    assert cell.next_work(0) == {"work": "chain", "index": 0, "of": 2}
    assert cell.next_work(1) == {"work": "chain", "index": 1, "of": 2}
    cell.report(0, report(clock, 0))
    cell.report(1, report(clock, 1))
    assert cell.next_work(0) == {"work": "chain", "index": 0, "of": 2}  # its next evaluation
    cell.report(0, report(clock, 2))
    trials = [line["trial"] for line in cell.lines]
    assert trials == [0, 1, 0]


def test_a_cell_ends_when_all_its_chains_have() -> None:
    clock = Clock()
    cell = control(clock, find_searcher("fds"), width=2)
    warm_up(cell)
    cell.next_work(0)
    clock.time += 2
    cell.report(0, end_of_chain(clock, since=clock.time - 2))
    assert cell.next_work(0) is None
    assert not cell.over  # the other slot has not even asked yet
    cell.next_work(1)
    clock.time += 3
    assert cell.next_work(0) is None
    cell.report(1, end_of_chain(clock, since=clock.time - 3))
    assert cell.next_work(1) is None
    assert cell.ended == "nothing left to try"
    books = cell.ledger.as_json(0)
    assert books["parts"]["search"] == 2 + 3
    assert books["parts"]["idle"] == 3
    assert books["parts"]["orchestration"] == 2
    assert books["residual"] == 0


def test_the_books_add_up() -> None:
    clock = Clock()
    cell = control(clock, width=2)
    warm_up(cell)
    cell.next_work(0)
    cell.next_work(1)
    clock.time += 3
    worked = {"train": 2.0, "validation": 0.5, "orchestration": 0.1}
    cell.report(0, report(clock, 0, since=clock.time - 2.6, parts=worked))
    clock.time += 1
    cell.next_work(0)
    clock.time += 20
    assert cell.over
    cell.close()
    books = cell.ledger.as_json(startup=1.5)
    assert books["wall"] == 10
    assert books["residual"] == 0
    assert sum(books["parts"].values()) == pytest.approx(2 * 10)
    assert books["parts"]["train"] == 2
    assert books["parts"]["unfinished"] == pytest.approx(10 + 6)
    assert books["parts"]["orchestration"] == pytest.approx(0.5 + 1)


def test_what_a_slot_leaves_out_shows_in_the_books() -> None:
    clock = Clock()
    cell = control(clock)
    warm_up(cell)
    cell.next_work(0)
    clock.time += 5
    cell.report(0, report(clock, 0, since=clock.time - 5, parts={"train": 4.0}))
    cell.next_work(0)
    clock.time += 5
    assert cell.over
    assert cell.ledger.as_json(0)["residual"] == pytest.approx(0.1)


def test_whose_turn_it_is_and_since_when_is_known_from_outside() -> None:
    clock = Clock()
    seen = []

    @dataclasses.dataclass(frozen=True)
    class Slow(Scripted):
        def suggester(self, brief: Brief) -> ScriptedSuggester:
            clock.time += 4
            seen.append((cell.doing, cell.clock(), clock.time - cell.stirred))
            return super().suggester(brief)

    cell = control(clock, Slow())
    warm_up(cell)
    assert cell.doing == "nothing"
    clock.time += 1
    cell.next_work(0)
    assert seen == [("thinking", 5, 5)]
    assert cell.doing == "training"
    clock.time += 2
    assert clock.time - cell.stirred == 2
    cell.report(0, report(clock, 0))
    assert clock.time == cell.stirred
    assert cell.doing == "nothing"


def test_thinking_counts_up_to_the_end_of_the_budget_and_no_further() -> None:
    clock = Clock()

    @dataclasses.dataclass(frozen=True)
    class Slow(Scripted):
        def suggester(self, brief: Brief) -> ScriptedSuggester:
            clock.time += 25
            return super().suggester(brief)

    cell = control(clock, Slow())
    warm_up(cell)
    assert cell.next_work(0) is None
    assert cell.over
    assert cell.lines == []
    books = cell.ledger.as_json(0)
    assert books["wall"] == books["parts"]["search"] == 10
    assert books["residual"] == 0


def test_lines_say_which_slot_worked_on_them_and_when() -> None:
    clock = Clock()
    cell = control(clock, width=2)
    warm_up(cell)
    for number in (1, 0, 1):
        clock.time += 1
        cell.next_work(number)
        clock.time += 1
        said = report(clock, 0, since=clock.time - 0.75)
        cell.report(number, {**said, "slot": slot(number)})
    found = [(line["slot"], line["began"], line["ended"], line["seconds"]) for line in cell.lines]
    assert found == [(1, 1.25, 2, 2), (0, 3.25, 4, 4), (1, 5.25, 6, 6)]
    assert not {"worked", "trace"} & cell.lines[0].keys()


def test_memory_is_the_peak_over_all_slots() -> None:
    clock = Clock()
    cell = control(clock, width=2)
    warm_up(cell)
    assert cell.memory == {"host": 100, "device": None}
    for number, host, device in ((0, 700, 5), (1, 300, 9)):
        cell.next_work(number)
        cell.report(number, {**report(clock, 0), "slot": slot(number, host, device)})
    assert cell.memory == {"host": 700, "device": 9}


def test_numbers_of_numpy_are_as_good_as_pythons() -> None:
    """What a slot is handed, and what is written down, is JSON."""

    class Numeric(Scripted):
        def suggester(self, brief: Brief):
            suggester = super().suggester(brief)
            point = {name: np.float64(value) for name, value in brief.default.items()}
            suggester.ask = lambda: Job(0, point, np.int64(brief.horizon))
            return suggester

    cell = control(Clock(), Numeric())
    warm_up(cell)
    assert json.loads(json.dumps(cell.next_work(0)))["epochs"] == 9


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
def test_a_job_that_makes_no_sense_is_the_searchers_failure(job, said) -> None:
    class Odd(Scripted):
        def suggester(self, brief: Brief):
            suggester = super().suggester(brief)
            suggester.ask = lambda: job
            return suggester

    clock = Clock()
    cell = control(clock, Odd())
    warm_up(cell)
    assert cell.next_work(0) is None
    assert said in str(cell.fault)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (lambda job, brief: dataclasses.replace(job, configuration=brief.initial[0]), "another"),
        (lambda job, brief: job, "to 9 epochs"),
    ],
)
def test_a_training_goes_on_as_what_it_was_and_to_more_epochs(second: Any, said: str) -> None:
    """Else what one configuration had learned would be recorded as another's."""

    @dataclasses.dataclass(frozen=True)
    class Exploiting:
        name: str = "exploiting"

        def suggester(self, brief: Brief) -> Any:
            first = Job(0, dict(brief.default), brief.horizon)
            jobs = iter([first, second(first, brief)])

            class Two:
                def ask(self) -> Job | None:
                    return next(jobs)

                def tell(self, job: Job, loss: float) -> None:
                    pass

            return Two()

    clock = Clock()
    cell = control(clock, Exploiting())
    warm_up(cell)
    assert cell.next_work(0) is not None
    cell.report(0, report(clock, 0))
    assert cell.next_work(0) is None
    assert cell.fault is not None
    assert cell.fault.cause == "searcher error"
    assert "training 0 goes" in cell.fault.why
    assert said in cell.fault.why
