"""The derivative of one update, backward (an adjoint pulled back) and forward (tangents pushed).

Any update rule gets both from its ``update`` by automatic differentiation. For `SGD`, the rule of
most studies, they are written out, and for `Maclaurin` the first is: that saves passes over the
weights.

What comes through the gradient (a Hessian-vector product) is the caller's part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from searchers.update_rules import (
    SGD,
    Maclaurin,
    State,
    UpdateRule,
    Value,
    Values,
    kept,
    plus,
    scaled,
)


class PulledBack(NamedTuple):
    """An adjoint before a step.

    Args:
        by_gradient: derivative by the gradient, (P,).
        by_state: by the state before the step, its gradient held fixed.
        by_hyperparameter: by each wanted one, in its shape.
    """

    by_gradient: Tensor
    by_state: State
    by_hyperparameter: dict[str, Tensor]


def pull_back(
    rule: UpdateRule,
    before: State,
    gradient: Tensor,
    after: State,
    adjoint: State,
    at: Values,
    step: int,
    wanted: Collection[str],
) -> PulledBack:
    """The adjoint of one update.

    Args:
        rule: the update rule.
        before: the state before the step.
        gradient: of the training loss, (P,).
        after: the state after the step.
        adjoint: the derivatives by that state.
        at: name → value of each hyperparameter.
        step: its number.
        wanted: the hyperparameters to differentiate by.
    """
    if isinstance(rule, SGD):
        return _pull_back_sgd(rule, before, gradient, after, adjoint, at, step, wanted)
    if isinstance(rule, Maclaurin):
        return _pull_back_maclaurin(before, gradient, after, adjoint, at, wanted)
    inputs = [before.weights, *before.memory, gradient]
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    values = {name: _leaf(at[name], gradient) for name in wanted}
    state = State(leaves[0], tuple(leaves[1:-1]))
    with torch.enable_grad():
        outcome = rule.update(state, leaves[-1], {**at, **values}, step)
    outputs, seeds = [], []
    for output, seed in zip(
        (outcome.weights, *outcome.memory), (adjoint.weights, *adjoint.memory), strict=True
    ):
        if output.requires_grad:
            outputs.append(output)
            seeds.append(seed)
    sought = [*leaves, *values.values()]
    by = torch.autograd.grad(outputs, sought, seeds, allow_unused=True)
    filled = [torch.zeros_like(x) if d is None else d for x, d in zip(sought, by, strict=True)]
    parts, rest = filled[: len(leaves)], filled[len(leaves) :]
    return PulledBack(
        parts[-1], State(parts[0], tuple(parts[1:-1])), dict(zip(values, rest, strict=True))
    )


def push_forward(
    rule: UpdateRule,
    before: State,
    gradient: Tensor,
    tangent: State,
    gradient_tangent: Tensor,
    at: Values,
    at_tangent: Mapping[str, Tensor],
    step: int,
) -> State:
    """The tangents of the state after one update.

    Args:
        rule: the update rule.
        before: the state before the step.
        gradient: of the training loss, (P,).
        tangent: of that state, tensors of shape (K, P), which may be overwritten.
        gradient_tangent: the gradient's whole change, (K, P), which may be overwritten.
        at: name → value of each hyperparameter.
        at_tangent: name → the change of those that move, (K,) each, on any device (or (K, P)).
        step: its number.
    """
    if isinstance(rule, SGD):
        return _push_forward_sgd(
            rule, before, gradient, tangent, gradient_tangent, at, at_tangent, step
        )
    names = list(at_tangent)
    values = tuple(_leaf(at[name], gradient).detach() for name in names)

    def updated(
        weights: Tensor, memory: tuple[Tensor, ...], slope: Tensor, chosen: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        here = {**at, **dict(zip(names, chosen, strict=True))}
        outcome = rule.update(State(weights, memory), slope, here, step)
        return (outcome.weights, *outcome.memory)

    primals = (before.weights, before.memory, gradient, values)

    def along(
        weights: Tensor, memory: tuple[Tensor, ...], slope: Tensor, chosen: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        return torch.func.jvp(updated, primals, (weights, memory, slope, chosen))[1]

    chosen = tuple(at_tangent[name].to(v) for name, v in zip(names, values, strict=True))
    moved = torch.func.vmap(along)(tangent.weights, tangent.memory, gradient_tangent, chosen)
    return State(moved[0], tuple(moved[1:]))


def direction(
    rule: UpdateRule, before: State, gradient: Tensor, after: State, at: Values, step: int
) -> Tensor:
    """Minus the derivative of the new weights by the learning rate, (P,): where the step went."""
    if isinstance(rule, SGD) and not rule.nesterov:
        return after.memory[0]

    def weights(rate: Tensor) -> Tensor:
        return rule.update(before, gradient, {**at, "learning_rate": rate}, step).weights

    rate = torch.as_tensor(at["learning_rate"], dtype=gradient.dtype, device=gradient.device)
    return -torch.func.jvp(weights, (rate,), (torch.ones_like(rate),))[1]


def _pull_back_sgd(
    rule: SGD,
    before: State,
    gradient: Tensor,
    after: State,
    adjoint: State,
    at: Values,
    step: int,
    wanted: Collection[str],
) -> PulledBack:
    rate, momentum, decay = at["learning_rate"], at["momentum"], at["weight_decay"]
    velocity = after.memory[0]
    inside = None
    if rule.clamp is not None:
        inside = gradient.abs() <= rule.clamp
        gradient = gradient.clamp(-rule.clamp, rule.clamp)
    pull = plus(gradient, decay, before.weights) if _needs_pull(rule, wanted) else gradient
    by: dict[str, Tensor] = {}
    by_velocity, by_pull = adjoint.memory[0], None
    if rule.nesterov:
        by_pull = scaled(adjoint.weights, -rate)
        by_velocity = plus(by_velocity, momentum, by_pull)
        if "learning_rate" in wanted:
            move = plus(pull, momentum, velocity)
            by["learning_rate"] = -_product(adjoint.weights, move, rate)
    else:
        by_velocity = plus(by_velocity, -rate, adjoint.weights)
        if "learning_rate" in wanted:
            by["learning_rate"] = -_product(adjoint.weights, velocity, rate)
    if "momentum" in wanted:
        by["momentum"] = _product(by_velocity, before.memory[0], momentum)
        if by_pull is not None:
            by["momentum"] = by["momentum"] + _product(by_pull, velocity, momentum)
    if "dampening" in wanted:
        damped = by_velocity if step else torch.zeros_like(by_velocity)
        by["dampening"] = -_product(damped, pull, at["dampening"])
    fresh = by_velocity if step == 0 else scaled(by_velocity, kept(at["dampening"]))
    by_gradient = fresh if by_pull is None else by_pull + fresh
    if "weight_decay" in wanted:
        by["weight_decay"] = _product(by_gradient, before.weights, decay)
    by_weights = plus(adjoint.weights, decay, by_gradient)
    if inside is not None:
        by_gradient = by_gradient * inside
    return PulledBack(by_gradient, State(by_weights, (by_velocity * momentum,)), by)


def _pull_back_maclaurin(
    before: State,
    gradient: Tensor,
    after: State,
    adjoint: State,
    at: Values,
    wanted: Collection[str],
) -> PulledBack:
    rate, momentum, decay = at["learning_rate"], at["momentum"], at["weight_decay"]
    velocity = after.memory[0]
    by_velocity = plus(adjoint.memory[0], rate, adjoint.weights)
    by_gradient = by_velocity * (momentum - 1.0)
    by: dict[str, Tensor] = {}
    if "learning_rate" in wanted:
        by["learning_rate"] = _product(adjoint.weights, velocity, rate)
    if "momentum" in wanted:
        kept_and_pull = before.memory[0] + plus(gradient, decay, before.weights)
        by["momentum"] = _product(by_velocity, kept_and_pull, momentum)
    if "weight_decay" in wanted:
        by["weight_decay"] = _product(by_gradient, before.weights, decay)
    by_weights = plus(adjoint.weights, decay, by_gradient)
    return PulledBack(by_gradient, State(by_weights, (by_velocity * momentum,)), by)


def _needs_pull(rule: SGD, wanted: Collection[str]) -> bool:
    return "dampening" in wanted or (rule.nesterov and "learning_rate" in wanted)


def _push_forward_sgd(
    rule: SGD,
    before: State,
    gradient: Tensor,
    tangent: State,
    gradient_tangent: Tensor,
    at: Values,
    at_tangent: Mapping[str, Tensor],
    step: int,
) -> State:
    """v̇ ← μ v̇ + μ̇ v + (1 − τ) ḣ − τ̇ h with ḣ = ġ + λ ẇ + λ̇ w; ẇ ← ẇ − α v̇ − α̇ v."""
    rate, momentum, decay = at["learning_rate"], at["momentum"], at["weight_decay"]
    damping = 0.0 if step == 0 else at["dampening"]
    if rule.clamp is not None:
        gradient_tangent.mul_(gradient.abs() <= rule.clamp)
        gradient = gradient.clamp(-rule.clamp, rule.clamp)
    pull = plus(gradient, decay, before.weights)
    velocity = plus(scaled(pull, kept(damping)), momentum, before.memory[0])
    move = plus(pull, momentum, velocity) if rule.nesterov else velocity

    pulls = _add(gradient_tangent, decay, tangent.weights)
    _add_rows(pulls, at_tangent.get("weight_decay"), before.weights)
    velocities = tangent.memory[0].mul_(momentum)
    _add(velocities, kept(damping), pulls)
    _add_rows(velocities, at_tangent.get("momentum"), before.memory[0])
    if step:
        _add_rows(velocities, at_tangent.get("dampening"), -pull)
    weights = tangent.weights
    if rule.nesterov:
        _add(weights, -rate, pulls)
        _add(weights, -(rate * momentum), velocities)
        _add_rows(weights, at_tangent.get("momentum"), scaled(velocity, -rate))
    else:
        _add(weights, -rate, velocities)
    _add_rows(weights, at_tangent.get("learning_rate"), -move)
    return State(weights, (velocities,))


def _add(target: Tensor, factor: Value, other: Tensor) -> Tensor:
    """target += factor · other, in place."""
    if isinstance(factor, Tensor):
        return target.addcmul_(factor.expand_as(other), other)
    return target.add_(other, alpha=factor)


def _add_rows(target: Tensor, rates: Tensor | None, direction: Tensor) -> None:
    """target[k] += rates[k] · direction, in place, for the rows that change."""
    if rates is None:
        return
    if rates.dim() == 2:
        target.addcmul_(rates.to(target.dtype), direction)
        return
    for k, rate in enumerate(rates.tolist()):
        if rate:
            target[k].add_(direction, alpha=rate)


def _product(left: Tensor, right: Tensor, value: Value) -> Tensor:
    """The derivative by a factor: summed over the weights, or one for each of them."""
    if isinstance(value, Tensor) and value.dim():
        return left * right
    return torch.dot(left, right)


def _leaf(value: Value, like: Tensor) -> Tensor:
    """A hyperparameter to differentiate by; a number in float64, which does not promote others."""
    if isinstance(value, Tensor):
        return value.detach().requires_grad_()
    return torch.tensor(value, dtype=torch.float64, device=like.device, requires_grad=True)
