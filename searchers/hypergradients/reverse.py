"""Reverse mode: back through a whole training, step by step.

The adjoint of the update rule (Maclaurin, Duvenaud & Adams 2015, for SGD with momentum) gives the
derivative of the final validation loss by every hyperparameter at every step in one sweep; its cost
does not depend on how many there are. Summed over windows it is the hypergradient of FDS; left as
it is, that of RMD.

The adjoint carries a power of two as its exponent, so that it neither overflows nor vanishes.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from searchers.errors import SearcherError
from searchers.hypergradients.checkpoints import (
    Advance,
    Plan,
    binomial,
    lightest_segment,
    segments,
)
from searchers.hypergradients.derivatives import pull_back
from searchers.hypergradients.engines import Hypergradient, validation_gradient
from searchers.hypergradients.scaled import Scaled
from searchers.hypergradients.schedules import Schedule
from searchers.hypergradients.training import Row, Trained, clone, layout, rows, start, train
from searchers.hypergradients.update_rules import State
from searchers.inner import Buffers, Draw, InnerProblem

LARGE, SMALL = 2.0**32, 2.0**-32
"""An adjoint outside is rescaled: its products with a Hessian stay inside float32."""


@dataclass(frozen=True)
class Stored:
    """Keeps the state before every step; about 4.4 steps a step."""

    name: str = "stored"

    def hypergradient(self, problem: InnerProblem, draw: Draw, schedule: Schedule) -> Hypergradient:
        return sweep(problem, draw, schedule, segments(schedule.steps, 1), self.name)


@dataclass(frozen=True)
class Graphs:
    """Keeps the graph of every step, and so repeats none: the fastest where they fit."""

    name: str = "graphs"

    def hypergradient(self, problem: InnerProblem, draw: Draw, schedule: Schedule) -> Hypergradient:
        return sweep(problem, draw, schedule, segments(schedule.steps, schedule.steps), self.name)


@dataclass(frozen=True)
class Checkpointed:
    """Keeps a state at each segment's start and the graphs of one segment at a time.

    Memory grows as √T; every step is repeated once, so the cost is that of `Stored`. ``segment``:
    steps in a segment; None for the length that needs the least memory.
    """

    segment: int | None = None
    name: str = "checkpointed"

    def __post_init__(self) -> None:
        if self.segment is not None and self.segment < 1:
            raise SearcherError(f"a segment has at least 1 step, not {self.segment}")

    def hypergradient(self, problem: InnerProblem, draw: Draw, schedule: Schedule) -> Hypergradient:
        length = self.segment
        if length is None:
            length = lightest_segment(schedule.steps, *step_bytes(problem, draw, schedule))
        plan = segments(schedule.steps, min(length, schedule.steps))
        return sweep(problem, draw, schedule, plan, f"{self.name}, segments of {length}")


@dataclass(frozen=True)
class Binomial:
    """A fixed number of checkpoints, placed for the fewest repeated steps.

    With c checkpoints and r repetitions it goes back through (c + r)! / (c! r!) steps, so memory
    and time can both grow as log T.
    """

    slots: int = 8
    name: str = "binomial"

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise SearcherError(f"binomial needs at least 1 checkpoint, not {self.slots}")

    def hypergradient(self, problem: InnerProblem, draw: Draw, schedule: Schedule) -> Hypergradient:
        plan = binomial(0, schedule.steps, self.slots)
        return sweep(problem, draw, schedule, plan, f"{self.name}, {self.slots} checkpoints")


def step_bytes(problem: InnerProblem, draw: Draw, schedule: Schedule) -> tuple[int, int]:
    """What one state and one step's graph take; costs one step."""
    begin = start(draw, schedule.rule)
    (row,) = rows(schedule, range(1), begin.state.weights)
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        _linked(problem, draw, schedule, begin.state, clone(begin.buffers), row, 0)
    state = (begin.state.weights, *begin.state.memory)
    return sum(x.numel() * x.element_size() for x in state), sum(sizes.values())


def sweep(
    problem: InnerProblem, draw: Draw, schedule: Schedule, plan: Plan, engine: str
) -> Hypergradient:
    """Train along the schedule and go back through it, as a plan says."""
    began = time.perf_counter()
    begin = start(draw, schedule.rule)
    kept, buffers, reached = {0: begin.state}, clone(begin.buffers), 0
    scratch = clone(begin.buffers)  # for repeated steps, whose running statistics count no more
    adjoint: Adjoint | None = None
    trained, trained_at, ran = begin, began, 0
    for action in plan:
        steps = range(action.begin, action.end)
        first_time = action.end > reached
        if isinstance(action, Advance):
            wanted = set(action.keep)

            def keep(step: int, state: State, wanted: set[int] = wanted) -> None:
                if step in wanted:
                    kept[step] = state

            at = Trained(kept[action.begin], buffers if first_time else scratch)
            there = train(problem, draw, schedule, at, steps, keep)
            keep(action.end, there.state)
            if first_time:
                buffers, reached = dict(there.buffers), action.end
            ran += len(steps)
            continue
        links = []
        state = kept.pop(action.begin)
        into = buffers if first_time else scratch
        for step, row in zip(steps, rows(schedule, steps, state.weights), strict=True):
            links.append(_linked(problem, draw, schedule, state, into, row, step))
            state = links[-1].after
        if adjoint is None:
            trained, trained_at = Trained(state, buffers), time.perf_counter()
            adjoint = Adjoint(schedule, validation_gradient(problem, trained), trained.state)
        reached = max(reached, action.end)
        ran += len(steps)
        while links:
            adjoint.step_back(links.pop())
    assert adjoint is not None
    by_step = adjoint.by_step()
    return Hypergradient(
        by_coefficient=schedule.pull_back(by_step),
        trained=trained,
        steps=ran + 2 * schedule.steps,
        seconds={"train": trained_at - began, "hypergradient": time.perf_counter() - trained_at},
        engine=engine,
        by_step=by_step,
        by_constant=adjoint.by_constant(),
        by_initial=_plain(adjoint.state.weights, adjoint.exponent),
    )


class Link(NamedTuple):
    """One step with the graph of its gradient."""

    step: int
    row: Row
    before: State
    after: State
    leaf: Tensor
    theta: dict[str, Tensor]
    slope: Tensor


def _linked(
    problem: InnerProblem,
    draw: Draw,
    schedule: Schedule,
    state: State,
    buffers: Buffers,
    row: Row,
    step: int,
) -> Link:
    leaf = state.weights.detach().requires_grad_()
    sought = schedule.jacobian.keys() | schedule.constants.keys()
    theta = {n: t.detach().requires_grad_() for n, t in row.theta.items() if n in sought}
    loss = problem.training_loss(leaf, buffers, draw.batch(step), {**row.theta, **theta})
    (slope,) = torch.autograd.grad(loss, leaf, create_graph=True)
    after = schedule.rule.update(state, slope.detach(), row.at, step)
    return Link(step, row, state, after, leaf, theta, slope)


class Adjoint:
    """The derivative of the validation loss by the state, on its way back; a sum for each constant.

    ``state`` · 2^``exponent`` is the adjoint.
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
        slope = link.slope.detach()
        pulled = pull_back(
            self._schedule.rule,
            link.before,
            slope,
            link.after,
            self.state,
            link.row.at,
            link.step,
            self._wanted,
        )
        sought = [link.leaf, *link.theta.values()]
        found: tuple[Tensor | None, ...] = (None,) * len(sought)
        if link.slope.requires_grad:  # a loss linear in the weights has no curvature
            found = torch.autograd.grad(link.slope, sought, pulled.by_gradient, allow_unused=True)
        by_theta = {
            name: torch.zeros_like(link.theta[name]) if by is None else by
            for name, by in zip(link.theta, found[1:], strict=True)
        }
        for name, by in {**pulled.by_hyperparameter, **by_theta}.items():
            self._note(name, link.step, by)
        weights = pulled.by_state.weights
        self.state = State(
            weights if found[0] is None else weights + found[0], pulled.by_state.memory
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
        top = max(float(torch.linalg.vector_norm(tensor, math.inf)) for tensor in tensors)
        if SMALL <= top <= LARGE or top == 0 or not math.isfinite(top):
            return
        shift = math.frexp(top)[1]
        weights, *memory = (_shifted(tensor, -shift) for tensor in tensors)
        self.state = State(weights, tuple(memory))
        self.exponent += shift

    def by_step(self) -> dict[str, Scaled]:
        return {name: Scaled(self._mantissa[name], self._exponent[name]) for name in self._mantissa}

    def by_constant(self) -> dict[str, Tensor]:
        return {name: _plain(*sum_) for name, sum_ in self._sums.items()}


def _add(sum_: tuple[Tensor, int] | None, by: Tensor, exponent: int) -> tuple[Tensor, int]:
    """A running sum, its tensor in float64, in the units of its largest term so far."""
    by = by.double()
    if sum_ is None:
        return by, exponent
    tensor, own = sum_
    top = max(own, exponent)
    return _shifted(tensor, own - top) + _shifted(by, exponent - top), top


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
