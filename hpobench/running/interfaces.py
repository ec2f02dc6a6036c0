"""What a study runs on, as the runner sees it: slices, and attempts at cells on them.

`hpobench.running.ray_backend` has the real ones. Whatever keeps these promises can take their
place: a simulated cluster does, to measure how the runner's own cost grows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from hpobench.budget import Budget
from hpobench.running.faults import Fault
from hpobench.study import Cell

T = TypeVar("T")
Doing = Literal["thinking", "training", "nothing"]


@dataclass(frozen=True)
class AttemptSpec:
    """All that an attempt at a cell needs to know.

    Args:
        cell: Which.
        attempt: Its number, from 1.
        budget, width, cpus, gpus: As the study has them.
    """

    cell: Cell
    attempt: int
    budget: Budget
    width: int
    cpus: int
    gpus: float


@dataclass(frozen=True)
class Outcome:
    """What an attempt came to, once its clock has stopped.

    Args:
        ended: Why it was over: "budget" or "nothing left to try"; None if a fault ended it.
        fault: Which.
        started: When its clock started, in ISO format; None if it never did.
        slice: Where it ran, as in ``cell.json``.
        ledger: Where its slot-seconds went, as in ``cell.json``.
        memory: Peak of a slot in bytes, by "host" and "device".
        log: Tracebacks of what raised.
    """

    ended: str | None
    fault: Fault | None
    started: str | None
    slice: dict[str, Any]
    ledger: dict[str, Any]
    memory: dict[str, int | None]
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class AttemptUpdate:
    """What happened in an attempt since it was last asked.

    Args:
        lines: New evaluations, as in ``evaluations.jsonl``.
        clock: Seconds on the cell's clock, 0 before it starts.
        quiet: Seconds since something last happened.
        doing: Whose turn it is.
        outcome: What it came to, once it has ended.
    """

    lines: list[dict[str, Any]] = field(default_factory=list)
    clock: float = 0.0
    quiet: float = 0.0
    doing: Doing = "nothing"
    outcome: Outcome | None = None


class Attempt(Protocol):
    """A cell's controller at work, in a process of its own."""

    def update(self, seen: int) -> AttemptUpdate | None:
        """What happened after the first ``seen`` evaluations; returns within about two seconds.

        None if the controller does not answer in that time. Raises Fault if it is gone.
        """

    def weights(self, training: int, epochs: int) -> bytes:
        """The weights kept of an evaluation, as the content of a file. Raises Fault if gone."""

    def end(self) -> None:
        """End its processes, and leave nothing of theirs behind."""


class Slice(Protocol):
    """The slots of one cell, which no other cell shares."""

    @property
    def name(self) -> str:
        """What it is called in ``cell.json``."""

    def start(self, spec: AttemptSpec) -> Attempt:
        """Begin an attempt at a cell."""

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function on the whole slice and wait for its value.

        An exception of the function's is raised as it is; Fault if the machines are behind it.
        """

    def alive(self) -> bool:
        """Whether its node is still there."""

    def give_back(self) -> None:
        """Free what the slice holds."""


class Cluster(Protocol):
    """Where slices come from."""

    def take(self) -> Slice | None:
        """The next slice, if there is room for one now; asks for it if that was not done yet."""

    def wanting(self) -> str | None:
        """Why no slice can come of what is there now, in words; None if one can."""

    def stop_asking(self) -> None:
        """There is no more work to take slices for."""

    def check(self, within: float = 0.0) -> None:
        """Raises LostRayError if it is gone for good, or is so within some seconds."""
