"""FDS: gradient descent on a shared schedule of hyperparameters, through whole trainings.

Micaelli & Storkey, "Gradient-based Hyperparameter Optimization Over Long Horizons" (NeurIPS 2021).
Their hypergradient comes from forward mode; the adjoint used here gives the same numbers at a cost
that does not depend on the number of hyperparameters. `FDSPublished` is FDS as they ran it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from searchers.gradient.backtracking import SearchPath, advanced, converged, typical
from searchers.gradient.measured_points import evaluate, measure
from searchers.gradient.outer_optimizers import OuterOptimizer, SignDescent
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.schedules import check_space
from searchers.inner_problem import InnerProblem
from searchers.protocols import Brief, Chain, Evaluation
from searchers.settings import instance, make_plain, number, whole


@dataclass(frozen=True)
class FDS:
    """Sign-based outer steps from the task's initial configuration, halved when a sign flips.

    A hyperparameter whose hypergradient is NaN stays for that step, and the evaluation says so.
    The initial configuration is trained in full first, so that no search ends above what it was
    offered. Each training is an evaluation. At width w, w chains run side by side, chain k from the
    task's initial configuration k (modulo their number) with its own draws.

    Args:
        outer: how it steps.
        last_step: once every step is below it, the search has converged; it goes on from where it
            stands with half the first step and the median of the hypergradients of twice the
            draws. (An optimizer whose steps do not shrink by themselves never gets there.)
        warm_steps: outer steps at each budget below the full one, before the full ones.
        tolerance: a step whose training ends this many times above the best loss, or nowhere
            finite, went over the edge, where hypergradients say nothing: it is taken back, the
            point before it too, and every step is halved.
        draws: trainings at each point, their hypergradients' median taken.
        most_draws: how many these may become.
        engine: computes the hypergradients.
        name: what it is called in tables and files.
    """

    outer: OuterOptimizer = field(default_factory=SignDescent)
    last_step: float = 0.01
    warm_steps: int = 1
    tolerance: float = 4.0
    draws: int = 1
    most_draws: int = 8
    engine: Engine = Auto()
    name: str = "fds"

    def __post_init__(self) -> None:
        make_plain(self)
        instance("outer", self.outer, OuterOptimizer, "SignDescent()")
        instance("engine", self.engine, Engine, "Auto()")
        number("last_step", self.last_step, 0.0, 1.0)
        number("tolerance", self.tolerance, 1.0)
        whole("warm_steps", self.warm_steps, 0)
        whole("draws", self.draws, 1)
        whole("most_draws", self.most_draws, self.draws)

    def search(self, problem: InnerProblem, brief: Brief, chain: Chain) -> Iterator[Evaluation]:
        check_space(brief, problem)
        training, draws = chain.index, self.draws
        initial = brief.initial[chain.index % len(brief.initial)]
        path = SearchPath(self.outer.init(brief.space.to_unit(initial)))
        if self.warm_steps and len(brief.budgets) > 1:  # else the first step measures it
            yield measure(problem, brief, initial, brief.horizon, training)
            training += chain.of
        for epochs in self._budgets(brief):
            flat = brief.space.from_unit(path.state.point)
            losses, derivatives = [], []
            for _ in range(draws):
                evaluation, derivative = evaluate(
                    problem, brief, flat, epochs, training, self.engine
                )
                losses.append(evaluation.metrics.loss)
                derivatives.append(derivative)
                training += chain.of
                yield evaluation
            loss, derivative = float(np.mean(losses)), typical(derivatives)
            path = advanced(path, self.outer, loss, derivative, self.tolerance)
            if converged(path.state, self.last_step):
                draws = min(2 * draws, self.most_draws)
                again = self.outer.init(path.state.point)
                path = SearchPath(again._replace(step=again.step / 2))

    def _budgets(self, brief: Brief) -> Iterator[int]:
        for epochs in brief.budgets[:-1]:
            yield from [epochs] * self.warm_steps
        while True:
            yield brief.horizon
