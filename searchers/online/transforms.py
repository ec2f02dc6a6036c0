"""What the level above moves of a hyperparameter: the value itself, its root, or its artanh."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

NEAREST = 2.0**-53
"""How near a decay rate may come to 0 and to 1, where Adam's bias correction breaks down."""


@dataclass(frozen=True)
class Transform:
    """How a hyperparameter follows from the raw number that is moved in its place.

    Args:
        value: raw number → hyperparameter.
        raw: hyperparameter → raw number, the inverse.
        slope: raw number → d value / d raw.
    """

    value: Callable[[float], float]
    raw: Callable[[float], float]
    slope: Callable[[float], float]


def _same(number: float) -> float:
    return number


def _one(raw: float) -> float:
    return 1.0


def _square(raw: float) -> float:
    return raw * raw


def _twice(raw: float) -> float:
    return 2.0 * raw


def _sigmoid(raw: float) -> float:
    return min(max((math.tanh(raw) + 1.0) / 2.0, NEAREST), 1.0 - NEAREST)


def _artanh(value: float) -> float:
    return math.atanh(2.0 * value - 1.0)


def _sigmoid_slope(raw: float) -> float:
    value = _sigmoid(raw)
    return 2.0 * value * (1.0 - value)


IDENTITY = Transform(_same, _same, _one)
SQUARE = Transform(_square, math.sqrt, _twice)
SIGMOID = Transform(_sigmoid, _artanh, _sigmoid_slope)
"""(tanh(raw) + 1) / 2: it keeps a decay rate in (0, 1)."""
