"""Training the inner problem along a schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from searchers.errors import SearcherError
from searchers.hypergradients.schedules import Schedule, check_schedule
from searchers.inner_problem import NO_THETA, Batch, Buffers, Draw, InnerProblem, Theta, Weights
from searchers.update_rules import State, UpdateRule, Value, check_rule


class Trained(NamedTuple):
    """Where a training stands after some steps.

    Args:
        state: its weights and what the update rule remembers.
        buffers: the other parts of the model.
    """

    state: State
    buffers: Buffers

    @property
    def weights(self) -> Weights:
        """The model, for `InnerProblem.validation`."""
        return Weights(self.state.weights, self.buffers)


class Row(NamedTuple):
    """One step's hyperparameters.

    Args:
        at: name → value of the update rule's.
        theta: name → value of the training loss's.
    """

    at: Mapping[str, Value]
    theta: Theta


def start(draw: Draw, rule: UpdateRule) -> Trained:
    """Where a training of a ``draw`` with a ``rule`` stands before the first step.

    Raises:
        SearcherError: The weights are no real numbers.
    """
    weights = draw.initial()
    if not weights.vector.is_floating_point():
        raise SearcherError(
            f"the weights are {weights.vector.dtype}; they have to be real floating-point numbers"
            " (of complex ones, torch.view_as_real of their parts)"
        )
    return Trained(rule.init(weights.vector), weights.buffers)


def started(problem: InnerProblem, draw: Draw, schedule: Schedule) -> Trained:
    """Where a training stands before the first step, checked.

    Raises:
        SearcherError: problem, schedule and rule do not fit.
    """
    check_schedule(schedule, problem)
    begin = start(draw, schedule.rule)
    check_rule(schedule.rule, begin.state)
    return begin


def train(
    problem: InnerProblem,
    draw: Draw,
    schedule: Schedule,
    begin: Trained,
    steps: range,
    watch: Callable[[int, State], None] = lambda step, state: None,
) -> Trained:
    """Run steps of a training.

    One that leaves the floating-point numbers runs to its end: whether it diverged is read from its
    validation loss.

    Args:
        problem: what is trained.
        draw: its batches.
        schedule: its hyperparameters.
        begin: where it stands; left as it was.
        steps: which steps of the schedule are run.
        watch: sees the number of each step and the state before it.
    """
    state, buffers = begin.state, clone(begin.buffers)
    for step, (at, theta) in zip(steps, rows(schedule, steps, state.weights), strict=True):
        watch(step, state)
        slope = gradient(problem, state.weights, buffers, draw.batch(step), theta)
        state = schedule.rule.update(state, slope, at, step)
    return Trained(state, buffers)


def gradient(
    problem: InnerProblem,
    vector: Tensor,
    buffers: Buffers,
    batch: Batch,
    theta: Theta = NO_THETA,
) -> Tensor:
    """The training loss's gradient at ``vector``, shape (P,)."""
    leaf = vector.detach().requires_grad_()
    (slope,) = torch.autograd.grad(problem.training_loss(leaf, buffers, batch, theta), leaf)
    return slope


def rows(schedule: Schedule, steps: range, like: Tensor) -> Iterator[Row]:
    """The schedule step by step: numbers as Python floats, groups laid over the weights."""
    part = slice(steps.start, steps.stop)
    rule_names, constants = schedule.rule.defaults, schedule.constants
    numbers = {n: v[part].tolist() for n, v in schedule.values.items() if n not in constants}
    at = {n: c for n, c in constants.items() if n in rule_names}
    theta = {n: c for n, c in constants.items() if n not in rule_names}
    plain = [name for name in numbers if name in rule_names]
    laid = {name: layout(schedule, name) for name in grouped(schedule)}
    loss = [n for n in numbers if n not in rule_names and "." not in n]
    for i in range(len(steps)):
        row: dict[str, Value] = {**at, **{name: numbers[name][i] for name in plain}}
        for name, (names, index) in laid.items():
            values = [numbers[each][i] for each in names]
            row[name] = torch.tensor(values, dtype=like.dtype, device=like.device)[index]
        chosen = {
            name: torch.tensor(numbers[name][i], dtype=torch.float64, device=like.device)
            for name in loss
        }
        yield Row(row, {**theta, **chosen})


def grouped(schedule: Schedule) -> list[str]:
    """The hyperparameters of which groups of weights have their own."""
    return sorted({name.partition(".")[0] for name in schedule.values if "." in name})


def layout(schedule: Schedule, name: str) -> tuple[list[str], Tensor]:
    """A hyperparameter's names (everyone's, then each group's), and which one each weight has."""
    names = [name, *(n for n in schedule.values if n.startswith(f"{name}."))]
    masks = [schedule.groups[each.partition(".")[2]] for each in names[1:]]
    index = torch.zeros_like(masks[0], dtype=torch.int64)
    for i, mask in enumerate(masks, start=1):
        index[mask] = i
    return names, index


def clone(buffers: Buffers) -> Buffers:
    """Copies that a training may update."""
    return {name: buffer.clone() for name, buffer in buffers.items()}
