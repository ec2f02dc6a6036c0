"""Cores of a machine, each claimed by one cell at a time.

Ray counts cores but does not say which. A claim is a lock on a file that everybody on the machine
can reach, so cells of different nodes on one machine, and of different studies, keep apart too; the
system takes a claim back when its process ends, however that happens.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainables.processes import stay_on

PATIENCE_SECONDS = 0.5
"""How long the claims of a cell that has just ended may take to go."""


def available_cores() -> tuple[int, ...]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


@contextmanager
def own_cores(count: int, folder: Path | None = None) -> Iterator[tuple[int, ...]]:
    """Claim so many cores and keep this process on them; () if they are not to be had.

    Without cores of its own a cell runs on any, as its neighbours may.
    """
    before = available_cores()
    claims = _claims(count, folder or Path(tempfile.gettempdir()) / "hpobench-cores")
    stay_on(claims)
    try:
        yield tuple(claims)
    finally:
        stay_on(before)
        for file in claims.values():
            os.close(file)


def _claims(count: int, folder: Path) -> dict[int, int]:
    """Cores to open files with their locks; none if there are not enough."""
    if not hasattr(os, "sched_setaffinity"):
        return {}
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o1777)
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        claims = _free_ones(count, folder)
        if len(claims) == count:
            return claims
        for file in claims.values():
            os.close(file)
        if time.monotonic() > end:
            return {}
        time.sleep(0.05)


def _free_ones(count: int, folder: Path) -> dict[int, int]:
    """As many as are free and wanted."""
    claims: dict[int, int] = {}
    for core in available_cores():
        if len(claims) == count:
            break
        with suppress(OSError):
            file = os.open(folder / f"{core}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
            else:
                with suppress(OSError):
                    os.fchmod(file, 0o666)
                claims[core] = file
    return claims
