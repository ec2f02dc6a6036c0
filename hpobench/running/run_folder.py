"""A run's folder: made for a new run, and written to by one process at a time.

The claim is a lock on a file in the folder, which the system takes back when the process ends,
however that happens. On a network file system a lock on a file holds for every machine; one on the
folder itself would not. Where a disk knows no locks at all, that is an error: a file whose mere
existence is the claim would outlive a process that was killed.

Whether a folder is claimed is asked by a lock that others can have too, and that is given back at
once; who claims one waits longer than that for it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hpobench.errors import RunError
from hpobench.results.json_files import is_draft, make_folder, refusals

LOCK = ".lock.tmp"
"""Called as a draft is, so that what a killed process left of it counts as no part of a run."""

LOOK_SECONDS = 0.5
"""How long a claim waits for whoever only looks."""


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """A folder of one's own that holds nothing yet; if nothing comes to be in it, it is removed.

    Raises RunError if it holds anything, if another process is at work on it, or if it cannot be
    made.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder)
    try:
        with held(folder):
            if (folder / "study.json").exists():
                raise RunError(f"{folder} already holds a run; resume it, or choose another folder")
            if not is_empty(folder):
                raise RunError(f"{folder} is not empty; choose another folder for the run")
            yield
    finally:
        with suppress(OSError):  # one that is not empty stays
            for place in made:
                place.rmdir()


def is_empty(folder: Path) -> bool:
    """Whether nothing is in it but what a killed process left behind."""
    return all(is_draft(file) for file in folder.iterdir())


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Claim a run's folder; RunError, in one line, if another process has."""
    lock = FileLock(folder / LOCK, timeout=LOOK_SECONDS, fallback_to_soft=False)
    with refusals(folder):
        try:
            lock.acquire()
        except Timeout:
            raise RunError(
                f"{folder}: another process is at work on this run; wait for it, or stop it"
            ) from None
    try:
        yield
    finally:
        # While it is held: who opened it in the meantime sees that it is gone, and begins anew.
        with suppress(OSError):
            (folder / LOCK).unlink()
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process is at work on a run, as far as one can tell: if one cannot, it may be."""
    try:
        with open(folder / LOCK, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
