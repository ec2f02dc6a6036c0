"""Where the processes of a study import from: last of all, from where the runner does besides.

What lies beside a user's study file can be imported, in every process. But its folder comes after
all that Python would look through anyway: a file there may be called as one of Python's own, or as
one of a library's. So it is not in ``PYTHONPATH``, whose folders are in front, also of the
processes that Ray has for itself.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Iterable
from importlib.machinery import PathFinder
from itertools import takewhile
from pathlib import Path

FOLDERS = "HPOBENCH_IMPORT_FROM"
"""Environment variable: folders, as a list in JSON, since a folder's name may hold any letter."""


def look_into(folders: Iterable[str]) -> None:
    """Have this process look into these folders too, after all others."""
    sys.path.extend(folder for folder in dict.fromkeys(folders) if folder not in sys.path)


def for_others() -> dict[str, str]:
    """The environment in which a process can `look_as_the_runner_does`, which this one is."""
    beyond = [place for place in _places() if not _pythons_own(place)]
    return {FOLDERS: json.dumps(beyond)}


def look_as_the_runner_does() -> None:
    """Have this process, which a runner has had started, import from where that does."""
    look_into(json.loads(os.environ.get(FOLDERS, "[]")))


def in_front() -> list[str]:
    """Where this process looks before it looks into Python's own library."""
    return list(takewhile(lambda place: not _pythons_own(place), _places()))


def shadows(folder: Path) -> list[str]:
    """What in a folder is called as a module that this process has from somewhere else."""
    elsewhere = [place for place in _places() if os.path.realpath(place) != str(folder)]
    names = {
        entry.name: entry.stem if entry.is_file() else entry.name for entry in folder.iterdir()
    }
    return sorted(entry for entry, name in names.items() if _is_module(name, elsewhere))


def _is_module(name: str, places: list[str]) -> bool:
    found = PathFinder.find_spec(name, places)
    return name in sys.builtin_module_names or (found is not None and found.loader is not None)


def _places() -> list[str]:
    return [os.path.abspath(place) for place in sys.path]


def _pythons_own(place: str) -> bool:
    """Whether it is one of Python's own places, or of its libraries."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return any(f"{place}/".startswith(f"{sysconfig.get_path(name)}/") for name in names)
