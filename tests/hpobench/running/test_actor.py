"""What a controller's process is left with after an attempt."""

from __future__ import annotations

import _thread
import threading
from multiprocessing import get_context

from hpobench.running.actor import _at_work


def test_a_thread_that_is_left_behind_is_seen_until_it_ends() -> None:
    before, end = _at_work(), threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    assert not _at_work() <= before
    end.set()
    thread.join()
    assert _at_work() <= before


def test_a_process_that_is_left_behind_is_seen_until_it_ends() -> None:
    before = _at_work()
    child = get_context("spawn").Process(target=input)
    child.start()
    assert not _at_work() <= before
    child.terminate()
    child.join()
    assert _at_work() <= before


def test_threads_of_others_are_nothing_that_is_left_behind() -> None:
    """Such as Ray's own, which Python comes to know as they call it."""
    before, known, end = _at_work(), threading.Event(), threading.Event()

    def call() -> None:
        threading.current_thread()
        known.set()
        end.wait()

    _thread.start_new_thread(call, ())
    known.wait()
    assert any(thread.name.startswith("Dummy") for thread in threading.enumerate())
    assert _at_work() <= before
    end.set()
