"""No search at all: what the practitioner's choice comes to, with and without a decay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from searchers.black_box.in_order import InOrder
from searchers.errors import SearcherError
from searchers.protocols import Brief
from searchers.space import Flat, Float, Vector


@dataclass(frozen=True)
class Default:
    """One full training of the task's default configuration.

    Args:
        name: what it is called in tables and files.
    """

    name: str = "default"

    def suggester(self, brief: Brief) -> InOrder:
        return InOrder([brief.default], brief.horizon)


@dataclass(frozen=True)
class DefaultCosine:
    """The default configuration, its learning rate decayed to zero along half a cosine.

    The schedule starts from the default's first learning rate and is sampled at the middle of
    each window; a value below the range is raised to its lower bound.

    Args:
        name: what it is called in tables and files.
    """

    name: str = "default_cosine"

    def suggester(self, brief: Brief) -> InOrder:
        return InOrder([brief.default | cosine_learning_rates(brief)], brief.horizon)


Baseline: TypeAlias = Default | DefaultCosine
"""What a search is compared with."""


def cosine_learning_rates(brief: Brief) -> Flat:
    """``learning_rate_0``, … of the half-cosine; SearcherError if the space has no schedule."""
    schedule = brief.space.domains.get("learning_rate")
    if not isinstance(schedule, Vector) or not isinstance(schedule.element, Float):
        raise SearcherError(
            "default_cosine needs a schedule to decay: a space with "
            '"learning_rate": Vector(n, Float(...)); leave default_cosine out for this task'
        )
    first, windows, element = brief.default["learning_rate_0"], schedule.length, schedule.element
    cosine = [
        float(first) * 0.5 * (1 + math.cos(math.pi * (i + 0.5) / windows)) for i in range(windows)
    ]
    return {
        f"learning_rate_{i}": min(max(value, element.low), element.high)
        for i, value in enumerate(cosine)
    }
