"""Work and slices brought together: a thread for each slice, while there is work."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from hpobench.errors import LostRayError, RunError
from hpobench.running.cell_run import Stop, Stopped
from hpobench.running.display import Display
from hpobench.running.faults import Fault
from hpobench.running.interfaces import Cluster, Slice
from hpobench.running.progress import Progress

WATCH_SECONDS = 0.5
GOING_SECONDS = 3.0
"""How long a cluster that goes may take for it, after what is asked of it has failed."""
STOP_SECONDS = 20.0
"""How long what is under way may take to be put down after an interrupt."""


class Interrupted(KeyboardInterrupt):
    """The study was interrupted, and all that was under way has been put down."""


class Work(Protocol):
    """A piece of work that occupies a whole slice."""

    def run(self, slice_: Slice, stop: Stop) -> bool:
        """Do it; False if it is to be taken up again, here or on another slice.

        Raises Stopped, once ``stop`` is set, if it cannot be finished soon; Fault if the machines
        failed it time and again: it is left for a resume, and the other work goes on.
        """


class SliceScheduler:
    """Takes slices from a cluster, and carries out work on them in order."""

    def __init__(self, cluster: Cluster, display: Display, progress: Progress) -> None:
        self._cluster, self._display, self._progress = cluster, display, progress
        self._queue: deque[Work] = deque()
        self._stop = Stop()
        self._threads: list[threading.Thread] = []
        self._under_way = 0
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def work(self, work: Sequence[Work]) -> None:
        """Do all of it; on an interrupt or an error, put down what is under way, and raise."""
        self._queue.extend(work)
        try:
            self._watch()
        except KeyboardInterrupt:
            self._stop.cause = "user interrupt"
            self._progress.note = "stopping, what is complete is kept; Ctrl-C again stops at once"
            self._display.refresh(self._progress)
            raise Interrupted from None
        except RunError:
            raise
        except Exception:
            self._cluster.check(within=GOING_SECONDS)
            raise
        finally:
            self._put_all_down()
        self._display.refresh(self._progress)
        if self._error is not None:
            if not isinstance(self._error, RunError):
                self._cluster.check(within=GOING_SECONDS)
            raise self._error
        self._stop.clear()

    def _watch(self) -> None:
        hopeful = time.monotonic()
        while self._left() and self._error is None:
            self._cluster.check()
            self._take_slices()
            wanting = self._wanting()
            self._progress.note = f"waiting for a slice: {wanting}" if wanting else ""
            if wanting is None:
                hopeful = time.monotonic()
            elif time.monotonic() - hopeful > self._progress.study.patience:
                raise RunError(f"{wanting}; lower the width, or the resources of a slot")
            self._progress.slices = sum(thread.is_alive() for thread in self._threads)
            self._display.refresh(self._progress)
            time.sleep(WATCH_SECONDS)

    def _left(self) -> bool:
        with self._lock:
            return bool(self._queue) or self._under_way > 0

    def _take_slices(self) -> None:
        """Take the slices that there is room for, as long as work is waiting."""
        while self._queue:
            slice_ = self._cluster.take()
            if slice_ is None:
                return
            thread = threading.Thread(target=self._serve, args=(slice_,), daemon=True)
            self._threads.append(thread)
            thread.start()
        self._cluster.stop_asking()

    def _wanting(self) -> str | None:
        """Why nothing can be done just now, in words; None if something is, or may be soon."""
        at_work = any(thread.is_alive() for thread in self._threads)
        return None if at_work else self._cluster.wanting()

    def _serve(self, slice_: Slice) -> None:
        try:
            while not self._stop.is_set() and slice_.alive():
                work = self._next()
                if work is None:
                    return
                settled = False
                try:
                    settled = work.run(slice_, self._stop)
                except Fault as fault:
                    settled = True
                    self._progress.left.append(fault.why)
                finally:
                    self._put_down(work, settled or self._stop.is_set())
        except Stopped:
            pass
        except BaseException as error:
            self._error = self._error or error
        finally:
            slice_.give_back()

    def _next(self) -> Work | None:
        with self._lock:
            if not self._queue:
                return None
            self._under_way += 1
            return self._queue.popleft()

    def _put_down(self, work: Work, settled: bool) -> None:
        with self._lock:
            self._under_way -= 1
            if not settled:
                self._queue.appendleft(work)

    def _put_all_down(self) -> None:
        """Wait until every thread has put down what it had."""
        self._stop.set()
        self._cluster.stop_asking()
        began, seconds = time.monotonic(), STOP_SECONDS
        while self._threads and time.monotonic() - began < seconds:
            self._threads[0].join(timeout=WATCH_SECONDS)
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if self._is_lost():
                seconds = GOING_SECONDS
        self._threads.clear()

    def _is_lost(self) -> bool:
        """Whether the cluster is gone, so that nothing under way comes to an end."""
        try:
            self._cluster.check()
        except LostRayError:
            return True
        return False
