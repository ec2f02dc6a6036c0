"""The update rules that a tower can be built of, at its base and above.

Their conventions are those of "Gradient Descent: The Ultimate Optimizer" (Chandra et al. 2022), as
in the authors' package:

- the level above moves a *raw* number: artanh(2β − 1) for a decay rate β or γ, which so stays in
  (0, 1); the square root of RMSProp's learning rate; any other hyperparameter itself;
- Adam's running mean of squares starts at eps (``initial_square``), not at 0, and eps is added
  outside the root; RMSProp's starts at 0 and AdaGrad's sum at 0.1, with eps inside the root.

Derivatives are 0, never NaN, where a gradient and its second moment are zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from searchers.errors import SearcherError
from searchers.online.arithmetic import Arithmetic, Vector
from searchers.online.level import UNBOUNDED, Combination, Memory, Values, check
from searchers.online.transforms import PLAIN, SQUARE, UNIT, Raw

TINY = 1e-30
"""Added to the root of a square that can be zero; less than any such root in float32."""


@dataclass(frozen=True)
class SGD:
    """x ← x − lr · v, with v ← momentum · v + (1 − dampening) · g, and v = g at the first step.

    With Nesterov's momentum, x ← x − lr · (g + momentum · v). Can learn ``lr`` and ``momentum``.
    """

    lr: float
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    learned: tuple[str, ...] = ("lr",)
    bounds: tuple[float, float] = UNBOUNDED
    relative: ClassVar[bool] = False
    raws: ClassVar[Mapping[str, Raw]] = {"lr": PLAIN, "momentum": PLAIN}

    def __post_init__(self) -> None:
        check(self)
        if self.nesterov and (self.dampening or not self._heavy):
            raise SearcherError("SGD: nesterov=True needs a momentum, and no dampening")

    @property
    def plain(self) -> bool:
        return not self._heavy and not self.nesterov

    @property
    def _heavy(self) -> bool:
        return self.momentum != 0 or "momentum" in self.learned

    def buffers(self) -> Mapping[str, float]:
        names = {
            "velocity": self._heavy,
            "previous": "momentum" in self.learned,
            "direction": self.nesterov or not self._heavy,
        }
        return {name: 0.0 for name, kept in names.items() if kept}

    def advance(
        self, on: Arithmetic, memory: Memory, gradient: Vector, at: Values, step: int
    ) -> None:
        if "velocity" in memory:
            velocity = memory["velocity"]
            if "previous" in memory:
                on.copy_(memory["previous"], velocity)
            on.scale_(velocity, at["momentum"])
            on.add_(velocity, gradient, 1.0 if step == 1 else 1.0 - self.dampening)
        if self.nesterov:
            on.copy_(memory["direction"], gradient)
            on.add_(memory["direction"], velocity, at["momentum"])
        elif "direction" in memory:
            on.keep_(memory["direction"], gradient)

    def direction(self, at: Values, step: int) -> tuple[str, float]:
        return "velocity" if self._heavy and not self.nesterov else "direction", 1.0

    def sensitivity(self, name: str, at: Values, step: int) -> Combination:
        if self.nesterov:
            return {"velocity": at["lr"], "previous": at["lr"] * at["momentum"]}
        return {"previous": at["lr"]}


@dataclass(frozen=True)
class Multiplicative:
    """x ← x · (1 − lr · h / (‖g‖ · ‖∂move/∂x‖)): a step in proportion, whatever the loss's scale.

    The multiplicative rule of Baydin et al. (2018): x is the learning rate of the level below,
    h = −⟨g, ∂move/∂x⟩ its hypergradient, and the quotient minus a cosine; x keeps its sign while
    lr < 1. Only above a level that learns its learning rate alone.
    """

    lr: float
    learned: tuple[str, ...] = ("lr",)
    bounds: tuple[float, float] = UNBOUNDED
    relative: ClassVar[bool] = True
    plain: ClassVar[bool] = False
    raws: ClassVar[Mapping[str, Raw]] = {"lr": PLAIN}

    def __post_init__(self) -> None:
        check(self)

    def buffers(self) -> Mapping[str, float]:
        return {"direction": 0.0}

    def advance(
        self, on: Arithmetic, memory: Memory, gradient: Vector, at: Values, step: int
    ) -> None:
        on.copy_(memory["direction"], gradient)

    def direction(self, at: Values, step: int) -> tuple[str, float]:
        return "direction", 1.0

    def sensitivity(self, name: str, at: Values, step: int) -> Combination:
        return {}


@dataclass(frozen=True)
class AdaGrad:
    """s ← s + g², x ← x − lr · g / √(s + eps). Can learn ``lr``."""

    lr: float = 0.01
    eps: float = 1e-10
    initial_square: float = 0.1
    learned: tuple[str, ...] = ("lr",)
    bounds: tuple[float, float] = UNBOUNDED
    relative: ClassVar[bool] = False
    plain: ClassVar[bool] = False
    raws: ClassVar[Mapping[str, Raw]] = {"lr": PLAIN}

    def __post_init__(self) -> None:
        check(self)

    def buffers(self) -> Mapping[str, float]:
        return {"square": self.initial_square, "direction": 0.0}

    def advance(
        self, on: Arithmetic, memory: Memory, gradient: Vector, at: Values, step: int
    ) -> None:
        square, direction = memory["square"], memory["direction"]
        on.addcmul_(square, gradient, gradient, 1.0)
        on.copy_(direction, square)
        on.shift_(direction, self.eps)
        _quotient(on, direction, gradient)

    def direction(self, at: Values, step: int) -> tuple[str, float]:
        return "direction", 1.0

    def sensitivity(self, name: str, at: Values, step: int) -> Combination:
        return {}


@dataclass(frozen=True)
class RMSProp:
    """s ← γ · s + (1 − γ) · g², x ← x − lr · g / √(s + eps). Can learn ``lr`` and ``gamma``.

    The level above moves √lr.
    """

    lr: float = 0.01
    gamma: float = 0.99
    eps: float = 1e-8
    learned: tuple[str, ...] = ("lr",)
    bounds: tuple[float, float] = UNBOUNDED
    relative: ClassVar[bool] = False
    plain: ClassVar[bool] = False
    raws: ClassVar[Mapping[str, Raw]] = {"lr": SQUARE, "gamma": UNIT}

    def __post_init__(self) -> None:
        check(self)

    def buffers(self) -> Mapping[str, float]:
        names = ("square", "direction", "by_gamma")
        return dict.fromkeys(names if "gamma" in self.learned else names[:2], 0.0)

    def advance(
        self, on: Arithmetic, memory: Memory, gradient: Vector, at: Values, step: int
    ) -> None:
        square, direction = memory["square"], memory["direction"]
        on.scale_(square, at["gamma"])
        on.addcmul_(square, gradient, gradient, 1.0 - at["gamma"])
        on.copy_(direction, square)
        on.shift_(direction, self.eps)
        if "by_gamma" not in memory:
            _quotient(on, direction, gradient)
            return
        by_gamma = memory["by_gamma"]  # direction · (s − g²) / (s + eps)
        on.addcmul(by_gamma, square, gradient, gradient, -1.0)
        on.div_(by_gamma, direction)
        _quotient(on, direction, gradient)
        on.mul_(by_gamma, direction)

    def direction(self, at: Values, step: int) -> tuple[str, float]:
        return "direction", 1.0

    def sensitivity(self, name: str, at: Values, step: int) -> Combination:
        return {"by_gamma": -0.5 * at["lr"] / at["gamma"]}


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015). Can learn ``lr``, ``beta1`` and ``beta2``.

    m ← β₁ m + (1 − β₁) g, s ← β₂ s + (1 − β₂) g², x ← x − lr · m̂ / (√ŝ + eps), where m̂ and ŝ are
    m and s divided by their c = 1 − βᵗ.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    initial_square: float = 1e-8
    learned: tuple[str, ...] = ("lr",)
    bounds: tuple[float, float] = UNBOUNDED
    relative: ClassVar[bool] = False
    plain: ClassVar[bool] = False
    raws: ClassVar[Mapping[str, Raw]] = {"lr": PLAIN, "beta1": UNIT, "beta2": UNIT}

    def __post_init__(self) -> None:
        check(self)

    def buffers(self) -> Mapping[str, float]:
        kept = {"mean": 0.0, "square": self.initial_square, "direction": 0.0}
        if {"beta1", "beta2"} & set(self.learned):
            kept["by_beta1"] = 0.0
        if "beta2" in self.learned:
            kept["by_beta2"] = 0.0
        return kept

    def advance(
        self, on: Arithmetic, memory: Memory, gradient: Vector, at: Values, step: int
    ) -> None:
        mean, square, direction = memory["mean"], memory["square"], memory["direction"]
        beta1, beta2 = at["beta1"], at["beta2"]
        on.adam_(direction, mean, square, gradient, beta1, beta2, self.eps, step)
        if "by_beta1" not in memory:
            return
        root = memory["by_beta1"]
        on.sqrt(root, square)
        if "by_beta2" in memory:  # direction · (s − g² / whole) / √s / (√s + eps √c₂)
            by_beta2 = memory["by_beta2"]
            whole = _drift(beta2, step)[1]
            on.addcmul(by_beta2, square, gradient, gradient, -1.0 / whole)
            on.shift_(root, TINY)
            on.div_(by_beta2, root)
            on.mul_(by_beta2, direction)
        on.shift_(root, self.eps * math.sqrt(1.0 - beta2**step))
        if "by_beta2" in memory:
            on.div_(by_beta2, root)
        on.rdiv_(root, gradient)  # by_beta1 = g / (√s + eps √c₂)

    def direction(self, at: Values, step: int) -> tuple[str, float]:
        return "direction", 1.0

    def sensitivity(self, name: str, at: Values, step: int) -> Combination:
        lr = at["lr"]
        inverse, whole = _drift(at[name], step)
        if name == "beta1":
            per_root = math.sqrt(1.0 - at["beta2"] ** step) / (1.0 - at["beta1"] ** step)
            return {"direction": lr * inverse * whole, "by_beta1": -lr * inverse * per_root}
        return {"by_beta2": -0.5 * lr * inverse * whole}


def _quotient(on: Arithmetic, square: Vector, gradient: Vector) -> None:
    """square ← gradient / √square."""
    on.sqrt_(square)
    on.rdiv_(square, gradient)


def _drift(beta: float, step: int) -> tuple[float, float]:
    """How a running mean m of g, divided by its c = 1 − βᵗ, depends on β, as (inverse, whole).

    ∂(m/c)/∂β = inverse · (whole · m − g) / c, if m's past is held fixed.
    """
    return 1.0 / beta, 1.0 + step * beta**step / (1.0 - beta**step)
