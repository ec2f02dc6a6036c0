"""Which training runs next, and to which budget: the brackets of Hyperband.

Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, JMLR 2018.
With budgets b_0 < … < b_S, bracket s (from S down to 0, then round again) starts
⌈(S+1)/(s+1) · η^s⌉ configurations at b_{S−s} and keeps the best ⌊n/η⌋ (so at least one) at each
following budget. The counts follow η, the epochs follow the budgets.

Promotion is synchronous, but no slot idles: while a rung waits for results that are still out,
the next bracket begins (as in HpBandSter). Nothing here knows what a configuration is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import NamedTuple


class RungJob(NamedTuple):
    """A training to run to a budget in epochs; a number not seen before is a new one."""

    training: int
    epochs: int


@dataclass
class Rung:
    """Trainings at one budget.

    Args:
        size: how many it takes.
        epochs: their budget.
        members: those that are in it.
        waiting: those of them that have not started.
        losses: training → what came out.
    """

    size: int
    epochs: int
    members: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    losses: dict[int, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all its results are there."""
        return len(self.losses) == self.size

    def best(self, count: int) -> list[int]:
        """The trainings with the lowest losses, best first; a tie goes to the earlier one."""
        return sorted(self.losses, key=lambda training: (self.losses[training], training))[:count]


class Bracket:
    """One run of successive halving, of a shape that is fixed from the start.

    Args:
        shape: the (size, epochs) of each rung, the smallest budget first.
    """

    def __init__(self, shape: Sequence[tuple[int, int]]) -> None:
        self.rungs = [Rung(size, epochs) for size, epochs in shape]

    @property
    def complete(self) -> bool:
        """Whether its last rung is."""
        return self.rungs[-1].complete

    def next(self, fresh: int) -> RungJob | None:
        """What can run now, a new training under the number ``fresh``; None while it waits."""
        first = self.rungs[0]
        if len(first.members) < first.size:
            first.members.append(fresh)
            return RungJob(fresh, first.epochs)
        for rung in self.rungs:
            if rung.waiting:
                return RungJob(rung.waiting.pop(0), rung.epochs)
        return None

    def record(self, job: RungJob, loss: float) -> None:
        """A result; the last one of a rung promotes its best to the next."""
        index = next(i for i, rung in enumerate(self.rungs) if rung.epochs == job.epochs)
        rung = self.rungs[index]
        rung.losses[job.training] = loss
        if rung.complete and rung is not self.rungs[-1]:
            following = self.rungs[index + 1]
            following.members = rung.best(following.size)
            following.waiting = list(following.members)


class Brackets:
    """Bracket after bracket without end; ``complete`` ones are kept to be looked at.

    Args:
        budgets: epochs, ascending.
        eta: one in ``eta`` trainings is promoted.
    """

    def __init__(self, budgets: Sequence[int], eta: int) -> None:
        self._shapes = cycle(shapes(budgets, eta))
        self._open: list[Bracket] = []
        self._home: dict[int, Bracket] = {}
        self.complete: list[Bracket] = []

    def next(self) -> RungJob:
        """The next training: of the earliest bracket that has one, else of a new bracket."""
        fresh = len(self._home)
        for bracket in self._open:
            job = bracket.next(fresh)
            if job:
                break
        else:
            bracket = Bracket(next(self._shapes))
            self._open.append(bracket)
            job = bracket.next(fresh)
            assert job is not None  # a new bracket always has a first training
        self._home[job.training] = bracket
        return job

    def record(self, job: RungJob, loss: float) -> None:
        """The (finite) loss of a training that `next` gave."""
        bracket = self._home[job.training]
        bracket.record(job, loss)
        if bracket.complete:
            self._open.remove(bracket)
            self.complete.append(bracket)


def shapes(budgets: Sequence[int], eta: int) -> list[list[tuple[int, int]]]:
    """The (size, epochs) of every rung of every bracket in one round.

    >>> shapes((1, 3, 9), eta=3)
    [[(9, 1), (3, 3), (1, 9)], [(5, 3), (1, 9)], [(3, 9)]]
    """
    s_max = len(budgets) - 1
    return [_shape(s, budgets, eta) for s in range(s_max, -1, -1)]


def _shape(s: int, budgets: Sequence[int], eta: int) -> list[tuple[int, int]]:
    size = -(-len(budgets) * eta**s // (s + 1))  # a ceiling, exact in whole numbers
    rungs = []
    for epochs in budgets[len(budgets) - 1 - s :]:
        rungs.append((size, epochs))
        size //= eta  # never below 1: it starts from eta**s or more
    return rungs
