"""FDS as its authors ran it, for comparison with `FDS`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain as joined
from itertools import repeat

import numpy as np

from searchers.gradient.measured_points import evaluate, measure
from searchers.gradient.outer_optimizers import OuterState, SignDescent
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.schedules import check_space
from searchers.inner_problem import InnerProblem
from searchers.protocols import Brief, Chain, Evaluation
from searchers.settings import make_plain, number
from searchers.space import Space


@dataclass(frozen=True)
class FDSPublished:
    """FDS as published: forward mode with clamped Hessian-vector products, and plain sign steps.

    Micaelli & Storkey (NeurIPS 2021) and their code. The first outer step is at the task's
    smallest budget, all others at the full one. Once converged it trains its last schedule and
    ends, as theirs did, though a clock may have time left. There are no safeguards and no restarts,
    and one draw for each outer step.

    What differs: bounds are kept to (theirs had none), and in the scale of each range, log ones
    too; a sign is compared with the last one known, also over a NaN, where theirs was forgotten;
    validation uses the task's own mode of normalisation. Their training clamped gradients to ±3:
    in a comparison every searcher trains with the task's own rule, so here this does not (a task
    has it with the rule ``SGD(clamp=3.0)``).

    Args:
        first_step: a fraction of every range, as theirs were (0.1 for learning rate and momentum,
            3e-4 for weight decay, over ranges ten times as wide); halved when a sign flips.
        clamp: each entry of a Hessian-vector product is clamped to ± this.
        converged_at: it has converged once every step is below this fraction of its
            hyperparameter's value.
        name: what it is called in tables and files.
    """

    first_step: float = 0.1
    clamp: float = 1.0
    converged_at: float = 0.05
    name: str = "fds_published"

    def __post_init__(self) -> None:
        make_plain(self)
        number("first_step, a fraction of every range,", self.first_step, 0.0, 1.0)
        number("clamp", self.clamp, 0.0)
        number("converged_at", self.converged_at, 0.0)

    @property
    def engine(self) -> Forward:
        """What computes its hypergradients."""
        return Forward(clamp=self.clamp)

    def search(self, problem: InnerProblem, brief: Brief, chain: Chain) -> Iterator[Evaluation]:
        check_space(brief, problem)
        outer = SignDescent(self.first_step)
        training, space = chain.index, brief.space
        initial = brief.initial[chain.index % len(brief.initial)]
        state = outer.init(space.to_unit(initial))
        if len(brief.budgets) > 1:  # else the first step measures it
            yield measure(problem, brief, initial, brief.horizon, training)
            training += chain.of
        for epochs in joined(brief.budgets[:-1][:1], repeat(brief.horizon)):
            flat = space.from_unit(state.point)
            evaluation, derivative = evaluate(problem, brief, flat, epochs, training, self.engine)
            yield evaluation
            training += chain.of
            before, state = state, outer.update(state, derivative)
            if _relative(space, before, state.step).max() < self.converged_at:
                break
        yield measure(problem, brief, space.from_unit(state.point), brief.horizon, training)


def _relative(space: Space, state: OuterState, step: np.ndarray) -> np.ndarray:
    """Step sizes as fractions of the values that they would change, (D,); inf where one is 0."""
    flat = space.from_unit(state.point)
    values = np.array([float(flat[name]) for name in space.scalars])
    with np.errstate(divide="ignore"):
        return np.abs(space.unit_slopes(flat) * step / values)
