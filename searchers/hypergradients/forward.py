"""Forward mode: tangents of the state carried along with the training.

What FDS published (Micaelli & Storkey 2021, algorithm 1). Memory does not grow with the horizon;
the cost grows with the number of coefficients, so it is the engine for few of them, or for the
published clamp, which no other engine can reproduce. How many tangents go through one gradient, and
why that takes a package of its own, is said in `tangents`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from searchers.errors import SearcherError
from searchers.hypergradients.derivatives import push_forward
from searchers.hypergradients.engines import Hypergradient, validation_gradient
from searchers.hypergradients.scaled import scaled
from searchers.hypergradients.schedules import Schedule
from searchers.hypergradients.tangents.products import Folded, Products, fastest
from searchers.hypergradients.training import (
    Trained,
    clone,
    gradient,
    grouped,
    layout,
    rows,
    started,
)
from searchers.inner_problem import Batch, Buffers, Draw, InnerProblem, Theta
from searchers.settings import make_plain, number, whole
from searchers.stopwatch import Stopwatch
from searchers.update_rules import State


@dataclass(frozen=True)
class Forward:
    """Carries one tangent for each coefficient that has acted so far.

    Args:
        clamp: Each entry of a Hessian-vector product is clamped to ± this, as FDS does (there 1);
            None for the exact hypergradient.
        chunk: How many tangents at once; None for what a short timing probe finds fastest.
        name: What tables call the engine.
    """

    clamp: float | None = None
    chunk: int | None = None
    name: str = "forward"

    def __post_init__(self) -> None:
        make_plain(self)
        if self.clamp is not None:
            number("clamp", self.clamp, 0.0)
        if self.chunk is not None:
            whole("chunk, the tangents at once,", self.chunk, 1)

    def hypergradient(self, problem: InnerProblem, draw: Draw, schedule: Schedule) -> Hypergradient:
        """The hypergradient of one training, carried along with it; see `Engine`.

        Raises:
            SearcherError: If the schedule has constants, or an operator of the training loss
                cannot be followed.
        """
        if schedule.constants:
            names = ", ".join(schedule.constants)
            raise SearcherError(
                f"forward mode has no derivative by constants ({names}): use Stored"
            )
        laps = Stopwatch(problem.device)
        directions, begin = Directions(schedule), started(problem, draw, schedule)
        state, buffers, tangent = begin.state, clone(begin.buffers), directions.zeros(begin.state)
        carried = 0  # tangents through a gradient, in all steps
        products: Products | None = None if self.chunk is None else Folded(self.chunk)
        for step, row in enumerate(rows(schedule, range(schedule.steps), state.weights)):
            count, moving = directions.active(step), directions.moving(step)
            carried += moving
            weights = state.weights, tangent.weights[:moving]
            theta = directions.by_theta(step, moving, state.weights.device)
            loss = _Loss(problem, draw.batch(step), buffers, row.theta, list(theta))
            if products is None and moving:
                products = loss.fastest(state.weights, directions.moving(schedule.steps - 1))
            slope, change = _gradient(loss, weights, theta, products)
            if self.clamp is not None:
                change.clamp_(-self.clamp, self.clamp)
            after = schedule.rule.update(state, slope, row.at, step)
            moved = push_forward(
                schedule.rule,
                state,
                slope,
                State(tangent.weights[:count], tuple(m[:count] for m in tangent.memory)),
                torch.cat([change, change.new_zeros(count - moving, len(slope))]),
                row.at,
                directions.by_rule(step, count),
                step,
            )
            for full, part in zip(
                (tangent.weights, *tangent.memory), (moved.weights, *moved.memory), strict=True
            ):
                if part.data_ptr() != full.data_ptr():  # else it was written in place
                    full[:count] = part
            state = after
        trained = Trained(state, buffers)
        by_direction = tangent.weights.double() @ validation_gradient(problem, trained).double()
        by_coefficient = scaled(directions.in_order(by_direction.cpu().numpy()))
        laps.end("hypergradient")  # and the training, which runs step by step with it
        return Hypergradient(
            by_coefficient=by_coefficient,
            trained=trained,
            steps=schedule.steps + 2 * carried,
            seconds=laps.seconds,
            engine=self.name if self.clamp is None else f"{self.name}, clamped to ±{self.clamp:g}",
        )


@dataclass(frozen=True)
class _Loss:
    """One step's training loss as a function of the weights and of the moving θ."""

    problem: InnerProblem
    batch: Batch
    buffers: Buffers
    theta: Theta
    names: list[str]

    def __call__(self, vector: Tensor, *moving: Tensor) -> Tensor:
        theta = {**self.theta, **dict(zip(self.names, moving, strict=True))}
        return self.problem.training_loss(vector, self.buffers, self.batch, theta)

    def fastest(self, vector: Tensor, count: int) -> Products:
        return fastest(replace(self, buffers=clone(self.buffers), names=[]), vector, count)


def _gradient(
    loss: _Loss,
    weights: tuple[Tensor, Tensor],
    theta: Mapping[str, Tensor],
    products: Products | None,
) -> tuple[Tensor, Tensor]:
    """The gradient (P,), and its change along every moving tangent, (K, P)."""
    vector, tangents = weights
    if products is None or not len(tangents):
        slope = gradient(loss.problem, vector, loss.buffers, loss.batch, loss.theta)
        return slope, torch.zeros_like(tangents)
    inputs = (vector, *(loss.theta[name] for name in loss.names))
    return products(loss, inputs, (tangents, *theta.values()))


class Directions:
    """The tangents' part of a schedule: its coefficients in the order in which they begin to act.

    Until then a tangent is zero and costs nothing.
    """

    def __init__(self, schedule: Schedule):
        self._schedule = schedule
        first = np.full(schedule.coefficients, schedule.steps)
        for by in schedule.jacobian.values():
            entries = by.tocoo()
            step, coefficient = entries.coords
            np.minimum.at(first, coefficient, np.where(entries.data != 0, step, schedule.steps))
        self._order = np.argsort(first, kind="stable")
        self._place = np.argsort(self._order)
        self._first = first[self._order]
        rule = schedule.rule.defaults
        self._theta = [n for n in schedule.jacobian if n.partition(".")[0] not in rule]

    def active(self, step: int) -> int:
        """How many coefficients have acted by the end of this step."""
        return int(np.searchsorted(self._first, step, side="right"))

    def moving(self, step: int) -> int:
        """How many change this step's gradient."""
        return self.active(step if self._theta else step - 1)

    def zeros(self, state: State) -> State:
        """Tangents of the initial state, (D, P) each."""
        shape = (self._schedule.coefficients, len(state.weights))
        return State(
            state.weights.new_zeros(shape), tuple(m.new_zeros(shape) for m in state.memory)
        )

    def by_rule(self, step: int, count: int) -> dict[str, Tensor]:
        """The tangents of the update rule's hyperparameters, (count,) or (count, P)."""
        schedule = self._schedule
        rows = {n: self._row(n, step, count) for n in schedule.jacobian if n not in self._theta}
        result: dict[str, Tensor] = {}
        for name in sorted({name.partition(".")[0] for name in rows}):
            if name not in grouped(schedule):
                result[name] = rows[name]
                continue
            names, index = layout(schedule, name)
            still = torch.zeros(count, dtype=torch.float64)
            table = torch.stack([rows.get(each, still) for each in names], dim=1)
            result[name] = table.to(index.device)[:, index]
        return result

    def by_theta(self, step: int, count: int, device: torch.device) -> dict[str, Tensor]:
        """The tangents of the loss's hyperparameters, (count,) each, on the device of the loss."""
        return {name: self._row(name, step, count).to(device) for name in self._theta}

    def in_order(self, values: np.ndarray) -> np.ndarray:
        """Back to the order of the coefficients."""
        return values[self._place]

    def _row(self, name: str, step: int, count: int) -> Tensor:
        by = self._schedule.jacobian[name]
        part = slice(by.indptr[step], by.indptr[step + 1])
        row = np.zeros(self._schedule.coefficients)
        row[self._place[by.indices[part]]] = by.data[part]
        return torch.from_numpy(row[:count])
