"""What an audit finds, one row for each number.

Derivatives are compared relative to max(1, |value|).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from searchers.errors import SearcherError

EXACT, DIFFERENCES, ROUNDED = 1e-12, 1e-7, 1e-10
"""Limits: between exact engines; to finite differences; for a trajectory in fixed-point numbers."""


class Trouble(NamedTuple):
    """Why there is no number: in one line, and whether the engine says itself that it cannot."""

    note: str = ""
    refused: bool = False


def trouble(error: Exception) -> Trouble:
    if isinstance(error, SearcherError):
        return Trouble(str(error), refused=True)
    return Trouble(f"{type(error).__name__}: {error}".splitlines()[0])


@dataclass(frozen=True)
class Agreement:
    """How far an engine's derivatives by one hyperparameter are from another's.

    ``quantity``: a hyperparameter, or the trained weights. ``against``: the stored reverse engine,
    finite differences, or plain training. ``difference``: the largest over the hyperparameter's
    coefficients, NaN where there is none; ``size``: their largest magnitude, as expected. ``note``
    and ``refused``: see `Trouble`.
    """

    engine: str
    rule: str
    net: str
    quantity: str
    against: str
    difference: float
    limit: float
    size: float
    note: str = ""
    refused: bool = False

    @property
    def passed(self) -> bool:
        return self.refused or self.difference <= self.limit

    @property
    def words(self) -> str:
        """What failed, in one line."""
        where = f"{self.engine}, rule {self.rule}, {self.net} net"
        if self.note:
            return f"{where}: {self.note}"
        return (
            f"{where}, {self.quantity} against {self.against}: "
            f"{self.difference:.1e} apart, limit {self.limit:g}"
        )


@dataclass(frozen=True)
class Spread:
    """The hypergradient by one coefficient, by the fraction of its range, over draws.

    A draw is one training's initial weights and batch order. ``deviation``: standard deviation
    over draws; ``signs``: the share of draws with the commoner sign; ``nonfinite``: draws whose
    derivative is inf or NaN, which the others leave out. ``bias``: the mean difference from the
    exact engine on the same draws, ± ``bias_error`` (standard error); ``flips``: the share of draws
    on which the sign is another than the exact engine's.
    """

    engine: str
    task: str
    epochs: int
    coefficient: str
    draws: int
    mean: float
    deviation: float
    signs: float
    signal_to_noise: float
    nonfinite: int
    bias: float
    bias_error: float
    flips: float
    note: str = ""
    refused: bool = False

    @property
    def words(self) -> str:
        return f"{self.engine} on {self.task}: {self.note}"


@dataclass(frozen=True)
class Cost:
    """What an engine costs for ``horizon`` steps and ``windows`` hyperparameters.

    ``steps``: time in steps of plain training, for each step: the median of ``pairs`` ratios
    measured in turn, the smallest and the largest (CPU time; on a GPU, wall-clock).
    ``mebibytes``: how much the peak of memory grew, NaN where it could not be measured;
    ``memory``: of what.
    """

    engine: str
    horizon: int
    windows: int
    steps: float
    lowest: float
    highest: float
    pairs: int
    mebibytes: float
    memory: str
    note: str = ""
    refused: bool = False

    @property
    def words(self) -> str:
        return f"{self.engine}, measuring its cost: {self.note}"
