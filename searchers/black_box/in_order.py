"""Full trainings of configurations that are known beforehand: what needs no results."""

from __future__ import annotations

from collections.abc import Iterable

from searchers.protocols import Job
from searchers.space import Flat


class InOrder:
    """A suggester that trains each configuration, one after the other.

    Args:
        configurations: in order; they may be endless.
        epochs: the budget of each.
    """

    def __init__(self, configurations: Iterable[Flat], epochs: int) -> None:
        self._numbered = enumerate(configurations)
        self._epochs = epochs

    def ask(self) -> Job | None:
        for training, configuration in self._numbered:
            return Job(training, dict(configuration), self._epochs)
        return None

    def tell(self, job: Job, loss: float) -> None:
        """Nothing to learn: the order is fixed."""
