"""Reverse mode without a stored trajectory: the training runs backward, bit for bit.

Maclaurin, Duvenaud & Adams (2015): weights and velocity are fixed-point integers, and what the
momentum forgets is kept in a buffer, log₂(1/momentum) bits a weight and step, where storing weights
and velocity takes 64. On the way back each state is recomputed exactly and the adjoint carried
along; rounding counts as the identity in the derivative.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from searchers.errors import SearcherError
from searchers.hypergradients.adjoint import Adjoint, Link, sloped_at
from searchers.hypergradients.engines import Hypergradient, validation_gradient
from searchers.hypergradients.reversible_arithmetic import (
    LARGEST_DENOMINATOR,
    InformationBuffer,
    as_ratio,
    check_range,
    to_integers,
)
from searchers.hypergradients.schedules import Schedule
from searchers.hypergradients.training import Row, Trained, clone, gradient, rows, started
from searchers.inner_problem import Buffers, Draw, InnerProblem
from searchers.settings import make_plain
from searchers.stopwatch import Stopwatch
from searchers.update_rules import SGD, Maclaurin, State, UpdateRule, Value


@dataclass(frozen=True)
class Reversible:
    """Keeps no states, only what each multiplication by the momentum loses.

    For `SGD` without Nesterov's momentum and for `Maclaurin`. Momentum is rounded to ratios n/d
    before the training, and the hypergradient is that of the rounded schedule. Costs about 4 steps
    a step; small networks, whose gradients are cheap, half a step more.

    Args:
        fraction_bits: set the resolution 2^−fraction_bits and with it the range
            ±2^(50−fraction_bits) of weights and velocity.
        largest_denominator: the largest d.
        name: what it is called in tables and files.

    Raises:
        OutOfRange: a number left the range, as when a training diverges.
        SearcherError: it cannot be reversed, or the way back did not end at the initial weights:
            gradients have to be the same, bit for bit, whenever they are computed.
    """

    fraction_bits: int = 40
    largest_denominator: int = 1000
    name: str = "reversible"

    def __post_init__(self) -> None:
        make_plain(self)
        if self.fraction_bits not in range(1, 50):
            raise SearcherError(
                f"fixed-point numbers have 1 to 49 fraction bits, not {self.fraction_bits}"
            )
        as_ratio(1.0, self.largest_denominator)  # refuses a denominator that is too large

    def hypergradient(self, problem: InnerProblem, draw: Draw, schedule: Schedule) -> Hypergradient:
        laps = Stopwatch(problem.device)
        schedule = with_ratios(schedule, self.largest_denominator)
        begin = started(problem, draw, schedule)
        exact = ExactState(begin.state.weights, self.fraction_bits)
        buffers = clone(begin.buffers)
        train_exactly(problem, draw, schedule, exact, buffers)
        trained = Trained(exact.state(), buffers)
        laps.end("train")

        bits = exact.buffer.bits() / len(exact.weights) / max(schedule.steps, 1)
        adjoint = Adjoint(schedule, validation_gradient(problem, trained), trained.state)
        go_back_exactly(problem, draw, schedule, exact, clone(begin.buffers), adjoint)
        check_returned(exact, begin.state.weights)
        by_step = adjoint.by_step()
        by_coefficient = schedule.pull_back(by_step)
        laps.end("hypergradient")
        return Hypergradient(
            by_coefficient=by_coefficient,
            trained=trained,
            steps=4 * schedule.steps,
            seconds=laps.seconds,
            engine=f"{self.name}, {bits:.3f} bits a weight and step",
            by_step=by_step,
            by_constant=adjoint.by_constant(),
            by_initial=adjoint.by_initial(),
        )


class Linear(NamedTuple):
    """One step of a reversible rule: v ← ratio · v + pull · (g + decay · w), w ← w + move · v.

    Args:
        ratio: the momentum.
        pull: what the gradient g enters the velocity with.
        decay: the weight decay.
        move: what the velocity enters the weights with.
        clamp: g is first clamped to ± this; None for not at all.
    """

    ratio: Fraction
    pull: float
    decay: Value
    move: Value
    clamp: float | None = None


def with_ratios(schedule: Schedule, largest_denominator: int = 1000) -> Schedule:
    """The schedule with each step's momentum rounded to a ratio n/d.

    Raises a SearcherError if the rule or a momentum cannot be reversed exactly.
    """
    rule = schedule.rule
    if not (isinstance(rule, Maclaurin) or (isinstance(rule, SGD) and not rule.nesterov)):
        raise SearcherError(
            f"the update rule {rule.name} cannot be reversed exactly, only sgd and maclaurin: "
            "use the checkpointed engine"
        )
    for name in (*schedule.values, *schedule.constants):
        base, _, group = name.partition(".")
        if base in ("momentum", "dampening") and (group or name in schedule.constants):
            raise SearcherError(
                f"{name}: exact reversal multiplies all weights' velocity by one ratio: "
                f"give {base} for all weights alike, or use the checkpointed engine"
            )
    ratios = [float(as_ratio(m, largest_denominator)) for m in schedule.values["momentum"].tolist()]
    return dataclasses.replace(schedule, values={**schedule.values, "momentum": np.array(ratios)})


class ExactState:
    """Weights and velocity, each of shape (P,), as integers in units of 2^−fraction_bits.

    Every change can be undone bit for bit, in the opposite order.

    Args:
        weights: the initial ones, (P,).
        fraction_bits: the resolution.
    """

    def __init__(self, weights: Tensor, fraction_bits: int):
        self.fraction_bits = fraction_bits
        self.weights = to_integers(weights, fraction_bits)
        self.velocity = torch.zeros_like(self.weights)
        self.buffer = InformationBuffer(len(weights), weights.device)
        self._dtype = weights.dtype
        self._unit = 2.0**-fraction_bits
        self._scratch = torch.empty_like(self.weights)

    def state(self) -> State:
        """As ordinary numbers, in the dtype of the weights that it began with."""
        return State(self.ordinary(self.weights), (self.ordinary(self.velocity),))

    def ordinary(self, integers: Tensor) -> Tensor:
        """Integers as ordinary numbers, in that dtype."""
        return integers.to(self._dtype, copy=True).mul_(self._unit)

    def pull(self, gradient: Tensor, linear: Linear) -> None:
        """v ← ratio · v + pull · (g + decay · w)."""
        self.buffer.multiply(self.velocity, linear.ratio)
        self.velocity.add_(self._pulled(gradient, linear))
        check_range(self.velocity, self.fraction_bits, "the velocity")

    def undo_pull(self, gradient: Tensor, linear: Linear) -> None:
        """At the weights, and with the gradient, of the pull."""
        self.velocity.sub_(self._pulled(gradient, linear))
        self.buffer.undo(self.velocity)

    def move(self, linear: Linear) -> None:
        """w ← w + move · v."""
        self.weights.add_(self._moved(linear))
        check_range(self.weights, self.fraction_bits, "the weights")

    def undo_move(self, linear: Linear) -> None:
        """With the velocity of the move."""
        self.weights.sub_(self._moved(linear))

    def _pulled(self, gradient: Tensor, linear: Linear) -> Tensor:
        pulled = self._scratch.copy_(gradient)
        if linear.clamp is not None:
            pulled.clamp_(-linear.clamp, linear.clamp)
        if isinstance(linear.decay, Tensor):
            pulled.addcmul_(linear.decay.double(), self.weights, value=self._unit)
        elif linear.decay:
            pulled.add_(self.weights, alpha=linear.decay * self._unit)
        return pulled.mul_(linear.pull / self._unit).round_()

    def _moved(self, linear: Linear) -> Tensor:
        return torch.mul(self.velocity, linear.move, out=self._scratch).round_()


def train_exactly(
    problem: InnerProblem,
    draw: Draw,
    schedule: Schedule,
    exact: ExactState,
    buffers: Buffers,
) -> None:
    """Run the whole schedule; changes ``exact`` and, as training does, ``buffers``."""
    like = exact.ordinary(exact.weights)
    for step, row in enumerate(rows(schedule, range(schedule.steps), like)):
        linear = _linear(schedule.rule, row, step)
        weights = exact.ordinary(exact.weights)
        exact.pull(gradient(problem, weights, buffers, draw.batch(step), row.theta), linear)
        exact.move(linear)


def go_back_exactly(
    problem: InnerProblem,
    draw: Draw,
    schedule: Schedule,
    exact: ExactState,
    scratch: Buffers,
    adjoint: Adjoint,
) -> None:
    """Undo the whole training, carrying the adjoint back; ``scratch`` takes running statistics."""
    after = exact.state()
    for step in reversed(range(schedule.steps)):
        (row,) = rows(schedule, range(step, step + 1), after.weights)
        linear = _linear(schedule.rule, row, step)
        exact.undo_move(linear)
        weights = exact.ordinary(exact.weights)
        sloped = sloped_at(problem, draw, schedule, weights, scratch, row, step)
        exact.undo_pull(sloped.slope.detach(), linear)
        before = State(weights, (exact.ordinary(exact.velocity),))
        adjoint.step_back(Link(step, row, before, after, sloped))
        after = before


def check_returned(exact: ExactState, initial: Tensor) -> None:
    """Raise a SearcherError unless the way back has ended where the training began."""
    begun = to_integers(initial, exact.fraction_bits)
    if torch.equal(exact.weights, begun) and not exact.velocity.any() and exact.buffer.empty:
        return
    raise SearcherError(
        "the way back did not end at the initial weights: gradients were not the same, bit for "
        "bit, when computed again (other kernels, threads or batches); make them deterministic, "
        "or use the checkpointed engine"
    )


def _linear(rule: UpdateRule, row: Row, step: int) -> Linear:
    momentum, rate, decay = (row.at[n] for n in ("momentum", "learning_rate", "weight_decay"))
    assert isinstance(momentum, float)
    ratio = as_ratio(momentum, LARGEST_DENOMINATOR)
    if isinstance(rule, Maclaurin):
        return Linear(ratio, momentum - 1.0, decay, rate)
    assert isinstance(rule, SGD)
    dampening = row.at["dampening"]
    assert isinstance(dampening, float)
    return Linear(ratio, 1.0 if step == 0 else 1.0 - dampening, decay, -rate, rule.clamp)
