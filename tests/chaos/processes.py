"""The processes that a study started, seen from outside, and what is done to them. Linux only.

This process adopts every orphan among its descendants, so that whatever a study leaves behind
stays below it in the tree and can be named, and nothing else is ever touched.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36


class Process(NamedTuple):
    pid: int
    parent: int
    state: str
    words: str


@contextmanager
def adopting() -> Iterator[None]:
    """Within it, orphaned descendants of this process become its children."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot adopt orphans")
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def processes() -> dict[int, Process]:
    """Every process of this machine that has not ended."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            pid = int(place.name)
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found[pid] = Process(pid, int(parent), state, words.strip())
    return {pid: process for pid, process in found.items() if process.state not in "ZX"}


def below(roots: Iterable[int], without: Iterable[int] = ()) -> dict[int, Process]:
    """What descends from the roots, themselves left out; ``without`` whole branches."""
    everything, cut = processes(), set(without)
    children: dict[int, list[int]] = {}
    for process in everything.values():
        children.setdefault(process.parent, []).append(process.pid)
    found, waiting = {}, list(roots)
    while waiting:
        for pid in children.get(waiting.pop(), []):
            if pid not in cut and pid not in found:
                found[pid] = everything[pid]
                waiting.append(pid)
    return found


def is_mine(pid: int) -> bool:
    """Whether a process descends from this one."""
    return pid in below([os.getpid()])


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal to a process of our own; False if there is none (any more)."""
    if not is_mine(pid):
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    with suppress(OSError, IndexError):
        status = Path(f"/proc/{pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        return bool(caught >> (number - 1) & 1)
    return False


def kill_all(pids: Iterable[int]) -> None:
    """Kill processes of our own, and collect those that are our children."""
    for pid in pids:
        send(pid, signal.SIGKILL)
        with suppress(OSError):
            os.waitpid(pid, os.WNOHANG)


def until(condition: Callable[[], object], seconds: float, pause: float = 0.05) -> bool:
    """Wait for a condition; whether it came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
