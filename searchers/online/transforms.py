"""What the level above moves of a hyperparameter: the value itself, its root, or its artanh."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

NEAREST = 2.0**-53
"""How near a decay rate may come to 0 and to 1, where Adam's bias correction breaks down."""


@dataclass(frozen=True)
class Raw:
    """A raw number, the value that stands for it, and d value / d raw as a function of raw."""

    value: Callable[[float], float]
    of: Callable[[float], float]
    slope: Callable[[float], float]


def _plain(raw: float) -> float:
    return raw


def _one(raw: float) -> float:
    return 1.0


def _square(raw: float) -> float:
    return raw * raw


def _twice(raw: float) -> float:
    return 2.0 * raw


def _unit(raw: float) -> float:
    return min(max((math.tanh(raw) + 1.0) / 2.0, NEAREST), 1.0 - NEAREST)


def _artanh(value: float) -> float:
    return math.atanh(2.0 * value - 1.0)


def _unit_slope(raw: float) -> float:
    value = _unit(raw)
    return 2.0 * value * (1.0 - value)


PLAIN = Raw(_plain, _plain, _one)
SQUARE = Raw(_square, math.sqrt, _twice)
UNIT = Raw(_unit, _artanh, _unit_slope)
