"""The exact hypergradient by reverse mode: back through a whole training, step by step.

The adjoint of SGD with momentum (Maclaurin, Duvenaud & Adams 2015, in PyTorch's convention) gives
the derivative of the final validation loss by every hyperparameter at every step in one sweep; its
cost does not depend on how many there are. Summed over windows (`searchers.schedules.pull_back`)
it is the hypergradient of FDS; left as it is, that of RMD.

The trajectory is stored, or, where it would not fit, recomputed segment by segment from √T
checkpoints.
"""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from searchers.inner import Draw, InnerProblem
from searchers.schedules import Schedule
from searchers.training import Trained, clone, rows, start, train
from searchers.update_rules import SGD, State

TRAJECTORY_BYTES = 1 << 30
"""A trajectory larger than this is recomputed from checkpoints instead of stored."""


class Hypergradient(NamedTuple):
    """What one forward and backward sweep came to.

    ``by_step``: hyperparameter → derivative of the validation loss by its value at each step,
    float64, shape (T,). ``steps``: the cost in training steps: one for each gradient, two more
    for each Hessian-vector product. ``seconds``: of the forward and of the backward sweep.
    """

    by_step: dict[str, np.ndarray]
    trained: Trained
    steps: int
    seconds: dict[str, float]


def hypergradient(
    problem: InnerProblem,
    draw: Draw,
    values: Schedule,
    trajectory_bytes: int = TRAJECTORY_BYTES,
) -> Hypergradient:
    """Train along the schedule, then differentiate the final validation loss by it.

    Exact for the validation loss with running statistics held fixed; a non-finite derivative is
    returned as it is.
    """
    began = time.perf_counter()
    total = len(values["learning_rate"])
    begin = start(draw)
    segment = _segment_length(total, begin.state, trajectory_bytes)
    checkpoints: dict[int, State] = {}
    last: list[State] = []

    def keep(step: int, state: State) -> None:
        if step % segment == 0:
            checkpoints[step] = state
            last.clear()
        last.append(state)

    trained = train(problem, draw, values, begin, range(total), keep)
    forward_ended = time.perf_counter()

    adjoint = State(_validation_gradient(problem, trained), torch.zeros_like(trained.state.weights))
    by_step = {name: torch.zeros(total, dtype=torch.float64) for name in SGD.hyperparameters}
    recomputed, after = 0, trained.state
    for first in sorted(checkpoints, reverse=True):
        steps = range(first, min(first + segment, total))
        if steps.stop < total:
            last.clear()
            again = Trained(checkpoints[first], begin.buffers)
            train(problem, draw, values, again, steps, lambda step, state: last.append(state))
            recomputed += len(steps)
        adjoint = _sweep(problem, draw, values, steps, last, after, adjoint, begin, by_step)
        after = checkpoints.pop(first)
    return Hypergradient(
        {name: derivative.numpy() for name, derivative in by_step.items()},
        trained,
        steps=total + recomputed + 3 * total,
        seconds={
            "train": forward_ended - began,
            "hypergradient": time.perf_counter() - forward_ended,
        },
    )


def _sweep(
    problem: InnerProblem,
    draw: Draw,
    values: Schedule,
    steps: range,
    states: list[State],
    after: State,
    adjoint: State,
    begin: Trained,
    by_step: dict[str, Tensor],
) -> State:
    """Back through one segment whose states before each step are known; fills ``by_step``."""
    scratch = clone(begin.buffers)  # training-mode losses write running statistics: not into ours
    values_at = list(rows(values, steps))
    for step in reversed(steps):
        before, at = states[step - steps.start], values_at[step - steps.start]
        by_gradient, by_state, by_hyperparameter = SGD.pull_back(before, after, adjoint, at)
        leaf = before.weights.detach().requires_grad_()
        loss = problem.training_loss(leaf, scratch, draw.batch(step))
        (slope,) = torch.autograd.grad(loss, leaf, create_graph=True)
        (product,) = torch.autograd.grad(slope, leaf, by_gradient)
        adjoint = State(by_state.weights.add_(product), by_state.velocity)
        for name, derivative in by_hyperparameter.items():
            by_step[name][step] = derivative
        after = before
    return adjoint


def _validation_gradient(problem: InnerProblem, trained: Trained) -> Tensor:
    leaf = trained.state.weights.detach().requires_grad_()
    loss = problem.validation_loss(leaf, clone(trained.buffers))
    (slope,) = torch.autograd.grad(loss, leaf)
    return slope


def _segment_length(steps: int, state: State, trajectory_bytes: int) -> int:
    """All steps if their states fit, else √T."""
    one = sum(tensor.numel() * tensor.element_size() for tensor in state)
    return steps if steps * one <= trajectory_bytes else math.isqrt(steps - 1) + 1
