"""Reverse mode: back through a whole training, step by step.

The adjoint of the update rule (Maclaurin, Duvenaud & Adams 2015, for SGD with momentum) gives the
derivative of the final validation loss by every hyperparameter at every step in one sweep; its cost
does not depend on how many there are. Summed over windows it is the hypergradient of FDS; left as
it is, that of RMD.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from searchers.hypergradients.adjoint import Adjoint, Link, sloped_at
from searchers.hypergradients.checkpoints import (
    Advance,
    Plan,
    binomial,
    lightest_segment,
    segments,
)
from searchers.hypergradients.engines import Hypergradient, validation_gradient
from searchers.hypergradients.schedules import Schedule
from searchers.hypergradients.training import Row, Trained, clone, rows, started, train
from searchers.inner_problem import Buffers, Draw, InnerProblem
from searchers.settings import make_plain, whole
from searchers.stopwatch import Stopwatch
from searchers.update_rules import State


@dataclass(frozen=True)
class Stored:
    """Keeps the state before every step; about 4.4 steps a step.

    Args:
        name: what it is called in tables and files.
    """

    name: str = "stored"

    def hypergradient(self, problem: InnerProblem, draw: Draw, schedule: Schedule) -> Hypergradient:
        return sweep(problem, draw, schedule, segments(schedule.steps, 1), self.name)


@dataclass(frozen=True)
class Graphs:
    """Keeps the graph of every step, and so repeats none: the fastest where they fit.

    Args:
        name: what it is called in tables and files.
    """

    name: str = "graphs"

    def hypergradient(self, problem: InnerProblem, draw: Draw, schedule: Schedule) -> Hypergradient:
        return sweep(problem, draw, schedule, segments(schedule.steps, schedule.steps), self.name)


@dataclass(frozen=True)
class Checkpointed:
    """Keeps a state at each segment's start and the graphs of one segment at a time.

    Memory grows as √T; every step is repeated once, so the cost is that of `Stored`.

    Args:
        segment: steps in a segment; None for the length that needs the least memory.
        name: what it is called in tables and files.
    """

    segment: int | None = None
    name: str = "checkpointed"

    def __post_init__(self) -> None:
        make_plain(self)
        if self.segment is not None:
            whole("segment, the steps between checkpoints,", self.segment, 1)

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
    and time can both grow as log T (Griewank 1992).

    Args:
        slots: the number of checkpoints.
        name: what it is called in tables and files.
    """

    slots: int = 8
    name: str = "binomial"

    def __post_init__(self) -> None:
        make_plain(self)
        whole("slots, the number of checkpoints,", self.slots, 1)

    def hypergradient(self, problem: InnerProblem, draw: Draw, schedule: Schedule) -> Hypergradient:
        plan = binomial(0, schedule.steps, self.slots)
        return sweep(problem, draw, schedule, plan, f"{self.name}, {self.slots} checkpoints")


def step_bytes(problem: InnerProblem, draw: Draw, schedule: Schedule) -> tuple[int, int]:
    """What one state and one step's graph take, in bytes; costs one step."""
    begin = started(problem, draw, schedule)
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
    """Train along the schedule and go back through it.

    Args:
        problem: what is trained.
        draw: its initial weights and batches.
        schedule: its hyperparameters.
        plan: which states are kept, and in which order it goes back.
        engine: whose hypergradient it is, in words.
    """
    laps = Stopwatch(problem.device)
    begin = started(problem, draw, schedule)
    kept, buffers, reached = {0: begin.state}, clone(begin.buffers), 0
    scratch = clone(begin.buffers)  # for repeated steps, whose running statistics count no more
    adjoint: Adjoint | None = None
    trained, ran = begin, 0
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
            trained = Trained(state, buffers)
            laps.end("train")
            adjoint = Adjoint(schedule, validation_gradient(problem, trained), trained.state)
        reached = max(reached, action.end)
        ran += len(steps)
        while links:
            adjoint.step_back(links.pop())
    assert adjoint is not None
    by_step = adjoint.by_step()
    by_coefficient = schedule.pull_back(by_step)
    laps.end("hypergradient")
    return Hypergradient(
        by_coefficient=by_coefficient,
        trained=trained,
        steps=ran + 2 * schedule.steps,
        seconds=laps.seconds,
        engine=engine,
        by_step=by_step,
        by_constant=adjoint.by_constant(),
        by_initial=adjoint.by_initial(),
    )


def _linked(
    problem: InnerProblem,
    draw: Draw,
    schedule: Schedule,
    state: State,
    buffers: Buffers,
    row: Row,
    step: int,
) -> Link:
    sloped = sloped_at(problem, draw, schedule, state.weights, buffers, row, step)
    after = schedule.rule.update(state, sloped.slope.detach(), row.at, step)
    return Link(step, row, state, after, sloped)
