"""Whose reference is made, and where it is written."""

from __future__ import annotations

import dataclasses
import difflib
import os
import tempfile
from pathlib import Path

from hpobench.discovery import load_file
from hpobench.errors import RunError, StudyError
from hpobench.references.known import reference_file
from trainables.task import Task
from trainables.tasks import find_task


@dataclasses.dataclass(frozen=True)
class Target:
    """A task that a reference is made for, the file that it came from, and where it is written."""

    task: Task
    source: Path | None
    out: Path


def find_target(name: str, out: Path | None) -> Target:
    """``digits``, ``my_study.py`` or ``my_study.py:mine``; its reference where ``out`` says.

    Without ``out``, it is written where the task says, and that of a ready-made task into this
    package. Raises StudyError, or the task's own error, for what is not there or needs no search,
    for a reference that is there already, and for a place that cannot be written to.
    """
    task, source = _find(name)
    if task.optimum is not None:
        raise StudyError(f"the optimum of {task.name} is known in closed form: it needs no search")
    if out is None and task.reference is None and source is not None:
        raise StudyError(f"say where to write the reference of {task.name}: --out {task.name}.json")
    file = out or reference_file(task)
    _check_writable(file)
    # What it is to be found with does not depend on where it is going to be.
    return Target(dataclasses.replace(task, reference=None), source, file)


def _find(name: str) -> tuple[Task, Path | None]:
    path, _, wanted = name.partition(":")
    if not path.endswith(".py") and os.sep not in path:
        return find_task(name), None
    tasks = {task.name: task for task in load_file(Path(path)).tasks}
    if not wanted and len(tasks) == 1:
        return next(iter(tasks.values())), Path(path)
    if wanted in tasks:
        return tasks[wanted], Path(path)
    near = difflib.get_close_matches(wanted, tasks, n=1)
    guess = f" Did you mean {path}:{near[0]}?" if near else ""
    what = f"no task {wanted!r} in it." if wanted else f"say which task, {path}:NAME."
    raise StudyError(f"{path}: {what}{guess} There are: {', '.join(tasks)}")


def _check_writable(file: Path) -> None:
    """Before hours of work, not after."""
    if file.is_dir():
        raise StudyError(f"--out {file} is a folder; give the file to write, as {file}/NAME.json")
    parent = next(place for place in file.absolute().parents if place.exists())
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise RunError(f"--out {file}: {error.strerror}; choose another place") from None
