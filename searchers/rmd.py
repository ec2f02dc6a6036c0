"""RMD: reverse-mode differentiation of whole trainings, with a value for every step.

Maclaurin, Duvenaud & Adams, "Gradient-based Hyperparameter Optimization through Reversible
Learning" (ICML 2015), with the task's own update rule and a stored or checkpointed trajectory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from searchers.fds import evaluate
from searchers.hd import significant
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.schedules import check_space, schedule_values, window_means
from searchers.inner import InnerProblem
from searchers.outer import adam_descent, adam_start, over_the_edge
from searchers.protocols import Brief, Chain, Evaluation
from searchers.space import Flat, Space, Vector

RECOVERY = 1.1


@dataclass(frozen=True)
class RMD:
    """Adam on per-step schedules of the hyperparameters that the task has schedules for.

    Hyperparameters that are vectors in the task's space get one value a step, the others one
    value. Adam works on fractions of each range in its own scale, with ``step`` as its step size.
    A step whose training ends ``tolerance`` times above the best loss, or nowhere finite, went
    over the edge: it is taken back, the step size halved (it recovers by a tenth with each step
    that holds) and Adam started afresh.

    Each outer step is a full evaluation; its configuration holds the mean of each window, its
    ``schedule`` note the value of each step. At width w, w chains run side by side, chain k from
    the task's initial configuration k (modulo their number) with its own draws.
    """

    step: float = 0.05
    tolerance: float = 4.0
    engine: Engine = Auto()
    name: str = "rmd"

    def search(self, problem: InnerProblem, brief: Brief, chain: Chain) -> Iterator[Evaluation]:
        check_space(brief, problem)
        fine = per_step(brief, brief.horizon * problem.steps_per_epoch)
        initial = fine.initial[chain.index % len(fine.initial)]
        state = adam_start(fine.space.to_unit(initial))
        safe, size, training = state.point, self.step, chain.index
        best: float | None = None
        while True:
            flat = fine.space.from_unit(state.point)
            evaluation, derivative = evaluate(
                problem, fine, flat, brief.horizon, training, self.engine
            )
            yield _in_windows(evaluation, brief.space, fine.space)
            training += chain.of
            loss = evaluation.metrics.loss
            if over_the_edge(loss, derivative, best, self.tolerance):
                size /= 2
                state = adam_start(safe)
            else:
                safe, best = state.point, loss if best is None else min(best, loss)
                size = min(RECOVERY * size, self.step)
                state = adam_descent(state, derivative, size)


def per_step(brief: Brief, steps: int) -> Brief:
    """The brief with one value a step wherever its space has a vector."""
    space = Space(
        {
            name: Vector(steps, domain.element) if isinstance(domain, Vector) else domain
            for name, domain in brief.space.domains.items()
        }
    )

    def refine(flat: Flat) -> Flat:
        values = schedule_values(brief.space, flat, steps)
        return space.check(
            {
                key: value
                for name, domain in brief.space.domains.items()
                for key, value in (
                    [(f"{name}_{t}", v) for t, v in enumerate(values[name].tolist())]
                    if isinstance(domain, Vector)
                    else [(name, flat[name])]
                )
            }
        )

    initial = tuple(refine(flat) for flat in brief.initial)
    return replace(brief, space=space, initial=initial, default=refine(brief.default))


def _in_windows(evaluation: Evaluation, coarse: Space, fine: Space) -> Evaluation:
    """The evaluation as the task's space has it: window means, the steps' values in a note."""
    nested = fine.nest(evaluation.configuration)
    values = {name: np.atleast_1d(np.asarray(value, float)) for name, value in nested.items()}
    scheduled = [name for name, domain in coarse.domains.items() if isinstance(domain, Vector)]
    notes: dict[str, Any] = {"schedule": {name: significant(values[name]) for name in scheduled}}
    lost = evaluation.notes.get("nonfinite")
    if lost:
        notes["nonfinite"] = [
            name
            for name, domain in coarse.domains.items()
            if any(key == name or key.startswith(f"{name}_") for key in lost)
        ]
    return replace(evaluation, configuration=window_means(coarse, values), notes=notes)
