"""A run's folder: made for a new run, and written to by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hpobench.errors import RunError
from hpobench.results.json_files import is_draft, make_folder


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """A folder of one's own that holds nothing yet; if nothing comes to be in it, it is removed.

    Raises RunError if it holds anything, if another process is at work on it, or if it cannot be
    made.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    with held(make_folder(folder)):
        if (folder / "study.json").exists():
            raise RunError(f"{folder} already holds a run; resume it, or choose another folder")
        if any(not is_draft(file) for file in folder.iterdir()):
            raise RunError(f"{folder} is not empty; choose another folder for the run")
        try:
            yield
        finally:
            with suppress(OSError):  # one that is not empty stays
                for place in made:
                    place.rmdir()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Only one runner writes to a run's folder; the system takes a claim back when it ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(
                f"{folder}: another process is at work on this run; wait for it, or stop it"
            ) from None
        yield
    finally:
        os.close(descriptor)
