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

    The searcher thinks beside the slots at work; it is told of a trial's end before the next.
    """

    width: int
    now: float = 0.0
    doing: list[str] = field(default_factory=list)
    booked: dict[str, float] = field(default_factory=dict)
    pending: dict[int, float] = field(default_factory=dict)
    """Of busy slots: since when nothing was heard of them."""
    left_out: float = 0.0
    trials: int = 0
    names: dict[int, str] = field(default_factory=dict)
    """Of busy slots: their trials."""

    def __post_init__(self) -> None:
        self.doing = ["orchestration"] * self.width
        self.ledger = Ledger(self.width)
        self.order = list(range(self.width))
        """The slots in the order in which they came free: the first is handed work first."""

    def book(self, part: str, seconds: float) -> None:
        self.booked[part] = self.booked.get(part, 0.0) + seconds

    def pass_by(self, seconds: float, thinking: bool = False) -> None:
        """Time goes by: slots without work wait for the searcher, or for the framework, or idle."""
        self.now += seconds
        for state in self.doing:
            if state != "busy":
                self.book("search" if thinking else state, seconds)
        if thinking:
            self.ledger.think(seconds)

    def hand_out(self) -> None:
        if self.order:
            self.ledger.handed(f"t{self.trials}", self.now)
            slot = self.order.pop(0)
            self.doing = ["orchestration" if s == "idle" else s for s in self.doing]
            self.doing[slot], self.names[slot] = "busy", f"t{self.trials}"
            self.pending[slot] = self.now
            self.trials += 1

    def nothing(self) -> None:
        self.ledger.nothing_to_hand_out(self.now)
        self.doing = ["busy" if state == "busy" else "idle" for state in self.doing]

    def report(self, slot: int, there: float, back: float, missing: float) -> None:
        """A slot tells what it did in a share of the time since it was last heard of."""
        since = self.pending[slot]
        began = since + there * (self.now - since)
        ended = self.now - back * (self.now - began)
        spent = ended - began
        said = {"train": spent * 0.75 - missing, "its_own": spent * 0.25}
        self.ledger.reported(self.names[slot], said, began, ended, self.now)
        self.book("orchestration", (began - since) + (self.now - ended))
        self.book("train", said["train"])
        self.book("search", said["its_own"])  # what nobody knows is a searcher's own
        self.left_out += missing
        self.pending[slot] = self.now

    def free(self, slot: int, told: float) -> None:
        """Its trial is over with its report, which the searcher is told first."""
        del self.pending[slot]
        self.doing[slot] = "orchestration"
        self.pass_by(told, thinking=True)
        self.ledger.freed(self.names[slot])
        self.order.append(slot)

    def close(self) -> None:
        for since in self.pending.values():
            self.book("unfinished", self.now - since)
        self.ledger.close(self.now)


moments = st.integers(0, 640).map(lambda n: n * GRAIN)
shares = st.sampled_from([0.0, 0.25, 0.5])
events = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), moments),
        st.tuples(st.just("think"), moments),
        st.tuples(st.just("hand out")),
        st.tuples(st.just("nothing")),
        st.tuples(st.just("report"), st.integers(0, 3), shares, shares, st.none() | moments),
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
        elif what == "hand out":
            slots.hand_out()
        elif what == "nothing":
            slots.nothing()
        else:
            which, there, back, told = how
            busy = sorted(slots.pending)
            if busy:
                slot = busy[which % len(busy)]
                elapsed = slots.now - slots.pending[slot]
                slots.report(slot, there, back, missing * elapsed * (1 - there) * (1 - back) / 2)
                if told is not None:
                    slots.free(slot, told)
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


@given(st.integers(1, 4), events, st.sampled_from([-0.5, 0.5, 1.0]))
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
    ledger.handed("busy", 0.0)
    ledger.think(6.0)
    ledger.handed("waited", 6.0)
    ledger.close(8.0)
    assert ledger.parts["search"] == 12
    assert ledger.parts["unfinished"] == 8 + 2
    assert ledger.parts["orchestration"] == 2
    assert ledger.residual == 0


def test_slots_are_idle_until_something_is_handed_out() -> None:
    ledger = Ledger(2)
    ledger.nothing_to_hand_out(1.0)
    ledger.handed("a", 3.0)  # from here on there is something: the other waits for the framework
    ledger.handed("b", 3.5)
    ledger.close(4.0)
    assert ledger.parts["idle"] == 2 + 2
    assert ledger.parts["orchestration"] == 1 + 1 + 0.5


def test_json_holds_every_part_and_the_residual() -> None:
    ledger = Ledger(1)
    ledger.handed("a", 0.0)
    ledger.reported("a", {"train": 3.0}, 0.0, 4.0, 4.0)
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
