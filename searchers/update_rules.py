"""Update rules: how one training step changes the weights.

A rule is a pair of pure functions: ``init`` makes the state from the weights, ``update`` the state
after a step. Both are differentiable wherever training goes, also where a gradient and its second
moment are zero (constant inputs, dead units): there the derivative of the square root counts as 0.

Weights, gradients and what a rule remembers have shape (P,); a hyperparameter is a number or, one
for each weight, a tensor of shape (P,). With floats, the steps are those of `torch.optim`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from searchers.errors import SearcherError
from searchers.settings import make_plain, number

Value: TypeAlias = float | Tensor
Values: TypeAlias = Mapping[str, Value]
"""The value of each hyperparameter at one step."""


class State(NamedTuple):
    """What a training carries from step to step; its adjoint has the same shapes.

    Args:
        weights: shape (P,).
        memory: what the rule remembers, tensors of shape (P,) each.
    """

    weights: Tensor
    memory: tuple[Tensor, ...] = ()


@runtime_checkable
class UpdateRule(Protocol):
    """How a training step changes the weights; steps are numbered from 0."""

    @property
    def name(self) -> str:
        """What it is called in tables and files."""

    @property
    def defaults(self) -> Mapping[str, float]:
        """Its hyperparameters, with the values of those that a search space leaves out."""

    def init(self, weights: Tensor) -> State:
        """The state before the first step, from weights of shape (P,)."""

    def update(self, state: State, gradient: Tensor, at: Values, step: int) -> State:
        """The state after one step: differentiable, new tensors, none changed.

        Args:
            state: before the step.
            gradient: of the training loss by the weights, (P,).
            at: name → value of each hyperparameter at this step, a float or a tensor (P,).
            step: its number, from 0.
        """


def check_rule(rule: UpdateRule, state: State) -> None:
    """Refuse a rule of one's own whose first step is no pure, differentiable function.

    Raises:
        SearcherError: it is not; the message says in what.
    """
    if type(rule).__module__ == __name__:
        return
    leaves = [x.detach().clone().requires_grad_() for x in (state.weights, *state.memory)]
    gradient = torch.zeros_like(leaves[0]).requires_grad_()
    before = [x._version for x in (*leaves, gradient)]
    try:
        after = rule.update(State(leaves[0], tuple(leaves[1:])), gradient, rule.defaults, 0)
    except RuntimeError as error:
        raise SearcherError(f"update rule {rule.name}: its first step fails: {error}") from None
    if not isinstance(after, State) or not all(isinstance(x, Tensor) for x in after.memory):
        raise SearcherError(f"update rule {rule.name}: update returns a State of tensors")
    shapes = [[tuple(x.shape) for x in (s.weights, *s.memory)] for s in (state, after)]
    if shapes[0] != shapes[1]:
        raise SearcherError(
            f"update rule {rule.name}: a state of shapes {shapes[0]} becomes one of {shapes[1]}"
        )
    if before != [x._version for x in (*leaves, gradient)]:
        raise SearcherError(
            f"update rule {rule.name} writes into its state or gradient: return new tensors"
        )
    if not after.weights.requires_grad:
        raise SearcherError(
            f"update rule {rule.name}: its step has no derivative (torch.no_grad, or detached?)"
        )


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, as `torch.optim.SGD`.

    h = g + weight_decay · w, then v ← momentum · v + (1 − dampening) · h (undampened at the first
    step), then w ← w − learning_rate · v, or with Nesterov's momentum − learning_rate · (h +
    momentum · v). Unlike torch's, dampening also acts when momentum is 0: the step is smooth in it.

    Args:
        nesterov: whether with Nesterov's momentum.
        clamp: each entry of the gradient is first clamped to ± this; None for not at all.
        name: what it is called in tables and files.
    """

    nesterov: bool = False
    clamp: float | None = None
    name: str = "sgd"

    def __post_init__(self) -> None:
        make_plain(self)
        if self.clamp is not None:
            number("clamp", self.clamp, 0.0)

    defaults: ClassVar[Mapping[str, float]] = {
        "learning_rate": 0.0,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "dampening": 0.0,
    }

    def init(self, weights: Tensor) -> State:
        return State(weights, (torch.zeros_like(weights),))

    def update(self, state: State, gradient: Tensor, at: Values, step: int) -> State:
        if self.clamp is not None:
            gradient = gradient.clamp(-self.clamp, self.clamp)
        pull = plus(gradient, at["weight_decay"], state.weights)
        fresh = pull if step == 0 else scaled(pull, kept(at["dampening"]))
        velocity = plus(fresh, at["momentum"], state.memory[0])
        move = plus(pull, at["momentum"], velocity) if self.nesterov else velocity
        return State(minus(state.weights, at["learning_rate"], move), (velocity,))


@dataclass(frozen=True)
class Maclaurin:
    """Momentum as in Maclaurin, Duvenaud & Adams (2015): v ← γv − (1 − γ)g, then w ← w + αv.

    γ is ``momentum``, α ``learning_rate``; g includes weight_decay · w.

    Args:
        name: what it is called in tables and files.
    """

    name: str = "maclaurin"
    defaults: ClassVar[Mapping[str, float]] = {
        "learning_rate": 0.0,
        "momentum": 0.0,
        "weight_decay": 0.0,
    }

    def init(self, weights: Tensor) -> State:
        return State(weights, (torch.zeros_like(weights),))

    def update(self, state: State, gradient: Tensor, at: Values, step: int) -> State:
        pull = plus(gradient, at["weight_decay"], state.weights)
        momentum = at["momentum"]
        velocity = minus(scaled(state.memory[0], momentum), kept(momentum), pull)
        return State(plus(state.weights, at["learning_rate"], velocity), (velocity,))


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015), as `torch.optim.Adam`; decoupled weight decay (AdamW) or L2's.

    m and s, the running means of g and g², are corrected for their start at 0;
    w ← w − learning_rate · m / (√s + eps).

    Args:
        decoupled: whether weight decay acts on the weights themselves, not through the gradient.
        name: what it is called in tables and files.
    """

    decoupled: bool = False
    name: str = "adam"
    defaults: ClassVar[Mapping[str, float]] = {
        "learning_rate": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "weight_decay": 0.0,
    }

    def init(self, weights: Tensor) -> State:
        return State(weights, (torch.zeros_like(weights), torch.zeros_like(weights)))

    def update(self, state: State, gradient: Tensor, at: Values, step: int) -> State:
        weights, rate = state.weights, at["learning_rate"]
        if self.decoupled:
            weights = minus(weights, rate * at["weight_decay"], weights)
        else:
            gradient = plus(gradient, at["weight_decay"], weights)
        mean = running_mean(state.memory[0], gradient, at["beta1"])
        square = running_mean(state.memory[1], gradient * gradient, at["beta2"])
        scale = root(square / (1 - at["beta2"] ** (step + 1))) + at["eps"]
        move = mean / (1 - at["beta1"] ** (step + 1)) / scale
        return State(minus(weights, rate, move), (mean, square))


@dataclass(frozen=True)
class RMSProp:
    """RMSProp (Tieleman & Hinton 2012), as `torch.optim.RMSprop` with its ``alpha``.

    s ← alpha · s + (1 − alpha) · g², v ← momentum · v + g / (√s + eps), w ← w − learning_rate · v.

    Args:
        name: what it is called in tables and files.
    """

    name: str = "rmsprop"
    defaults: ClassVar[Mapping[str, float]] = {
        "learning_rate": 1e-2,
        "alpha": 0.99,
        "eps": 1e-8,
        "momentum": 0.0,
        "weight_decay": 0.0,
    }

    def init(self, weights: Tensor) -> State:
        return State(weights, (torch.zeros_like(weights), torch.zeros_like(weights)))

    def update(self, state: State, gradient: Tensor, at: Values, step: int) -> State:
        pull = plus(gradient, at["weight_decay"], state.weights)
        square = running_mean(state.memory[0], pull * pull, at["alpha"])
        velocity = plus(pull / (root(square) + at["eps"]), at["momentum"], state.memory[1])
        return State(minus(state.weights, at["learning_rate"], velocity), (square, velocity))


@dataclass(frozen=True)
class AdaGrad:
    """AdaGrad (Duchi et al. 2011), as `torch.optim.Adagrad`.

    s ← s + g², w ← w − learning_rate / (1 + step · decay) · g / (√s + eps).

    Args:
        name: what it is called in tables and files.
    """

    name: str = "adagrad"
    defaults: ClassVar[Mapping[str, float]] = {
        "learning_rate": 1e-2,
        "decay": 0.0,
        "eps": 1e-10,
        "weight_decay": 0.0,
    }

    def init(self, weights: Tensor) -> State:
        return State(weights, (torch.zeros_like(weights),))

    def update(self, state: State, gradient: Tensor, at: Values, step: int) -> State:
        pull = plus(gradient, at["weight_decay"], state.weights)
        square = state.memory[0] + pull * pull
        rate = at["learning_rate"] / (1 + step * at["decay"])
        move = pull / (root(square) + at["eps"])
        return State(minus(state.weights, rate, move), (square,))


def AdamW() -> Adam:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), as `torch.optim.AdamW`."""
    return Adam(decoupled=True, name="adamw")


UPDATE_RULES: tuple[UpdateRule, ...] = (
    SGD(),
    SGD(nesterov=True, name="nesterov"),
    Maclaurin(),
    Adam(),
    AdamW(),
    RMSProp(),
    AdaGrad(),
)


def plus(base: Tensor, factor: Value, direction: Tensor) -> Tensor:
    """base + factor · direction; one pass with a number, none where it is 0."""
    if isinstance(factor, Tensor):
        return torch.addcmul(base, factor, direction)
    return base.add(direction, alpha=factor) if factor else base


def minus(base: Tensor, factor: Value, direction: Tensor) -> Tensor:
    """base − factor · direction."""
    return plus(base, -factor, direction)


def scaled(tensor: Tensor, factor: Value) -> Tensor:
    """factor · tensor; no pass where the factor is 1."""
    return tensor if isinstance(factor, float) and factor == 1.0 else tensor * factor


def kept(value: Value) -> Value:
    """What a factor leaves over: 1 − value."""
    return 1.0 - value


def running_mean(mean: Tensor, new: Tensor, decay: Value) -> Tensor:
    """decay · mean + (1 − decay) · new."""
    return plus(scaled(mean, decay), kept(decay), new)


def root(square: Tensor) -> Tensor:
    """√, with derivative 0 where it is 0: there a true derivative times 0 would be NaN."""
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)
