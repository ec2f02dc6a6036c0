"""Hyperband: many configurations at small budgets, the best of them at larger ones.

Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, JMLR 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from searchers.black_box.brackets import Brackets, RungJob
from searchers.protocols import Brief, Job
from searchers.rng import stream
from searchers.settings import make_plain, whole
from searchers.space import Flat, Space


@dataclass(frozen=True)
class Hyperband:
    """Brackets of draws from the prior; all initial configurations go first.

    Args:
        eta: one in ``eta`` configurations is promoted.
        name: what it is called in tables and files.
    """

    eta: int = 3
    name: str = "hyperband"

    def __post_init__(self) -> None:
        make_plain(self)
        whole(f"{self.name}: eta", self.eta, 2)

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
    """Hyperband's brackets, filled with the initial configurations and then by a proposer.

    Args:
        brief: the cell's.
        eta: one in ``eta`` configurations is promoted.
        proposer: where the other configurations come from.
    """

    def __init__(self, brief: Brief, eta: int, proposer: Proposer) -> None:
        self.brackets = Brackets(brief.budgets, eta)
        self.proposer = proposer
        self._initial = brief.initial
        self._configurations: list[Flat] = []  # by number of training

    def ask(self) -> Job:
        job = self.brackets.next()
        if job.training == len(self._configurations):
            self._configurations.append(self._configuration(job))
        return Job(job.training, dict(self._configurations[job.training]), job.epochs)

    def tell(self, job: Job, loss: float) -> None:
        self.brackets.record(RungJob(job.training, job.epochs), loss)
        self.proposer.learn(self._configurations[job.training], job.epochs, loss)

    def _configuration(self, job: RungJob) -> Flat:
        if job.training < len(self._initial):
            return self._initial[job.training]
        return self.proposer.propose(job.epochs)
