"""Why an attempt at a cell ended before its time, and what follows from that.

A fault of the machines voids the attempt, and the cell is run again, at most twice: nobody chose
it. A fault of the searcher, or of a configuration that it chose, counts against the searcher. An
interruption does neither: the cell is run when the study is resumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Cause: TypeAlias = Literal[
    "worker lost",
    "node lost",
    "pre-empted",
    "out of memory",
    "scheduler stall",
    "training stall",
    "damaged file",
    "searcher error",
    "diverged",
    "disk full",
    "user interrupt",
    "driver lost",
]

MACHINES: frozenset[Cause] = frozenset(
    {
        "worker lost",
        "node lost",
        "pre-empted",
        "out of memory",
        "scheduler stall",
        "training stall",
        "damaged file",
    }
)
"""Faults of the machines, as far as one can tell."""

RUNNER_GONE = "its runner was gone"
"""Why a cell was interrupted that nobody put down."""

DOUBTFUL: frozenset[Cause] = frozenset({"out of memory", "training stall"})
"""Of these, the third in a row is the configuration's fault: a process killed for want of memory,
or one that says nothing any more, may be its neighbours' doing once or twice."""

ATTEMPTS = 3
"""How often a cell is begun before the machines are given up on: once, and again at most twice."""


class Fault(Exception):
    """Why an attempt at a cell came to nothing.

    Args:
        why: In one line.
        cause: Whose doing it is, which decides what becomes of the cell.
    """

    def __init__(self, why: str, cause: Cause = "searcher error") -> None:
        super().__init__(why)
        self.cause: Cause = cause

    def __reduce__(self) -> tuple[type[Fault], tuple[str, Cause]]:
        return Fault, (self.why, self.cause)  # it travels between processes

    @property
    def why(self) -> str:
        """In one line."""
        return str(self)


@dataclass(frozen=True)
class Verdict:
    """What becomes of an attempt that a fault ended."""

    attempt: Literal["void", "failed"]
    cell: Literal["again", "failed", "interrupted"]


def judge(cause: Cause, earlier: list[Cause]) -> Verdict:
    """What follows from an attempt's fault.

    Args:
        cause: Of this attempt.
        earlier: Of the void attempts before it, the latest last.
    """
    if cause not in MACHINES:
        return Verdict("failed", "failed")
    if cause in DOUBTFUL and earlier[1 - ATTEMPTS :] == [cause] * (ATTEMPTS - 1):
        return Verdict("failed", "failed")
    if (len(earlier) + 1) % ATTEMPTS:
        return Verdict("void", "again")
    return Verdict("void", "interrupted")
