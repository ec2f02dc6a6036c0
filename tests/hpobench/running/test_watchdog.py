"""What never ends is ended, on a clock of the test's own."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from hpobench.budget import Budget, evaluations
from hpobench.running import watchdog
from hpobench.running.faults import Fault
from hpobench.running.interfaces import AttemptUpdate
from hpobench.running.watchdog import GRACE_SECONDS, Watchdog

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def nothing_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience holds from the first second."""
    monkeypatch.setattr(watchdog, "START_SECONDS", 0.0)


class Watch:
    """A watchdog, and the clock that it reads."""

    def __init__(self, budget: Budget | None = None, patience: float = PATIENCE) -> None:
        self.time = 1000.0
        self.dog = Watchdog(budget or evaluations(10), patience, "slow", lambda: self.time)

    def sees(self, after: float = 0.0, **news: Any) -> None:
        self.time += after
        self.dog.look(AttemptUpdate(**news))

    def hears_nothing(self, after: float) -> None:
        self.time += after
        self.dog.look(None)


def ends(cause: str, why: str) -> Any:
    """The attempt is ended for this."""

    class Ended:
        def __enter__(self) -> None:
            pass

        def __exit__(self, kind: object, fault: object, trace: object) -> bool:
            assert isinstance(fault, Fault), "nothing was ended"
            assert (fault.cause, fault.why) == (cause, why)
            return True

    return Ended()


@pytest.mark.parametrize(
    ("doing", "ended"),
    [
        ("thinking", ends("searcher error", "slow failed: still thinking after 60 s")),
        ("training", ends("training stall", "no word of a training for 60 s")),
        ("nothing", ends("scheduler stall", "nothing happened for 60 s")),
    ],
)
def test_silence_is_ended_once_patience_is_over(doing: Any, ended: Any) -> None:
    watch = Watch()
    watch.sees(quiet=PATIENCE, doing=doing)
    with ended:
        watch.sees(quiet=PATIENCE + 0.01, doing=doing)


def test_a_cell_where_things_happen_may_take_as_long_as_it_likes() -> None:
    watch = Watch()
    for day in range(100):
        watch.sees(after=86400, clock=86400.0 * day, quiet=PATIENCE - 1, doing="training")


@pytest.mark.parametrize("patience", [0.5, 7.0, 1800.0])
def test_patience_is_the_users(patience: float) -> None:
    watch = Watch(patience=patience)
    watch.sees(quiet=patience, doing="training")
    with ends("training stall", f"no word of a training for {patience:g} s"):
        watch.sees(quiet=1.001 * patience, doing="training")


def test_a_searcher_that_thinks_beyond_the_budget_is_ended() -> None:
    watch = Watch(Budget(10))
    watch.sees(clock=10 + GRACE_SECONDS, doing="thinking")
    with ends("searcher error", "slow failed: still thinking 30 s after its budget had ended"):
        watch.sees(clock=10 + GRACE_SECONDS + 0.01, doing="thinking")


@pytest.mark.parametrize("doing", ["training", "nothing"])
def test_a_clock_that_runs_on_beyond_the_budget_is_the_machines_fault(doing: Any) -> None:
    watch = Watch(Budget(10))
    with ends("scheduler stall", "its clock ran on after its budget had ended"):
        watch.sees(clock=10 + GRACE_SECONDS + 0.01, doing=doing)


@pytest.mark.parametrize("budget", [evaluations(10), Budget(100, "steps")])
def test_only_a_budget_of_seconds_ends_by_the_clock(budget: Budget) -> None:
    Watch(budget).sees(clock=1e6, doing="thinking")


def test_a_controller_that_does_not_answer_is_ended_once_patience_is_over() -> None:
    watch = Watch()
    watch.sees(clock=5.0, doing="training")
    watch.hears_nothing(after=PATIENCE - 1)
    with ends("scheduler stall", "its process did not answer for 61 s"):
        watch.hears_nothing(after=2)


def test_an_answer_starts_patience_anew() -> None:
    watch = Watch()
    for _ in range(5):
        watch.hears_nothing(after=PATIENCE - 1)
        watch.sees(after=0.5)


def test_a_controller_that_never_answers_is_ended() -> None:
    watch = Watch(Budget(10), patience=100)  # its clock may not have started: no budget is over
    watch.hears_nothing(after=99)
    with ends("scheduler stall", "its process did not answer for 101 s"):
        watch.hears_nothing(after=2)


def test_a_searcher_that_holds_its_process_while_it_thinks_fails() -> None:
    watch = Watch()
    watch.sees(clock=5.0, doing="thinking")
    said = "slow failed: still thinking and its process has not answered for 61 s"
    with ends("searcher error", said):
        watch.hears_nothing(after=PATIENCE + 1)


@pytest.mark.parametrize(
    ("doing", "cause"), [("thinking", "searcher error"), ("training", "scheduler stall")]
)
def test_a_mute_controller_gets_no_more_than_its_budget_and_some_grace(
    doing: Any, cause: str
) -> None:
    watch = Watch(Budget(10), patience=1800)
    watch.sees(clock=4.0, doing=doing)
    watch.hears_nothing(after=6 + GRACE_SECONDS)
    with pytest.raises(Fault) as ended:
        watch.hears_nothing(after=0.1)
    assert ended.value.cause == cause


def test_patience_shorter_than_the_budget_holds_for_a_mute_controller_too() -> None:
    watch = Watch(Budget(1000))
    watch.sees(clock=4.0, doing="training")
    with nullcontext():
        watch.hears_nothing(after=PATIENCE)
    with ends("scheduler stall", "its process did not answer for 61 s"):
        watch.hears_nothing(after=1)


def test_starting_up_may_take_longer_than_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "START_SECONDS", 120.0)
    watch = Watch(patience=5)
    watch.sees(quiet=119)
    with ends("scheduler stall", "nothing happened for 120 s"):
        watch.sees(quiet=121)
    watch = Watch(patience=5)
    watch.sees(clock=1.0, quiet=4)
    with ends("scheduler stall", "nothing happened for 5 s"):
        watch.sees(clock=1.0, quiet=6)
