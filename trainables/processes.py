"""Processes: whether another one is there, not to outlive it, and to stay on given cores."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LOOK_SECONDS = 2.0


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    with suppress(OSError, IndexError):
        stat = Path(f"/proc/{process}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def end_with(process: int) -> None:
    """End this process, within seconds, once another one is gone.

    Ray's workers do so once they have become children of init, which they never do where somebody
    else adopts orphans, as systemd does in a user's session.
    """

    def watch() -> None:
        while alive(process):
            time.sleep(LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def stay_on(cores: Iterable[int]) -> None:
    """Keep this process, with all its threads, on the given cores, where the system can."""
    cores = tuple(cores)
    if cores and hasattr(os, "sched_setaffinity"):
        threads = Path("/proc/self/task")
        for thread in [0, *(int(t.name) for t in threads.iterdir() if threads.is_dir())]:
            with suppress(OSError):  # a thread may end meanwhile
                os.sched_setaffinity(thread, cores)
