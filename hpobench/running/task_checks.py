"""A user's own tasks, put through the quick part of their contract before anything is measured."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

import hpobench
import searchers
import trainables
from hpobench.errors import HpobenchError, StudyError
from hpobench.running.interfaces import Slice
from hpobench.running.test_metrics import Measuring
from hpobench.study import Study
from searchers.errors import SearcherError
from searchers.space import SpaceError
from trainables.task import Task, TaskError
from trainables.tasks import TASKS
from trainables.testing import check_quickly


class TaskCheck:
    """The check of one task as work for a slice."""

    def __init__(self, task: Task, study: Study) -> None:
        self._measuring = Measuring(f"checking {task.name}", study)
        self._call = (check, task, study.seeds[0], study.device, study.cpus)

    def run(self, slice_: Slice, stop: object) -> bool:
        """Check it in a worker; False if its machines failed, and it is to be tried again."""
        return self._measuring.on(slice_, *self._call) is not None


def own_tasks(study: Study) -> Sequence[Task]:
    """Those that do not come with the project, whose tests check them."""
    return [task for task in study.tasks if TASKS.get(task.name) is not task]


def check(task: Task, seed: int, device: str, threads: int) -> float:
    """Check a task; how many seconds that took.

    Raises:
        StudyError: What it is made of does not fit, it breaks the contract, or its code fails; the
            message says where.
    """
    before, began = torch.get_num_threads(), time.monotonic()
    torch.set_num_threads(threads)
    try:
        check_quickly(task, seed=seed, device=torch.device(device))
    except (HpobenchError, SearcherError, SpaceError, TaskError) as error:
        named = "" if str(error).startswith(f"{task.name}:") else f"{task.name}: "
        raise StudyError(f"{named}{error}{_where(error)}") from None
    except AssertionError as error:
        whole = "trainables.testing.check_task checks all that a task has to keep to"
        raise StudyError(f"{error} ({whole})") from None
    except (Exception, SystemExit) as error:  # whatever a user's own code may raise
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise StudyError(f"{task.name} cannot be trained: {what}{_where(error)}") from None
    finally:
        torch.set_num_threads(before)
    return time.monotonic() - began


def _where(error: BaseException) -> str:
    """The user's own line that it came from, if there is one."""
    ours = [Path(package.__path__[0]) for package in (hpobench, searchers, trainables)]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        others = "site-packages" in file.parts or any(place in file.parents for place in ours)
        if file.is_file() and not others:
            return f" ({file}, line {frame.lineno})"
    return ""
