"""What is replaced inside Ray and Ray Tune, which have no switch for it.

The names are those of Ray 2.59 to 2.60. In a Ray without one of them no study begins: it would
train on placement groups of its trials' own, or print Ray's messages into a study's output.
"""

from __future__ import annotations

import importlib

import ray

from hpobench.errors import StudyError

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


def check_ray() -> None:
    """Raises StudyError, in one line, if this Ray lacks a name that is replaced or used."""
    for place in (LISTENER, RESOURCES, USAGE, FIXED, PARAMETERS):
        module, _, name = place.rpartition(".")
        try:
            getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            raise StudyError(
                f"Ray {ray.__version__} has no {place}, which hpobench relies on; it is"
                f" made for Ray {VERSIONS}: install one of these"
            ) from None
