"""Slots that tell and ask, each in a thread of its own, as Ray calls a controller."""

from __future__ import annotations

import itertools
import socket
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hpobench.budget import Budget
from hpobench.running.cell_loop import CellLoop
from hpobench.running.exchange import TURN, Exchange
from hpobench.running.faults import Fault
from tests.hpobench.running.test_cell_loop import Clock, Scripted, control, report, slot
from tests.hpobench.waiting import until
from trainables.line import Line, LineError
from trainables.trainable import Work


def answered(exchange: Exchange, told: dict[str, Any]) -> Work | None:
    handed: list[Work | None] = []
    exchange.answer(told, handed.append)
    (work,) = handed
    return work


class Slots:
    """Calls of an exchange; ``loop``: what is behind it, on the test's own clock."""

    def __init__(self, pool: ThreadPoolExecutor, loop: CellLoop, clock: Clock) -> None:
        self.loop, self.clock = loop, clock
        self.exchange = Exchange(loop)
        self._pool = pool

    def warm(self, number: int) -> Future[Work | None]:
        told = {"warm": True, "slot": slot(number)}
        return self._pool.submit(answered, self.exchange, told)

    def report(self, number: int, training: int) -> Future[Work | None]:
        told = report(self.clock, training) | {"slot": slot(number)}
        return self._pool.submit(answered, self.exchange, told)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as threads:
        yield threads


def cell(pool: ThreadPoolExecutor, budget: Budget | None = None, **scripted: Any) -> Slots:
    clock = Clock()
    return Slots(pool, control(clock, Scripted(**scripted), budget, width=2), clock)


def training(answer: Future[Work | None]) -> int | None:
    work = answer.result(timeout=60)
    return None if work is None else work["training"]


def test_slots_wait_until_all_are_warm_and_are_handed_work_by_what_they_report(pool) -> None:
    slots = cell(pool)
    first = slots.warm(0)
    until(lambda: 0 in slots.loop.slots)
    assert not first.done()
    second = slots.warm(1)
    assert {training(first), training(second)} == {0, 1}
    assert training(slots.report(0, 0)) == 2
    assert sorted(slots.exchange.processes()) == [0, 1]  # as `slot` numbers them


def test_a_slot_without_work_waits_for_the_others_and_ends_with_the_cell(pool) -> None:
    slots = cell(pool, jobs=1)
    answers = {0: slots.warm(0), 1: slots.warm(1)}
    until(lambda: any(answer.done() for answer in answers.values()))
    (busy,) = slots.loop.busy
    assert training(answers[busy]) == 0
    assert not answers[1 - busy].done()
    assert training(slots.report(busy, 0)) is None
    assert training(answers[1 - busy]) is None
    assert slots.loop.ended == "nothing left to try"
    assert slots.exchange.over()


def test_waiting_slots_end_when_another_is_lost(pool) -> None:
    slots = cell(pool)
    answer = slots.warm(0)
    until(lambda: 0 in slots.loop.slots)
    slots.exchange.lost(Fault("a worker was lost: killed", "worker lost"))
    assert training(answer) is None
    assert slots.loop.fault is not None


def test_waiting_slots_end_with_the_budget(pool) -> None:
    slots = cell(pool, jobs=1)
    answers = [slots.warm(0), slots.warm(1)]
    until(lambda: any(answer.done() for answer in answers))
    slots.clock.time += 11
    assert slots.exchange.over()  # as Tune's loop asks every tenth of a second
    assert sorted(map(training, answers), key=str) == [0, None]


def test_one_slot_at_a_time_has_the_loop(pool) -> None:
    """A searcher is never asked or told by two at once, and always by the same thread."""
    inside, threads = threading.Lock(), set[int]()

    class Careful(Scripted):
        def suggester(self, brief):
            suggester = super().suggester(brief)
            ask, tell = suggester.ask, suggester.tell

            def alone(call):
                def locked(*arguments):
                    assert inside.acquire(blocking=False)
                    threads.add(threading.get_ident())
                    try:
                        return call(*arguments)
                    finally:
                        inside.release()

                return locked

            suggester.ask, suggester.tell = alone(ask), alone(tell)
            return suggester

    clock = Clock()
    loop = control(clock, Careful(), Budget(400, "evaluations"), width=4)
    slots = Slots(pool, loop, clock)

    def work(number: int) -> None:
        told: dict[str, Any] = {"warm": True, "slot": slot(number)}
        while (work := answered(slots.exchange, told)) is not None:
            told = report(clock, work["training"]) | {"slot": slot(number)}

    for done in [pool.submit(work, number) for number in range(4)]:
        done.result(timeout=60)
    assert loop.fault is None
    assert sorted(line["training"] for line in loop.lines) == list(range(400))
    assert len(threads) == 1


def test_a_slot_has_its_work_before_the_searcher_thinks_for_another(pool) -> None:
    """Thinking may hold Python's interpreter lock for long: nobody's answer waits for it."""
    asked, go_on, order = threading.Event(), threading.Event(), list[str]()

    class Thoughtful(Scripted):
        def suggester(self, brief):
            suggester = super().suggester(brief)
            ask, numbers = suggester.ask, itertools.count()

            def slowly():
                number = next(numbers)
                if number == 2:  # after both slots have begun
                    asked.set()
                    assert go_on.wait(60)
                order.append(f"thinks of {number}")
                return ask()

            suggester.ask = slowly
            return suggester

    clock = Clock()
    slots = Slots(pool, control(clock, Thoughtful(), width=2), clock)
    begun = [slots.warm(0), slots.warm(1)]
    trainings = [training(answer) for answer in begun]

    def tell(number: int) -> Future[None]:
        told = report(clock, trainings[number]) | {"slot": slot(number)}
        hand = lambda work: order.append(f"handed to {number}")  # noqa: E731
        return pool.submit(slots.exchange.answer, told, hand)

    first = tell(0)
    assert asked.wait(60)
    second = tell(1)
    until(lambda: slots.exchange._one._work_queue.qsize() == 1)  # behind the first one's thinking
    go_on.set()
    for done in (first, second):
        done.result(timeout=60)
    assert order[2:] == ["thinks of 2", "handed to 0", "thinks of 3", "handed to 1"]


def test_threads_take_short_turns_while_slots_are_answered(pool, tmp_path: Path) -> None:
    usual = sys.getswitchinterval()
    with cell(pool).exchange.answering(tmp_path):
        assert sys.getswitchinterval() == pytest.approx(TURN)
    assert sys.getswitchinterval() == usual


def test_slots_call_over_a_socket_and_are_told_when_the_cell_is_over(pool, tmp_path: Path) -> None:
    slots = cell(pool, Budget(3, "evaluations"))
    with slots.exchange.answering(tmp_path) as address:
        lines = [Line(address), Line(address)]
        warm = [
            pool.submit(line, {"warm": True, "slot": slot(number)})
            for number, line in enumerate(lines)
        ]
        assert {training(answer) for answer in warm} == {0, 1}
        said = [report(slots.clock, k) | {"slot": slot(k)} for k in (0, 1)]
        assert lines[0](said[0])["training"] == 2
        waiting = pool.submit(lines[1], said[1])  # nothing for it: the third is under way
        assert lines[0](report(slots.clock, 2) | {"slot": slot(0)}) is None
        assert waiting.result(timeout=60) is None


def test_an_address_that_is_too_long_for_a_socket_is_taken_elsewhere(pool, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    with cell(pool).exchange.answering(folder) as address:
        assert Path(address).exists()
    assert not Path(address).parent.exists()


def test_what_goes_wrong_in_the_controller_ends_the_cell_and_says_why(pool, tmp_path: Path) -> None:
    slots = cell(pool)
    with slots.exchange.answering(tmp_path) as address:
        with pytest.raises(LineError, match="controller is gone"):
            Line(address)({"no": "slot"})
        until(slots.exchange.over)
    assert isinstance(slots.exchange.error, KeyError)
    assert slots.loop.fault is not None
    assert slots.loop.fault.cause == "scheduler stall"


def test_a_slot_that_ends_in_the_middle_of_a_report_is_no_fault_of_the_controller(
    pool, tmp_path: Path
) -> None:
    slots = cell(pool)
    with (
        slots.exchange.answering(tmp_path) as address,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        connection.connect(address)
        connection.sendall(b'{"slot": {"number": 0')
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""  # it has hung up
    assert slots.exchange.error is None
    assert slots.loop.fault is None


def test_what_fails_once_the_cell_is_over_changes_nothing(pool) -> None:
    slots = cell(pool)
    slots.exchange.lost(Fault("a worker was lost: killed", "worker lost"))
    slots.exchange.failed(ValueError("too late"))
    assert slots.exchange.error is None
    assert slots.loop.fault.cause == "worker lost"


def test_a_slot_that_still_waits_when_all_is_closed_is_let_go(pool) -> None:
    slots = cell(pool)
    waiting = slots.warm(0)
    until(lambda: 0 in slots.loop.slots)
    slots.exchange.close()
    with pytest.raises(ConnectionError):
        waiting.result(timeout=60)


def test_a_line_to_nobody_says_so(tmp_path: Path) -> None:
    with pytest.raises(LineError, match="controller is gone"):
        Line(str(tmp_path / "nobody"))({"warm": True})
