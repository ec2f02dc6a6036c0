"""Work and slices brought together, whatever becomes of the slices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpobench.errors import LostRayError, RunError
from hpobench.results.json_files import read_json
from hpobench.running import scheduler
from hpobench.running.cell_run import Stopped
from hpobench.running.display import Silent
from hpobench.running.faults import Fault
from hpobench.running.interfaces import Slice
from hpobench.running.progress import Progress
from hpobench.running.scheduler import SliceScheduler
from tests.hpobench.running.fake_slices import (
    FakeCluster,
    FakeSlice,
    Script,
    cell_run_in,
    small_study,
)


@pytest.fixture(autouse=True)
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits half a second."""
    monkeypatch.setattr(scheduler, "WATCH_SECONDS", 0.005)


@dataclass
class Piece:
    """Some work: ``does`` it on a slice, or puts it down once the study is stopped."""

    name: str
    done_on: list[str]
    does: Callable[[Slice], bool] = lambda slice_: True

    def run(self, slice_: Slice, stop: threading.Event) -> bool:
        time.sleep(0.002)
        settled = self.does(slice_)
        if settled:
            self.done_on.append(f"{self.name} on {slice_.name}")
        return settled


@dataclass
class UntilStopped:
    """Work that would go on for ever."""

    stopped: bool = False

    def run(self, slice_: Slice, stop: threading.Event) -> bool:
        assert stop.wait(300), "nobody stopped it"
        self.stopped = True
        raise Stopped


@dataclass
class Watching(Silent):
    """A display that looks at the progress, and at what happens beside it."""

    look: Callable[[Progress], None] = lambda progress: None
    notes: list[str] = field(default_factory=list)

    def refresh(self, progress: Progress) -> None:
        if not self.notes or self.notes[-1] != progress.note:
            self.notes.append(progress.note)
        self.look(progress)


def slices(count: int) -> list[FakeSlice]:
    return [FakeSlice(name=f"slice {number}") for number in range(count)]


def scheduler_of(
    cluster: FakeCluster, display: Any = None, patience: float = 60.0
) -> SliceScheduler:
    progress = Progress(small_study(patience=patience), Path(), [])
    return SliceScheduler(cluster, display or Silent(), progress)


def names(done: list[str]) -> list[str]:
    return [what.split()[0] for what in done]


def test_all_work_is_done_once_in_order_and_slices_are_given_back() -> None:
    cluster, done = FakeCluster(slices(1)), list[str]()
    scheduler_of(cluster).work([Piece(letter, done) for letter in "abcdef"])
    assert names(done) == list("abcdef")
    assert all(slice_.returned for slice_ in cluster.taken)
    assert not cluster.asking


def test_slices_work_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=300)
    cluster, done = FakeCluster(slices(3)), list[str]()

    def meet(slice_: Slice) -> bool:
        meeting.wait()
        return True

    scheduler_of(cluster).work([Piece(letter, done, meet) for letter in "abcdef"])
    assert sorted(names(done)) == list("abcdef")
    assert {what.split(" on ")[1] for what in done} == {"slice 0", "slice 1", "slice 2"}
    assert all(slice_.returned for slice_ in cluster.taken)


def test_no_more_slices_are_taken_than_there_is_work() -> None:
    cluster, done, go = FakeCluster(slices(5)), list[str](), threading.Event()
    plan_slices = []

    def look(progress: Progress) -> None:
        plan_slices.append(progress.slices)
        go.set()

    work = [Piece(letter, done, lambda slice_: go.wait(300)) for letter in "ab"]
    scheduler_of(cluster, Watching(look)).work(work)
    assert sorted(names(done)) == ["a", "b"]
    assert len(cluster.taken) <= 2
    assert 1 <= max(plan_slices) <= 2


def test_no_work_takes_no_slice() -> None:
    cluster = FakeCluster(slices(1))
    scheduler_of(cluster).work([])
    assert cluster.taken == []


def test_work_is_taken_up_again_before_the_rest_until_it_is_settled() -> None:
    cluster, done, left = FakeCluster(slices(1)), list[str](), [3]

    def at_the_third(slice_: Slice) -> bool:
        left[0] -= 1
        return left[0] == 0

    scheduler_of(cluster).work([Piece("a", done, at_the_third), Piece("b", done)])
    assert names(done) == ["a", "b"]
    assert left == [0]


def test_work_of_a_slice_that_dies_goes_on_elsewhere() -> None:
    first, second = slices(2)
    cluster, done = FakeCluster([first]), list[str]()

    def node_dies(slice_: Slice) -> bool:
        if slice_ is first:
            first.there = False
            cluster.free.append(second)  # another node joins
            return False
        return True

    scheduler_of(cluster).work([Piece("a", done), Piece("b", done, node_dies), Piece("c", done)])
    assert done == ["a on slice 0", "b on slice 1", "c on slice 1"]
    assert first.returned
    assert second.returned


def test_a_cell_whose_node_dies_is_void_and_run_again_on_another(tmp_path: Path) -> None:
    first, second = slices(2)
    cluster, run = FakeCluster([first]), cell_run_in(tmp_path)

    def node_dies() -> None:
        first.there = False
        cluster.free.append(second)

    lost = Fault("its controller was lost: its node was terminated", "node lost")
    first.scripts = [Script((0.9,), meanwhile=node_dies, gone=lost)]
    scheduler_of(cluster).work([run])
    assert run.status == "complete"
    said = read_json(run.folder / "cell.json")
    assert [(a["status"], a["cause"]) for a in said["attempts"]] == [
        ("void", "node lost"),
        ("ok", None),
    ]
    assert said["slice"]["name"] == "slice 1"
    assert first.returned
    assert second.returned


def test_a_node_that_joins_is_used_at_once() -> None:
    first, second = slices(2)
    cluster, done, both = FakeCluster([first]), list[str](), threading.Barrier(2, timeout=300)

    def joined(slice_: Slice) -> bool:
        if slice_ is first and not cluster.taken[1:]:
            cluster.free.append(second)
        both.wait()
        return True

    scheduler_of(cluster).work([Piece("a", done, joined), Piece("b", done, joined)])
    assert sorted(done) == ["a on slice 0", "b on slice 1"]


def test_a_cluster_without_room_is_given_up_after_patience_in_one_line() -> None:
    cluster = FakeCluster(why="a cell needs 4 × 1 cores on one node; the largest has 2")
    display, began = Watching(), time.monotonic()
    with pytest.raises(RunError) as refused:
        scheduler_of(cluster, display, patience=0.3).work([Piece("a", [])])
    assert time.monotonic() - began > 0.3
    line = "a cell needs 4 × 1 cores on one node; the largest has 2"
    assert str(refused.value) == f"{line}; lower the width, or the resources of a slot"
    assert display.notes[-1] == f"waiting for a slice: {line}"
    assert not cluster.asking


def test_a_cluster_that_is_merely_busy_is_waited_for() -> None:
    cluster, done = FakeCluster(), list[str]()
    later = threading.Timer(0.5, lambda: cluster.free.append(slices(1)[0]))
    later.start()
    scheduler_of(cluster, patience=0.1).work([Piece("a", done)])
    assert names(done) == ["a"]


def test_what_it_waited_for_is_not_said_any_more_once_it_is_there() -> None:
    cluster, done, seen = FakeCluster(why="no node"), list[str](), threading.Event()

    def look(progress: Progress) -> None:
        if cluster.taken and not progress.note:
            seen.set()

    def watched(slice_: Slice) -> bool:
        assert seen.wait(300), "the note stayed while the cell ran"
        return True

    later = threading.Timer(0.05, lambda: cluster.free.append(slices(1)[0]))
    later.start()
    display = Watching(look)
    scheduler_of(cluster, display).work([Piece("a", done, watched)])
    assert display.notes[:2] == ["waiting for a slice: no node", ""]


def test_patience_begins_when_the_last_slice_is_gone_not_when_the_study_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = slices(2)
    cluster, done, clock, looks = FakeCluster([first]), list[str](), [0.0], [0]
    monkeypatch.setattr(
        scheduler, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=time.sleep)
    )

    def look(progress: Progress) -> None:
        looks[0] += 1
        if progress.note and second not in (*cluster.free, *cluster.taken):
            clock[0] += 50.0  # of the 60 of patience
            cluster.free.append(second)

    def long_and_then_the_node_dies(slice_: Slice) -> bool:
        if slice_ is second:
            return True
        clock[0] += 1000.0  # longer than patience, with a slice at work
        after = looks[0] + 2  # one look may be under way already
        while looks[0] < after:
            time.sleep(0.001)
        first.there, cluster.why = False, "no node"
        return False

    work = [Piece("a", done, long_and_then_the_node_dies)]
    scheduler_of(cluster, Watching(look), patience=60.0).work(work)
    assert done == ["a on slice 1"]


def test_work_that_machines_fail_time_and_again_is_left_and_the_other_work_goes_on() -> None:
    cluster, done = FakeCluster(slices(1)), list[str]()

    def lost(slice_: Slice) -> bool:
        raise Fault("testing a: its worker was lost, 3 times", "worker lost")

    progress = Progress(small_study(), Path(), [])
    SliceScheduler(cluster, Silent(), progress).work([Piece("a", done, lost), Piece("b", done)])
    assert names(done) == ["b"]
    assert progress.left == ["testing a: its worker was lost, 3 times"]
    assert all(slice_.returned for slice_ in cluster.taken)


def test_an_error_stops_all_the_work_and_is_raised() -> None:
    cluster, other = FakeCluster(slices(2)), UntilStopped()

    def fails(slice_: Slice) -> bool:
        raise RunError("the disk is full")

    with pytest.raises(RunError, match="the disk is full"):
        scheduler_of(cluster).work([other, Piece("a", [], fails), Piece("never", [])])
    assert other.stopped
    assert all(slice_.returned for slice_ in cluster.taken)
    assert not cluster.asking


def test_an_interrupt_stops_all_the_work_says_so_and_goes_on() -> None:
    cluster, work, done = FakeCluster(slices(2)), [UntilStopped(), UntilStopped()], list[str]()

    def interrupt(progress: Progress) -> None:
        if len(cluster.taken) == 2 and not progress.note:
            raise KeyboardInterrupt

    display = Watching(interrupt)
    with pytest.raises(scheduler.Interrupted):
        scheduler_of(cluster, display).work([*work, Piece("never", done)])
    assert [piece.stopped for piece in work] == [True, True]
    assert all(slice_.returned for slice_ in cluster.taken)
    assert done == []
    assert display.notes[-1] == "stopping, what is complete is kept; Ctrl-C again stops at once"


def test_an_interrupt_does_not_wait_for_what_does_not_stop(monkeypatch: Any) -> None:
    monkeypatch.setattr(scheduler, "STOP_SECONDS", 0.1)
    cluster, free = FakeCluster(slices(1)), threading.Event()

    def interrupt(progress: Progress) -> None:
        if cluster.taken and not progress.note:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        scheduler_of(cluster, Watching(interrupt)).work(
            [Piece("deaf", [], lambda p: free.wait(300))]
        )
    assert time.monotonic() - began < 150
    free.set()


def lose(cluster: FakeCluster) -> Callable[[Progress], None]:
    """Takes a cluster away once it has work."""

    def look(progress: Progress) -> None:
        cluster.gone = bool(cluster.taken)

    return look


def test_a_cluster_that_is_gone_ends_the_work_in_one_line() -> None:
    cluster, work = FakeCluster(slices(1)), UntilStopped()
    with pytest.raises(LostRayError, match="raylet has ended"):
        scheduler_of(cluster, Watching(lose(cluster))).work([work])
    assert work.stopped


def test_nobody_waits_long_for_what_a_cluster_that_is_gone_had_under_way(monkeypatch: Any) -> None:
    monkeypatch.setattr(scheduler, "GOING_SECONDS", 0.1)
    monkeypatch.setattr(scheduler, "STOP_SECONDS", 250.0)
    cluster, free = FakeCluster(slices(1)), threading.Event()
    began = time.monotonic()
    with pytest.raises(LostRayError):
        scheduler_of(cluster, Watching(lose(cluster))).work(
            [Piece("deaf", [], lambda p: free.wait(300))]
        )
    assert time.monotonic() - began < 150
    free.set()


@pytest.mark.parametrize("gone", [True, False])
def test_an_error_is_the_clusters_if_that_is_gone(gone: bool) -> None:
    cluster = FakeCluster(slices(1))

    def fail(slice_: Slice) -> bool:
        cluster.gone = gone
        raise ValueError("Placement group does not exist")

    with pytest.raises(LostRayError if gone else ValueError):
        scheduler_of(cluster, Silent()).work([Piece("one", [], fail)])


@pytest.mark.parametrize("gone", [True, False])
def test_an_error_of_taking_slices_is_too(gone: bool, monkeypatch: Any) -> None:
    cluster = FakeCluster(slices(1))

    def take() -> FakeSlice:
        cluster.gone = gone
        raise ValueError("Placement group does not exist")

    monkeypatch.setattr(cluster, "take", take)
    with pytest.raises(LostRayError if gone else ValueError):
        scheduler_of(cluster, Silent()).work([Piece("one", [])])
