"""The adjoint: the derivative of the final validation loss by the state, on its way back.

It carries a power of two as its exponent, so that it neither overflows nor vanishes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from searchers.hypergradients.derivatives import pull_back
from searchers.hypergradients.scaled import Scaled
from searchers.hypergradients.schedules import Schedule
from searchers.hypergradients.training import Row, layout
from searchers.inner_problem import Buffers, Draw, InnerProblem
from searchers.update_rules import State

LARGE, SMALL = 2.0**32, 2.0**-32
"""An adjoint outside is rescaled: its products with a Hessian stay inside float32."""


class Sloped(NamedTuple):
    """A training loss's gradient with its graph, and what it can be differentiated by.

    Args:
        slope: the gradient, (P,).
        leaf: the weights that it was taken at, (P,).
        theta: name → the loss's own hyperparameters that are differentiated by.
    """

    slope: Tensor
    leaf: Tensor
    theta: dict[str, Tensor]


class Link(NamedTuple):
    """One step, between the states before and after it.

    Args:
        step: its number.
        row: its hyperparameters.
        before: the state before it.
        after: the state after it.
        sloped: its gradient.
    """

    step: int
    row: Row
    before: State
    after: State
    sloped: Sloped


def sloped_at(
    problem: InnerProblem,
    draw: Draw,
    schedule: Schedule,
    weights: Tensor,
    buffers: Buffers,
    row: Row,
    step: int,
) -> Sloped:
    """The gradient at the weights, (P,), with its graph."""
    leaf = weights.detach().requires_grad_()
    sought = schedule.jacobian.keys() | schedule.constants.keys()
    theta = {n: t.detach().requires_grad_() for n, t in row.theta.items() if n in sought}
    loss = problem.training_loss(leaf, buffers, draw.batch(step), {**row.theta, **theta})
    (slope,) = torch.autograd.grad(loss, leaf, create_graph=True)
    return Sloped(slope, leaf, theta)


class Adjoint:
    """The derivative of the validation loss by the state, on its way back; a sum for each constant.

    ``state`` · 2^``exponent`` is the adjoint.

    Args:
        schedule: the training's hyperparameters, which say what is differentiated by.
        by_weights: the derivative by the final weights, (P,).
        like: a state of the training.
    """

    def __init__(self, schedule: Schedule, by_weights: Tensor, like: State):
        self.state = State(by_weights, tuple(torch.zeros_like(m) for m in like.memory))
        self.exponent = 0
        self._schedule = schedule
        rule, constants = schedule.rule.defaults, schedule.constants
        sought = schedule.jacobian.keys() | constants.keys()
        self._wanted = sorted({name.partition(".")[0] for name in sought} & rule.keys())
        numbers = [name for name in schedule.jacobian if name not in constants]
        self._mantissa = {name: np.zeros(schedule.steps) for name in numbers}
        self._exponent = {name: np.zeros(schedule.steps, dtype=np.int64) for name in numbers}
        self._groups = {
            name: layout(schedule, name)
            for name in self._wanted
            if any(other.startswith(f"{name}.") for other in schedule.values)
        }
        self._sums: dict[str, tuple[Tensor, int]] = {}
        self._rescale()

    def step_back(self, link: Link) -> None:
        """Carry it from after a step to before it, and note the step's derivatives."""
        sloped = link.sloped
        pulled = pull_back(
            self._schedule.rule,
            link.before,
            sloped.slope.detach(),
            link.after,
            self.state,
            link.row.at,
            link.step,
            self._wanted,
        )
        sought = [sloped.leaf, *sloped.theta.values()]
        by_sought: tuple[Tensor | None, ...] = (None,) * len(sought)
        if sloped.slope.requires_grad:  # a loss linear in the weights has no curvature
            by_sought = torch.autograd.grad(
                sloped.slope, sought, pulled.by_gradient, allow_unused=True
            )
        by_theta = {
            name: torch.zeros_like(sloped.theta[name]) if by is None else by
            for name, by in zip(sloped.theta, by_sought[1:], strict=True)
        }
        for name, by in {**pulled.by_hyperparameter, **by_theta}.items():
            self._note(name, link.step, by)
        weights = pulled.by_state.weights
        self.state = State(
            weights if by_sought[0] is None else weights + by_sought[0], pulled.by_state.memory
        )
        self._rescale()

    def _note(self, name: str, step: int, by: Tensor) -> None:
        if name in self._schedule.constants:
            self._sums[name] = _add(self._sums.get(name), by, self.exponent)
            return
        parts = {name: by}
        if name in self._groups:
            names, index = self._groups[name]
            sums = by.new_zeros(len(names)).index_add(0, index, by)
            parts = dict(zip(names, sums, strict=True))
        for each, part in parts.items():
            if each in self._mantissa:
                self._mantissa[each][step] = float(part)
                self._exponent[each][step] = self.exponent

    def _rescale(self) -> None:
        tensors = (self.state.weights, *self.state.memory)
        norm = math.sqrt(max(float(torch.dot(tensor, tensor)) for tensor in tensors))
        if SMALL <= norm <= LARGE:  # the usual case, for a fifth of the maximum's cost
            return
        top = max(float(torch.linalg.vector_norm(tensor, math.inf)) for tensor in tensors)
        if SMALL <= top <= LARGE or top == 0 or not math.isfinite(top):
            return
        shift = math.frexp(top)[1]
        weights, *memory = (_shifted(tensor, -shift) for tensor in tensors)
        self.state = State(weights, tuple(memory))
        self.exponent += shift

    def by_initial(self) -> Tensor:
        """By the weights that it has come back to, float64, (P,)."""
        return _plain(self.state.weights, self.exponent)

    def by_step(self) -> dict[str, Scaled]:
        """Name → the derivatives by each step's value, (T,)."""
        return {name: Scaled(self._mantissa[name], self._exponent[name]) for name in self._mantissa}

    def by_constant(self) -> dict[str, Tensor]:
        """Name → the derivative by a constant of the schedule, float64, in its shape."""
        return {name: _plain(*sum_) for name, sum_ in self._sums.items()}


def _add(sum_: tuple[Tensor, int] | None, by: Tensor, exponent: int) -> tuple[Tensor, int]:
    """A running sum, its tensor in float64, in the units of its largest term so far."""
    by = by.double()
    if sum_ is None:
        return by, exponent
    tensor, so_far = sum_
    top = max(so_far, exponent)
    return _shifted(tensor, so_far - top) + _shifted(by, exponent - top), top


def _shifted(tensor: Tensor, by: int) -> Tensor:
    """tensor · 2^by; exact, by steps that each fit."""
    while abs(by) > 100:
        part = 100 if by > 0 else -100
        tensor, by = tensor * 2.0**part, by - part
        if by < -2000:
            return torch.zeros_like(tensor)
    return tensor * 2.0**by if by else tensor


def _plain(tensor: Tensor, exponent: int) -> Tensor:
    """As float64, inf beyond it."""
    return _shifted(tensor.double(), exponent)
