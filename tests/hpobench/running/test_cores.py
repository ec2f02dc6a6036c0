"""Cores are claimed by one cell at a time, whatever becomes of its process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from hpobench.running import cores
from hpobench.running.cores import available_cores, own_cores
from trainables.processes import stay_on

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system does not pin processes"
)


def claim(count: int, folder: Path, pipe: Connection) -> None:
    """Claim so many cores, tell which, and keep them for ever."""
    with own_cores(count, folder) as own:
        pipe.send(own)
        signal.pause()


@contextmanager
def claimant(count: int, folder: Path) -> Iterator[tuple[BaseProcess, tuple[int, ...]]]:
    """Another process that claims so many cores, and what it got."""
    forking = multiprocessing.get_context("fork")  # a new Python would import torch again
    here, there = forking.Pipe()
    process = forking.Process(target=claim, args=(count, folder, there))
    process.start()
    try:
        assert here.poll(300), "it claims nothing"
        yield process, here.recv()
    finally:
        process.kill()
        process.join()


def affinities() -> set[frozenset[int]]:
    """Where the threads of this process may run."""
    found = set()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # it has just ended
            found.add(frozenset(os.sched_getaffinity(int(thread.name))))
    return found


@pytest.mark.slow
def test_processes_never_claim_the_same_core_and_claims_end_with_sigkill(tmp_path: Path) -> None:
    there = len(available_cores())
    with claimant(1, tmp_path) as (first, mine):
        assert len(mine) == 1
        with own_cores(there - 1, tmp_path) as others:
            assert len(others) == there - 1
            assert not set(mine) & set(others)
        with own_cores(there, tmp_path) as all_:
            assert all_ == ()  # there are not enough: it goes without cores of its own
        first.kill()
        first.join()
        with own_cores(there, tmp_path) as all_:
            assert set(all_) == set(available_cores()) == set(mine) | set(others)


@pytest.mark.slow
def test_a_claim_that_is_about_to_end_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "PATIENCE_SECONDS", 300.0)  # a busy machine ends nothing at once
    there = len(available_cores())
    with claimant(there, tmp_path) as (first, _):
        killer = threading.Timer(0.2, first.kill)
        killer.start()
        with own_cores(there, tmp_path) as own:
            assert len(own) == there
        killer.join()


def test_all_threads_stay_on_the_cores_and_are_let_go_afterwards(tmp_path: Path) -> None:
    before = affinities()
    ends = threading.Event()
    threads = [threading.Thread(target=ends.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        with own_cores(1, tmp_path) as own:
            assert affinities() == {frozenset(own)}
        assert affinities() == before
    finally:
        ends.set()
        for thread in threads:
            thread.join()


def test_without_cores_of_its_own_a_process_stays_where_it_was(tmp_path: Path) -> None:
    before = affinities()
    with own_cores(len(available_cores()) + 1, tmp_path) as own:
        assert own == ()
        assert affinities() == before
    stay_on(())
    assert affinities() == before


def test_a_folder_that_cannot_be_written_to_means_no_cores(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with own_cores(1, tmp_path / "file") as own:
        assert own == ()
