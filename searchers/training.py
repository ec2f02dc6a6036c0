"""Training the inner problem along a schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from searchers.inner import Batch, Buffers, Draw, InnerProblem, Weights
from searchers.schedules import Schedule
from searchers.update_rules import SGD, State, Values


class Trained(NamedTuple):
    """Where a training stands after some steps."""

    state: State
    buffers: Buffers

    @property
    def weights(self) -> Weights:
        return Weights(self.state.weights, self.buffers)


def start(draw: Draw) -> Trained:
    """The state before the first step."""
    weights = draw.initial()
    return Trained(SGD.init(weights.vector), weights.buffers)


def train(
    problem: InnerProblem,
    draw: Draw,
    values: Schedule,
    begin: Trained,
    steps: range,
    watch: Callable[[int, State], None] = lambda step, state: None,
) -> Trained:
    """Run ``steps`` of the schedule from ``begin``; ``watch`` sees the state before each step.

    ``begin`` is left as it was. A training that leaves the floating-point numbers runs to its
    end: whether it diverged is read from its validation loss.
    """
    state, buffers = begin.state, clone(begin.buffers)
    for step, at in zip(steps, rows(values, steps), strict=True):
        watch(step, state)
        slope = gradient(problem, state.weights, buffers, draw.batch(step))
        state = SGD.update(state, slope, at)
    return Trained(state, buffers)


def gradient(problem: InnerProblem, vector: Tensor, buffers: Buffers, batch: Batch) -> Tensor:
    """The training loss's gradient at ``vector``, shape (P,)."""
    leaf = vector.detach().requires_grad_()
    (slope,) = torch.autograd.grad(problem.training_loss(leaf, buffers, batch), leaf)
    return slope


def rows(values: Schedule, steps: range) -> Iterator[Values]:
    """The schedule's values step by step, as Python floats."""
    columns = [values[name][steps.start : steps.stop].tolist() for name in SGD.hyperparameters]
    for row in zip(*columns, strict=True):
        yield dict(zip(SGD.hyperparameters, row, strict=True))


def clone(buffers: Buffers) -> Buffers:
    return {name: buffer.clone() for name, buffer in buffers.items()}
