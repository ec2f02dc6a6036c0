"""What an audit finds, one row for each number.

Derivatives are compared relative to max(1, |value|).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hpobench.text import plural
from searchers.errors import SearcherError

EXACT, DIFFERENCES, ROUNDED = 1e-12, 1e-7, 1e-10
GROSS = 0.1
"""In a task's own precision, trainings themselves part: more than this is no rounding."""
"""Limits: between exact engines; to finite differences; for a trajectory in fixed-point numbers."""


class Trouble(NamedTuple):
    """Why there is no number: in one line, and whether the engine says itself that it cannot."""

    note: str = ""
    refused: bool = False


def trouble(error: BaseException) -> Trouble:
    if isinstance(error, SearcherError):
        return Trouble(str(error), refused=True)
    return Trouble(f"{type(error).__name__}: {error}".splitlines()[0])


@dataclass(frozen=True)
class Agreement:
    """How far an engine's derivatives by one hyperparameter are from another's.

    ``quantity``: a hyperparameter, or the trained weights. ``against``: the stored reverse engine,
    finite differences, or plain training. ``difference``: the largest over the hyperparameter's
    coefficients, NaN where there is none; ``size``: their largest magnitude, as expected. ``note``
    and ``refused``: see `Trouble`. ``taken``: the engine that one which chooses took, else "".
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
    taken: str = ""

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

    A draw is one training's initial weights and batch order. ``draws``: how many the engine had
    time for, ``nonfinite`` of them with a derivative that is inf or NaN. ``shared``: over how many
    the rest is, the same for all engines: those on which each has a finite derivative (one that
    never has is left out). ``deviation``: standard deviation; ``signs``: the share of draws with
    the commoner sign. ``bias``: the mean difference from the exact engine, ± ``bias_error``
    (standard error); ``flips``: the share of draws on which the sign is another than the exact
    engine's; ``difference``: the root mean square of the differences over that of the derivative.
    ``exact``: whether it should be none. ``taken``: as in `Agreement`.
    """

    engine: str
    task: str
    epochs: int
    coefficient: str
    draws: int
    nonfinite: int
    shared: int
    mean: float
    deviation: float
    signs: float
    signal_to_noise: float
    bias: float
    bias_error: float
    flips: float
    difference: float = 0.0
    exact: bool = True
    note: str = ""
    refused: bool = False
    taken: str = ""

    @property
    def words(self) -> str:
        return f"{self.engine} on {self.task}: {self.note}"


@dataclass(frozen=True)
class Cost:
    """What an engine costs for ``horizon`` steps and ``windows`` hyperparameters.

    ``steps``: time in steps of plain training, for each step: the median of ``pairs`` ratios
    measured in turn, the smallest and the largest (CPU time; on a GPU, wall-clock).
    ``mebibytes``: how much the peak of memory grew, NaN where it could not be measured;
    ``memory``: of what. ``taken``: as in `Agreement`.
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
    taken: str = ""

    @property
    def words(self) -> str:
        return f"{self.engine}, measuring its cost: {self.note}"


def taken_by(engine: str, words: str) -> str:
    """The engine that ``words``, a Hypergradient's own, name; "" if it is ``engine`` itself."""
    head = words.replace(":", ",").partition(",")[0]
    return "" if head.startswith(engine) else head


def named(engine: str, rows: Iterable[Agreement | Spread | Cost]) -> str:
    """An engine's label, with the engines that it took if it is one that chooses: auto (graphs)."""
    taken = [row.taken for row in rows if row.engine == engine and row.taken]
    return f"{engine} ({', '.join(dict.fromkeys(taken))})" if taken else engine


def over_draws(rows: Sequence[Spread]) -> str:
    """Over how many draws statistics are, in words."""
    fewest, most = min(row.shared for row in rows), max(row.shared for row in rows)
    draws = plural(most, "draw") if fewest == most else f"{fewest} to {plural(most, 'draw')}"
    return f"over the {draws} that all engines share" if own_draws(rows) else f"over {draws}"


def own_draws(rows: Sequence[Spread]) -> dict[str, str]:
    """How many draws each engine had, in words; empty if all had those that they share."""
    if all(row.shared == row.draws for row in rows if row.draws):
        return {}
    words = {}
    for engine in dict.fromkeys(row.engine for row in rows if row.draws):
        own = [row for row in rows if row.engine == engine]
        lost = max(row.nonfinite for row in own)
        words[engine] = plural(own[0].draws, "draw") + (f", {lost} not finite" if lost else "")
    return words
