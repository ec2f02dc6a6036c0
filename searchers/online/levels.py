"""The levels that a tower can be built of, at its base and above.

A level is an update rule with its settings. It moves a vector x by its gradient g: x ← x − move.
The level above it needs to know how that move depended on the level's own hyperparameters θ. With
everything before the move held fixed (so there is nothing to differentiate through),

    h = ∂loss(x after the move) / ∂θ = −⟨g one step later, ∂move/∂θ⟩.

So a level keeps the few vectors of which its ∂move/∂θ are combinations, and gives the
coefficients.

`searchers.update_rules` has rules of the same names for differentiating through whole trainings.
They are no copies of these: they are pure, on one flat vector, so that autograd can follow them,
and start as `torch.optim` does. These move lists of tensors in place, at the speed of torch's own
optimizers, know their derivatives in closed form, and follow the conventions of "Gradient Descent:
The Ultimate Optimizer" (Chandra et al. 2022), as in the authors' package:

- the level above moves a *raw* number: artanh(2β − 1) for a decay rate β or γ, which so stays in
  (0, 1); the square root of RMSProp's learning rate; any other hyperparameter itself;
- Adam's running mean of squares starts at eps (``initial_square``), not at 0, and eps is added
  outside the root; RMSProp's starts at 0 and AdaGrad's sum at 0.1, with eps inside the root.

Derivatives are 0, never NaN, where a gradient and its second moment are zero.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from searchers.errors import SearcherError
from searchers.online.arithmetic import Arithmetic, Vector
from searchers.online.transforms import IDENTITY, SIGMOID, SQUARE, Transform
from searchers.settings import plain

Memory: TypeAlias = Mapping[str, Vector]
Values: TypeAlias = Mapping[str, float]
Combination: TypeAlias = Mapping[str, float]
"""Names of a level's vectors, with coefficients."""

UNBOUNDED = (-math.inf, math.inf)

TINY = 1e-30
"""Added to the root of a square that can be zero; less than any such root in float32."""


@runtime_checkable
class Level(Protocol):
    """An update rule of a tower, a frozen dataclass whose fields are its settings.

    In its methods ``values`` holds the value in use of each hyperparameter, ``memory`` its vectors
    by name, and ``step`` numbers its steps from 1.
    """

    transforms: ClassVar[Mapping[str, Transform]]
    """Its hyperparameters, and what the level above moves of each."""

    relative: ClassVar[bool]
    """Whether it is given a relative hypergradient (see `Multiplicative`)."""

    @property
    def plain(self) -> bool:
        """Whether its move is lr · g, so that it keeps g, as "direction", and learns lr at most."""

    @property
    def lr(self) -> float:
        """The learning rate that it starts from."""

    @property
    def learned(self) -> tuple[str, ...]:
        """The hyperparameters that the level above moves."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Its learning rate stays between them."""

    def initial_memory(self) -> Mapping[str, float]:
        """The vectors it keeps, each as long as x, and the number each is filled with at first."""

    def advance(
        self, ops: Arithmetic, memory: Memory, gradient: Vector, values: Values, step: int
    ) -> None:
        """Bring its vectors up to date with a gradient, in place.

        Args:
            ops: the operations on the kind of vector that is moved, tensors or numbers.
            memory: its vectors.
            gradient: the gradient of x, which stays as it is.
            values: name → value of each hyperparameter.
            step: the number of this step, from 1.
        """

    def direction(self, values: Values, step: int) -> tuple[str, float]:
        """The name of one of its vectors, and a factor: the move is lr · factor · vector."""

    def sensitivity(self, name: str, values: Values, step: int) -> Combination:
        """∂move/∂(hyperparameter) at fixed x and memory; of any learned hyperparameter but lr."""


@dataclass(frozen=True)
class SGD:
    """x ← x − lr · v, with v ← momentum · v + (1 − dampening) · g, and v = g at the first step.

    With Nesterov's momentum, x ← x − lr · (g + momentum · v).

    Args:
        lr: the learning rate to start from.
        momentum: the part of the last velocity that is kept.
        dampening: the part of a gradient that does not enter the velocity.
        nesterov: whether to look ahead.
        learned: what the level above moves: of ``lr`` and ``momentum``.
        bounds: between which lr is kept.
    """

    lr: float
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    learned: tuple[str, ...] = ("lr",)
    bounds: tuple[float, float] = UNBOUNDED
    relative: ClassVar[bool] = False
    transforms: ClassVar[Mapping[str, Transform]] = {"lr": IDENTITY, "momentum": IDENTITY}

    def __post_init__(self) -> None:
        _check(self)
        if self.nesterov and (self.dampening or not self._heavy):
            raise SearcherError("SGD: nesterov=True needs a momentum, and no dampening")

    @property
    def plain(self) -> bool:
        return not self._heavy and not self.nesterov

    @property
    def _heavy(self) -> bool:
        return self.momentum != 0 or "momentum" in self.learned

    def initial_memory(self) -> Mapping[str, float]:
        names = {
            "velocity": self._heavy,
            "previous": "momentum" in self.learned,
            "direction": self.nesterov or not self._heavy,
        }
        return {name: 0.0 for name, kept in names.items() if kept}

    def advance(
        self, ops: Arithmetic, memory: Memory, gradient: Vector, values: Values, step: int
    ) -> None:
        if "velocity" in memory:
            velocity = memory["velocity"]
            if "previous" in memory:
                ops.copy_(memory["previous"], velocity)
            ops.scale_(velocity, values["momentum"])
            ops.add_(velocity, gradient, 1.0 if step == 1 else 1.0 - self.dampening)
        if self.nesterov:
            ops.copy_(memory["direction"], gradient)
            ops.add_(memory["direction"], velocity, values["momentum"])
        elif "direction" in memory:
            ops.keep_(memory["direction"], gradient)

    def direction(self, values: Values, step: int) -> tuple[str, float]:
        return "velocity" if self._heavy and not self.nesterov else "direction", 1.0

    def sensitivity(self, name: str, values: Values, step: int) -> Combination:
        if self.nesterov:
            return {"velocity": values["lr"], "previous": values["lr"] * values["momentum"]}
        return {"previous": values["lr"]}


@dataclass(frozen=True)
class Multiplicative:
    """x ← x · (1 − lr · h / (‖g‖ · ‖∂move/∂x‖)): a step in proportion, whatever the loss's scale.

    The multiplicative rule of Baydin et al. (2018): x is the learning rate of the level below,
    h = −⟨g, ∂move/∂x⟩ its hypergradient, and the quotient minus a cosine; x keeps its sign while
    lr < 1. Only above a level that learns its learning rate alone.

    Args:
        lr: the largest change of x in one step, as a fraction of x.
        learned: what the level above moves: ``lr``, or nothing.
        bounds: between which lr is kept.
    """

    lr: float
    learned: tuple[str, ...] = ("lr",)
    bounds: tuple[float, float] = UNBOUNDED
    relative: ClassVar[bool] = True
    plain: ClassVar[bool] = False
    transforms: ClassVar[Mapping[str, Transform]] = {"lr": IDENTITY}

    def __post_init__(self) -> None:
        _check(self)

    def initial_memory(self) -> Mapping[str, float]:
        return {"direction": 0.0}

    def advance(
        self, ops: Arithmetic, memory: Memory, gradient: Vector, values: Values, step: int
    ) -> None:
        ops.copy_(memory["direction"], gradient)

    def direction(self, values: Values, step: int) -> tuple[str, float]:
        return "direction", 1.0

    def sensitivity(self, name: str, values: Values, step: int) -> Combination:
        return {}


@dataclass(frozen=True)
class AdaGrad:
    """s ← s + g², x ← x − lr · g / √(s + eps).

    Args:
        lr: the learning rate to start from.
        eps: added to s under the root.
        initial_square: s before the first step.
        learned: what the level above moves: ``lr``, or nothing.
        bounds: between which lr is kept.
    """

    lr: float = 0.01
    eps: float = 1e-10
    initial_square: float = 0.1
    learned: tuple[str, ...] = ("lr",)
    bounds: tuple[float, float] = UNBOUNDED
    relative: ClassVar[bool] = False
    plain: ClassVar[bool] = False
    transforms: ClassVar[Mapping[str, Transform]] = {"lr": IDENTITY}

    def __post_init__(self) -> None:
        _check(self)

    def initial_memory(self) -> Mapping[str, float]:
        return {"square": self.initial_square, "direction": 0.0}

    def advance(
        self, ops: Arithmetic, memory: Memory, gradient: Vector, values: Values, step: int
    ) -> None:
        square, direction = memory["square"], memory["direction"]
        ops.addcmul_(square, gradient, gradient, 1.0)
        ops.copy_(direction, square)
        ops.shift_(direction, self.eps)
        _quotient(ops, direction, gradient)

    def direction(self, values: Values, step: int) -> tuple[str, float]:
        return "direction", 1.0

    def sensitivity(self, name: str, values: Values, step: int) -> Combination:
        return {}


@dataclass(frozen=True)
class RMSProp:
    """s ← γ · s + (1 − γ) · g², x ← x − lr · g / √(s + eps).

    Args:
        lr: the learning rate to start from; the level above moves its root.
        gamma: the decay rate γ of the mean of squares.
        eps: added to s under the root.
        learned: what the level above moves: of ``lr`` and ``gamma``.
        bounds: between which lr is kept.
    """

    lr: float = 0.01
    gamma: float = 0.99
    eps: float = 1e-8
    learned: tuple[str, ...] = ("lr",)
    bounds: tuple[float, float] = UNBOUNDED
    relative: ClassVar[bool] = False
    plain: ClassVar[bool] = False
    transforms: ClassVar[Mapping[str, Transform]] = {"lr": SQUARE, "gamma": SIGMOID}

    def __post_init__(self) -> None:
        _check(self)

    def initial_memory(self) -> Mapping[str, float]:
        names = ("square", "direction", "by_gamma")
        return dict.fromkeys(names if "gamma" in self.learned else names[:2], 0.0)

    def advance(
        self, ops: Arithmetic, memory: Memory, gradient: Vector, values: Values, step: int
    ) -> None:
        square, direction = memory["square"], memory["direction"]
        ops.scale_(square, values["gamma"])
        ops.addcmul_(square, gradient, gradient, 1.0 - values["gamma"])
        ops.copy_(direction, square)
        ops.shift_(direction, self.eps)
        if "by_gamma" not in memory:
            _quotient(ops, direction, gradient)
            return
        by_gamma = memory["by_gamma"]  # direction · (s − g²) / (s + eps)
        ops.addcmul(by_gamma, square, gradient, gradient, -1.0)
        ops.div_(by_gamma, direction)
        _quotient(ops, direction, gradient)
        ops.mul_(by_gamma, direction)

    def direction(self, values: Values, step: int) -> tuple[str, float]:
        return "direction", 1.0

    def sensitivity(self, name: str, values: Values, step: int) -> Combination:
        return {"by_gamma": -0.5 * values["lr"] / values["gamma"]}


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015).

    m ← β₁ m + (1 − β₁) g, s ← β₂ s + (1 − β₂) g², x ← x − lr · m̂ / (√ŝ + eps), where m̂ and ŝ are
    m and s divided by their c = 1 − βᵗ.

    Args:
        lr: the learning rate to start from.
        beta1: the decay rate β₁ of the mean of gradients.
        beta2: the decay rate β₂ of the mean of squares.
        eps: added to the root.
        initial_square: s before the first step; 0 as in `torch.optim.Adam`.
        learned: what the level above moves: of ``lr``, ``beta1`` and ``beta2``.
        bounds: between which lr is kept.
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
    transforms: ClassVar[Mapping[str, Transform]] = {
        "lr": IDENTITY,
        "beta1": SIGMOID,
        "beta2": SIGMOID,
    }

    def __post_init__(self) -> None:
        _check(self)

    def initial_memory(self) -> Mapping[str, float]:
        kept = {"mean": 0.0, "square": self.initial_square, "direction": 0.0}
        if {"beta1", "beta2"} & set(self.learned):
            kept["by_beta1"] = 0.0
        if "beta2" in self.learned:
            kept["by_beta2"] = 0.0
        return kept

    def advance(
        self, ops: Arithmetic, memory: Memory, gradient: Vector, values: Values, step: int
    ) -> None:
        mean, square, direction = memory["mean"], memory["square"], memory["direction"]
        beta1, beta2 = values["beta1"], values["beta2"]
        ops.adam_(direction, mean, square, gradient, beta1, beta2, self.eps, step)
        if "by_beta1" not in memory:
            return
        root = memory["by_beta1"]
        ops.sqrt(root, square)
        if "by_beta2" in memory:  # direction · (s − g² / whole) / √s / (√s + eps √c₂)
            by_beta2 = memory["by_beta2"]
            whole = _drift(beta2, step)[1]
            ops.addcmul(by_beta2, square, gradient, gradient, -1.0 / whole)
            ops.shift_(root, TINY)
            ops.div_(by_beta2, root)
            ops.mul_(by_beta2, direction)
        ops.shift_(root, self.eps * math.sqrt(1.0 - beta2**step))
        if "by_beta2" in memory:
            ops.div_(by_beta2, root)
        ops.rdiv_(root, gradient)  # by_beta1 = g / (√s + eps √c₂)

    def direction(self, values: Values, step: int) -> tuple[str, float]:
        return "direction", 1.0

    def sensitivity(self, name: str, values: Values, step: int) -> Combination:
        lr = values["lr"]
        inverse, whole = _drift(values[name], step)
        if name == "beta1":
            per_root = math.sqrt(1.0 - values["beta2"] ** step) / (1.0 - values["beta1"] ** step)
            return {"direction": lr * inverse * whole, "by_beta1": -lr * inverse * per_root}
        return {"by_beta2": -0.5 * lr * inverse * whole}


def _quotient(ops: Arithmetic, square: Vector, gradient: Vector) -> None:
    """square ← gradient / √square."""
    ops.sqrt_(square)
    ops.rdiv_(square, gradient)


def _drift(beta: float, step: int) -> tuple[float, float]:
    """How a running mean m of g, divided by its c = 1 − βᵗ, depends on β, as (inverse, whole).

    ∂(m/c)/∂β = inverse · (whole · m − g) / c, if m's past is held fixed.
    """
    return 1.0 / beta, 1.0 + step * beta**step / (1.0 - beta**step)


def plain_number(name: str, value: Any) -> float:
    """A setting as a Python float of its own: a tensor would be its giver's, too.

    Raises:
        SearcherError: It is no single number.
    """
    number = plain(value)
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        raise SearcherError(f"{name} is a number, not {value!r}")
    return float(number)


def _check(level: Level) -> None:
    """Make its numbers plain ones, and refuse a setting that is out of its range."""
    name = type(level).__name__
    for field in dataclasses.fields(level):  # type: ignore[arg-type]
        value = getattr(level, field.name)
        if field.type == "float":
            object.__setattr__(level, field.name, plain_number(f"{name}: {field.name}", value))
    bounds = tuple(plain_number(f"{name}: a bound", bound) for bound in level.bounds)
    object.__setattr__(level, "bounds", bounds)
    low, high = level.bounds
    if not 0 <= level.lr < math.inf:
        raise SearcherError(f"{name}: lr must be finite and not negative, got {level.lr}")
    if not low <= level.lr <= high:
        raise SearcherError(f"{name}: lr {level.lr} lies outside its bounds {level.bounds}")
    for unknown in set(level.learned) - set(level.transforms):
        raise SearcherError(
            f"{name}: cannot learn {unknown!r}, only some of {list(level.transforms)}"
        )
    for decay in set(level.transforms) - {"lr"}:
        value = getattr(level, decay)
        if not 0 <= value < 1:
            raise SearcherError(f"{name}: {decay} must lie in [0, 1), got {value}")
        if value == 0 and decay in level.learned and level.transforms[decay] is SIGMOID:
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
