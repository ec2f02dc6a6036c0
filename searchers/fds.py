"""FDS: gradient descent on a shared schedule of hyperparameters, through whole trainings.

Micaelli & Storkey, "Gradient-based Hyperparameter Optimization Over Long Horizons" (NeurIPS 2021).
Their hypergradient comes from forward mode; the adjoint used here gives the same numbers at a cost
that does not depend on the number of hyperparameters.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from searchers.hypergradients.auto import Auto
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.schedules import check_space, schedule
from searchers.inner import InnerProblem
from searchers.outer import (
    SignState,
    by_unit,
    converged,
    over_the_edge,
    sign_descent,
    sign_start,
    typical,
)
from searchers.protocols import Brief, Chain, Evaluation
from searchers.space import Flat


@dataclass(frozen=True)
class FDS:
    """Sign-based outer steps from the task's initial configuration, halved when a sign flips.

    ``first_step``: the first step of every hyperparameter, as a fraction of its range in its own
    scale. ``warm_steps``: outer steps at each budget below the full one, before the full ones.
    ``tolerance``: a step whose training ends this many times above the best loss, or nowhere
    finite, went over the edge, where hypergradients say nothing: it is taken back, the point
    before it too, and every step is halved. ``last_step``: once every step is below it, the search
    has converged; it goes on from where it stands with half the first step and the median of the
    hypergradients of twice the draws, up to ``most_draws``.

    ``engine`` computes the hypergradients. Each outer step is an evaluation. At width w, w chains
    run side by side, chain k from the task's initial configuration k (modulo their number) with
    its own draws.
    """

    first_step: float = 0.1
    last_step: float = 0.01
    warm_steps: int = 1
    tolerance: float = 4.0
    most_draws: int = 8
    engine: Engine = Auto()
    name: str = "fds"

    def search(self, problem: InnerProblem, brief: Brief, chain: Chain) -> Iterator[Evaluation]:
        check_space(brief, problem)
        training, draws = chain.index, 1
        initial = brief.initial[chain.index % len(brief.initial)]
        state = sign_start(brief.space.to_unit(initial), self.first_step)
        accepted: list[Accepted] = []
        for epochs in self._budgets(brief):
            flat = brief.space.from_unit(state.point)
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
            best = min((point.loss for point in accepted), default=None)
            if over_the_edge(loss, derivative, best, self.tolerance):
                if len(accepted) > 1:
                    accepted.pop()
                back = accepted[-1] if accepted else Accepted(state, loss, derivative)
                state = back.state._replace(step=np.minimum(back.state.step, state.step) / 2)
                state = sign_descent(state, back.derivative)
            else:
                accepted.append(Accepted(state, loss, derivative))
                state = sign_descent(state, derivative)
            if converged(state, self.last_step):
                draws = min(2 * draws, self.most_draws)
                state = sign_start(state.point, self.first_step / 2)
                accepted.clear()

    def _budgets(self, brief: Brief) -> Iterator[int]:
        for epochs in brief.budgets[:-1]:
            yield from [epochs] * self.warm_steps
        while True:
            yield brief.horizon


class Accepted(NamedTuple):
    """An outer step that was kept: where, at which mean loss, with which hypergradient (D,)."""

    state: SignState
    loss: float
    derivative: np.ndarray


def evaluate(
    problem: InnerProblem, brief: Brief, flat: Flat, epochs: int, training: int, engine: Engine
) -> tuple[Evaluation, np.ndarray]:
    """Train to a budget and differentiate: the measured point, and the hypergradient.

    The hypergradient is by the fraction of each range, in the order of the space, shape (D,).
    """
    along = schedule(brief, problem, flat, epochs)
    result = engine.hypergradient(problem, problem.draw(training), along)
    began = time.perf_counter()
    metrics = problem.validation(result.trained.weights)
    validated = time.perf_counter()
    derivative = by_unit(brief.space, flat, result.by_coefficient)
    names = np.array(list(brief.space.scalars))
    nonfinite = names[~np.isfinite(derivative)].tolist()
    evaluation = Evaluation(
        training=training,
        configuration=flat,
        epochs=epochs,
        metrics=metrics,
        steps=round(result.steps),
        weights=result.trained.weights,
        seconds={**result.seconds, "validation": validated - began},
        notes={"engine": result.engine, **({"nonfinite": nonfinite} if nonfinite else {})},
    )
    return evaluation, derivative
