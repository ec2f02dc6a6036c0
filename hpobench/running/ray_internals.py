"""What is replaced inside Ray and Ray Tune, which have no switch for it.

The names are those of Ray 2.59 to 2.60. In a Ray without one of them no study begins: it would
train on placement groups of its trials' own, or print Ray's messages into a study's output.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import ray
from ray._private import services
from ray.job_config import JobConfig

from hpobench.errors import StudyError
from trainables.import_path import in_front

VERSIONS = "2.59 to 2.60"

LISTENER = "ray._private.worker.print_to_stdstream"
"""Prints what happens to nodes, and their logs, into the driver's output."""

RESOURCES = "ray.tune.execution.tune_controller.PlacementGroupResourceManager"
"""Asks the cluster for a placement group of each trial's own."""

USAGE = "ray.air._internal.usage.tag_callbacks"
"""Counts who uses W&B's callback, and imports W&B for it, which leaves folders behind."""

FIXED = "ray.air.execution.resources.FixedResourceManager"
"""What takes the place of `RESOURCES`: hands out resources that are there already."""


PARAMETERS = "ray._private.parameter.RayParams"
"""What a Ray is started with: the file that a worker runs has no other way in."""


PROCESSES = "ray._private.services.ConsolePopen"
"""A process of a Ray that this one starts."""

NODE = "ray._private.worker._global_node"
"""This machine's node of the Ray that this process is connected to."""

VITAL = ("raylet", "gcs_server")
"""Processes without which a Ray is none."""


@contextmanager
def sessions_of_their_own() -> Iterator[None]:
    """Have the processes of the Ray that is started meanwhile in sessions of their own.

    So a signal to the runner's group, as of a Ctrl-C or of a batch system, is the runner's alone to
    answer. They still end with it: Linux sees to that, which other systems do by their group.
    """
    if sys.platform == "linux":
        with patch(PROCESSES, partial(services.ConsolePopen, start_new_session=True)):
            yield
    else:
        yield


def ended_process() -> str | None:
    """Which vital process of the Ray that this process has started has ended; None if none has."""
    node: Any = _named(NODE)
    if node is None:
        return None
    return next((str(kind) for kind, _ in node.dead_processes() if kind in VITAL), None)


class _OnlyInFront(list[str]):
    """Of the folders that are put into it later, only those where this process looks first."""

    def extend(self, folders: Iterable[str]) -> None:
        super().extend(folder for folder in folders if folder in in_front())


def job() -> JobConfig:
    """A job whose workers look into no folder first where this process does not.

    Of itself Ray has them look into the working folder before they look into Python's own library,
    and what lies there may be called as something in that is.
    """
    job = JobConfig()
    job._py_driver_sys_path = _OnlyInFront()
    return job


def check_ray() -> None:
    """Raises StudyError, in one line, if this Ray lacks a name that is replaced or used."""
    for place in (LISTENER, RESOURCES, USAGE, FIXED, PARAMETERS, PROCESSES, NODE):
        try:
            _named(place)
        except (ImportError, AttributeError):
            raise StudyError(
                f"Ray {ray.__version__} has no {place}, which hpobench relies on; it is"
                f" made for Ray {VERSIONS}: install one of these"
            ) from None


def _named(place: str) -> Any:
    module, _, name = place.rpartition(".")
    return getattr(importlib.import_module(module), name)
