"""Hyperband: many configurations at small budgets, the best of them at larger ones.

Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, JMLR 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from searchers.black_box.brackets import Brackets, RungJob
from searchers.errors import SearcherError
from searchers.protocols import Brief, Job
from searchers.rng import stream
from searchers.space import Flat, Space


@dataclass(frozen=True)
class Hyperband:
    """Brackets of draws from the prior; all initial configurations go first.

    ``eta``: one in ``eta`` configurations is promoted.
    """

    eta: int = 3
    name: str = "hyperband"

    def __post_init__(self) -> None:
        check_eta(self.name, self.eta)

    def suggester(self, brief: Brief) -> BracketSuggester:
        prior = Prior(brief.space, stream(brief.seed, "hyperband"))
        return BracketSuggester(brief, self.eta, prior)


class Proposer(Protocol):
    """Where the brackets' configurations come from."""

    def propose(self, epochs: int) -> Flat:
        """A configuration to be started at a budget."""

    def learn(self, configuration: Flat, epochs: int, loss: float) -> None:
        """What a configuration came to at a budget."""


class Prior:
    """Draws from the prior, whatever the results."""

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self._space = space
        self._rng = rng

    def propose(self, epochs: int) -> Flat:
        return self._space.sample(self._rng)

    def learn(self, configuration: Flat, epochs: int, loss: float) -> None:
        """The prior stays what it is."""


class BracketSuggester:
    """Hyperband's brackets, filled with the initial configurations and then by a proposer."""

    def __init__(self, brief: Brief, eta: int, proposer: Proposer) -> None:
        self.brackets = Brackets(brief.budgets, eta)
        self.proposer = proposer
        self._initial = brief.initial
        self._configurations: list[Flat] = []  # by number of training

    def ask(self) -> Job:
        slot = self.brackets.next()
        if slot.training == len(self._configurations):
            self._configurations.append(self._configuration(slot))
        return Job(slot.training, dict(self._configurations[slot.training]), slot.epochs)

    def tell(self, job: Job, loss: float) -> None:
        self.brackets.record(RungJob(job.training, job.epochs), loss)
        self.proposer.learn(self._configurations[job.training], job.epochs, loss)

    def _configuration(self, slot: RungJob) -> Flat:
        if slot.training < len(self._initial):
            return self._initial[slot.training]
        return self.proposer.propose(slot.epochs)


def check_eta(name: str, eta: int) -> None:
    """SearcherError unless eta is a whole number that halves."""
    if isinstance(eta, bool) or not isinstance(eta, int) or eta < 2:
        raise SearcherError(f"{name}: eta is a whole number of at least 2, not {eta!r}")
