"""A level of a tower: an update rule, its settings, and the derivatives of its move.

A level moves a vector x by its gradient g: x ← x − move. The level above it needs to know how
that move depended on the level's own hyperparameters θ. With everything before the move held
fixed (so there is nothing to differentiate through),

    h = ∂loss(x after the move) / ∂θ = −⟨g one step later, ∂move/∂θ⟩.

So a level keeps the few vectors of which its ∂move/∂θ are combinations, and gives the
coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

from searchers.errors import SearcherError
from searchers.online.arithmetic import Arithmetic, Vector
from searchers.online.transforms import UNIT, Raw

Memory: TypeAlias = Mapping[str, Vector]
Values: TypeAlias = Mapping[str, float]
Combination: TypeAlias = Mapping[str, float]
"""Names of a level's vectors, with coefficients."""

UNBOUNDED = (-math.inf, math.inf)


@runtime_checkable
class Level(Protocol):
    """An update rule. ``at`` holds the value of each hyperparameter; the first step is step 1."""

    raws: ClassVar[Mapping[str, Raw]]
    """Its hyperparameters, and what the level above moves of each."""

    relative: ClassVar[bool]
    """Whether it is given a relative hypergradient (see `Multiplicative`)."""

    @property
    def plain(self) -> bool:
        """Whether its move is lr · g, so that it keeps g, as "direction", and learns lr at most."""

    @property
    def lr(self) -> float: ...

    @property
    def learned(self) -> tuple[str, ...]:
        """The hyperparameters that the level above moves."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Its learning rate stays between them."""

    def buffers(self) -> Mapping[str, float]:
        """The vectors it keeps, each as long as x, and the number each is filled with at first."""

    def advance(
        self, on: Arithmetic, memory: Memory, gradient: Vector, at: Values, step: int
    ) -> None:
        """Brings its vectors up to date with a gradient."""

    def direction(self, at: Values, step: int) -> tuple[str, float]:
        """One of its vectors and a factor: the move is lr · factor · vector."""

    def sensitivity(self, name: str, at: Values, step: int) -> Combination:
        """∂move/∂(hyperparameter) at fixed x and memory; of any learned hyperparameter but lr."""


def check(level: Level) -> None:
    """A level's settings.

    Raises:
        SearcherError: one is out of its range.
    """
    name, (low, high) = type(level).__name__, level.bounds
    if not 0 <= level.lr < math.inf:
        raise SearcherError(f"{name}: lr must be finite and not negative, got {level.lr}")
    if not low <= level.lr <= high:
        raise SearcherError(f"{name}: lr {level.lr} lies outside its bounds {level.bounds}")
    for unknown in set(level.learned) - set(level.raws):
        raise SearcherError(f"{name}: cannot learn {unknown!r}, only some of {list(level.raws)}")
    for decay in set(level.raws) - {"lr"}:
        value = getattr(level, decay)
        if not 0 <= value < 1:
            raise SearcherError(f"{name}: {decay} must lie in [0, 1), got {value}")
        if value == 0 and decay in level.learned and level.raws[decay] is UNIT:
            raise SearcherError(f"{name}: a learned {decay} must lie in (0, 1), got 0")
    for setting, value in vars(level).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise SearcherError(f"{name}: {setting} must be finite, got {value}")
    if len(set(level.learned)) < len(level.learned):
        raise SearcherError(f"{name}: learns each hyperparameter once, not {list(level.learned)}")
    if getattr(level, "initial_square", 0.0) < 0:
        raise SearcherError(f"{name}: initial_square must not be negative")
    eps = getattr(level, "eps", 1.0)
    if not eps > 0:
        raise SearcherError(f"{name}: eps must be positive, got {eps}")
