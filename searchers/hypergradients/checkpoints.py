"""Which states of a training to keep, and in which order to go back through it.

A plan is a sequence of `Advance` and `Back`. Every step is advanced over plainly, or run with its
graph kept and then gone back through; what is not kept is run again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias


class Advance(NamedTuple):
    """Train on from a kept state.

    Args:
        begin: the step that the kept state is before.
        end: up to this step.
        keep: the steps before which the state is kept.
    """

    begin: int
    end: int
    keep: tuple[int, ...]


class Back(NamedTuple):
    """Run steps with their graphs, and go back through them.

    Args:
        begin: the first step, before which the state was kept.
        end: up to this step.
    """

    begin: int
    end: int


Plan: TypeAlias = Iterator[Advance | Back]


def segments(steps: int, length: int) -> Plan:
    """A checkpoint at each ``length`` steps: 1 keeps every state, ``steps`` every graph."""
    begins = range(0, steps, length)
    if len(begins) > 1:
        yield Advance(0, begins[-1], tuple(begins))
    for begin in reversed(begins):
        yield Back(begin, min(begin + length, steps))


def lightest_segment(steps: int, state_bytes: int, graph_bytes: int) -> int:
    """The length of segments that needs the least memory, which then grows as √steps.

    Args:
        steps: of the training.
        state_bytes: what a kept state takes.
        graph_bytes: what a step's graph takes.
    """
    ideal = math.sqrt(steps * state_bytes / max(graph_bytes, 1))
    return min(max(round(ideal), 1), steps)


def binomial(begin: int, end: int, slots: int, length: int = 1) -> Plan:
    """The fewest repeated steps with a number of checkpoints (Griewank 1992).

    Args:
        begin: the first step.
        end: up to this step.
        slots: the checkpoints beside the first.
        length: how many steps keep their graphs at once.
    """
    units = -(-(end - begin) // length)
    if units <= 1:
        yield Back(begin, end)
        return
    middle = begin + length * _split(units, slots)
    yield Advance(begin, middle, (middle,))
    yield from binomial(middle, end, max(slots - 1, 1), length)
    yield from binomial(begin, middle, slots, length)


def _split(units: int, slots: int) -> int:
    """How many of the units come before the checkpoint."""
    if slots <= 1:
        return units - 1
    repeats = 1
    while math.comb(slots + repeats, slots) < units:
        repeats += 1
    return min(math.comb(slots + repeats - 1, slots), units - 1)
