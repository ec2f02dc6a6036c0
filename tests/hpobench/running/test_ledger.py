"""The books of a cell, against a simulation that follows every slot by itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.running.ledger import Ledger

GRAIN = 1 / 64  # seconds that floats add up exactly


@dataclass
class Slots:
    """A cell's slots, each second of theirs booked where it belongs, moment by moment.

    The searcher thinks beside the slots at work. A slot that has done its work reports at once; its
    report arrives when the loop comes to it, at the next event of that slot.
    """

    width: int
    now: float = 0.0
    doing: list[str] = field(default_factory=list)
    booked: dict[str, float] = field(default_factory=dict)
    since: dict[int, float] = field(default_factory=dict)
    """Of busy slots: since when."""
    ended: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Of slots whose report is on its way: when they began and ended."""
    left_out: float = 0.0

    def __post_init__(self) -> None:
        self.doing = ["orchestration"] * self.width
        self.ledger = Ledger(self.width)

    def book(self, part: str, seconds: float) -> None:
        self.booked[part] = self.booked.get(part, 0.0) + seconds

    def pass_by(self, seconds: float, thinking: bool = False) -> None:
        """Time goes by: slots without work wait for the searcher, or for the framework, or idle."""
        before, self.now = self.now, self.now + seconds
        for state in self.doing:
            if state != "busy":
                self.book("search" if thinking else state, seconds)
        if thinking:
            self.ledger.think(before, self.now)

    def hand_out(self, slot: int) -> None:
        if self.doing[slot] in ("orchestration", "idle") and slot not in self.ended:
            self.ledger.handed(slot, self.now)
            self.doing[slot], self.since[slot] = "busy", self.now

    def nothing(self, slot: int) -> None:
        if self.doing[slot] != "busy" and slot not in self.ended:
            self.ledger.nothing_for(slot, self.now)
            self.doing[slot] = "idle"

    def end(self, slot: int, there: float) -> None:
        """A slot has done its work, after a share of its time had gone by on the way there."""
        if self.doing[slot] == "busy":
            since = self.since.pop(slot)
            began = since + there * (self.now - since)
            self.ended[slot] = began, self.now
            self.book("orchestration", began - since)
            self.doing[slot] = "orchestration"

    def report(self, slot: int, missing: float) -> None:
        """The report of a slot arrives, which may forget a share of what it did."""
        if slot not in self.ended:
            return
        began, ended = self.ended.pop(slot)
        spent = ended - began
        said = {"train": spent * (0.75 - missing), "its_own": spent * 0.25}
        self.ledger.reported(slot, said, began, ended, self.now)
        self.book("train", said["train"])
        self.book("search", said["its_own"])  # what nobody knows is a searcher's own
        self.left_out += spent * missing

    def close(self) -> None:
        for slot in list(self.ended):
            self.report(slot, 0.0)
        for since in self.since.values():
            self.book("unfinished", self.now - since)
        self.ledger.close(self.now)


moments = st.integers(0, 640).map(lambda n: n * GRAIN)
shares = st.sampled_from([0.0, 0.25, 0.5])
numbers = st.integers(0, 3)
events = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), moments),
        st.tuples(st.just("think"), moments),
        st.tuples(st.just("hand out"), numbers),
        st.tuples(st.just("nothing"), numbers),
        st.tuples(st.just("end"), numbers, shares),
        st.tuples(st.just("report"), numbers),
    ),
    max_size=60,
)


def simulate(width: int, happened: list[tuple], missing: float) -> Slots:
    """``missing``: the share of its work that a worker forgets, or counts twice if below 0."""
    slots = Slots(width)
    for what, *how in happened:
        if what == "wait":
            slots.pass_by(*how)
        elif what == "think":
            slots.pass_by(*how, thinking=True)
        else:
            slot, *more = how[0] % width, *how[1:]
            if what == "hand out":
                slots.hand_out(slot)
            elif what == "nothing":
                slots.nothing(slot)
            elif what == "end":
                slots.end(slot, *more)
            else:
                slots.report(slot, missing)
    slots.close()
    return slots


@given(st.integers(1, 4), events)
def test_parts_add_up_to_width_times_wall(width: int, happened: list[tuple]) -> None:
    slots = simulate(width, happened, missing=0.0)
    ledger = slots.ledger
    assert ledger.wall == slots.now
    assert sum(ledger.parts.values()) == pytest.approx(width * ledger.wall, abs=1e-9)
    assert ledger.residual == pytest.approx(0, abs=1e-9)


@given(st.integers(1, 4), events)
def test_every_second_is_booked_where_it_belongs(width: int, happened: list[tuple]) -> None:
    """Above all: search is what free slots waited for thinking, idle only without work."""
    slots = simulate(width, happened, missing=0.0)
    expected = dict.fromkeys(slots.ledger.parts, 0.0) | slots.booked
    assert slots.ledger.parts == pytest.approx(expected, abs=1e-9)


@given(st.integers(1, 4), events, st.sampled_from([-0.25, 0.25, 0.5]))
def test_the_residual_is_what_workers_leave_out(
    width: int, happened: list[tuple], missing: float
) -> None:
    slots = simulate(width, happened, missing)
    whole = width * slots.ledger.wall
    wanted = slots.left_out / whole if whole else 0.0
    assert slots.ledger.residual == pytest.approx(wanted, abs=1e-9)


def test_thinking_costs_every_slot_that_waits_for_it() -> None:
    """Three slots; one is busy while the searcher thinks for 6 s, one has no work for it."""
    ledger = Ledger(3)
    ledger.handed(0, 0.0)
    ledger.think(0.0, 6.0)
    ledger.handed(1, 6.0)
    ledger.close(8.0)
    assert ledger.parts["search"] == 12
    assert ledger.parts["unfinished"] == 8 + 2
    assert ledger.parts["orchestration"] == 2
    assert ledger.residual == 0


def test_a_report_that_waits_for_thinking_waits_for_the_searcher() -> None:
    """It has ended at 3 s; from 2 to 6 s the searcher thinks of another slot's next training."""
    ledger = Ledger(1)
    ledger.handed(0, 0.0)
    ledger.think(2.0, 6.0)
    ledger.reported(0, {"train": 3.0}, 0.0, 3.0, 6.5)
    ledger.close(7.0)
    assert ledger.parts["search"] == 3
    assert ledger.parts["orchestration"] == 0.5 + 0.5
    assert ledger.residual == 0


def test_a_slot_is_idle_until_it_is_handed_something() -> None:
    ledger = Ledger(2)
    ledger.nothing_for(0, 1.0)
    ledger.nothing_for(1, 1.0)
    ledger.handed(0, 3.0)
    ledger.handed(1, 3.5)
    ledger.close(4.0)
    assert ledger.parts["idle"] == 2 + 2.5
    assert ledger.parts["orchestration"] == 1 + 1
    assert ledger.parts["unfinished"] == 1 + 0.5


def test_json_holds_every_part_and_the_residual() -> None:
    ledger = Ledger(1)
    ledger.handed(0, 0.0)
    ledger.reported(0, {"train": 3.0}, 0.0, 4.0, 4.0)
    ledger.close(4.0)
    said = ledger.as_json(1.25)
    assert said["startup"] == 1.25
    assert said["slots"] == 1
    assert said["wall"] == 4
    assert said["residual"] == 0.25
    assert said["parts"]["train"] == 3
    assert set(said["parts"]) >= {"search", "idle", "unfinished", "lost", "orchestration"}


def test_an_empty_ledger_has_no_residual() -> None:
    assert Ledger(2).residual == 0


def test_a_report_has_all_that_it_took_of_its_slot() -> None:
    """It waited 1 s for the framework, 2 s for the searcher, 0.5 s on the way there and back."""
    ledger = Ledger(1)
    ledger.think(1.0, 3.0)
    ledger.handed(0, 3.0)
    said = ledger.reported(0, {"train": 2.0, "orchestration": 0.125}, 3.25, 5.375, 5.625)
    assert said == {"train": 2.0, "search": 2.0, "orchestration": 0.125 + 1.0 + 0.25 + 0.25}
    assert sum(said.values()) == 5.625
    ledger.handed(0, 6.0)
    again = ledger.reported(0, {"train": 1.0}, 6.0, 7.0, 7.0)
    assert again == {"train": 1.0, "search": 0.0, "orchestration": 0.375}
