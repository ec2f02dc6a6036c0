"""RMD: reverse-mode differentiation of whole trainings, with a value for every step.

Maclaurin, Duvenaud & Adams, "Gradient-based Hyperparameter Optimization through Reversible
Learning" (ICML 2015), with the task's own update rule and a stored or checkpointed trajectory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import hypot

import numpy as np

from searchers.gradient.backtracking import SearchPath, advanced
from searchers.gradient.measured_points import (
    evaluate,
    hypergradient_note,
    nonfinite,
    schedule_note,
)
from searchers.gradient.outer_optimizers import AdamDescent, OuterOptimizer
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.schedules import check_space, schedule_values, window_means
from searchers.inner_problem import InnerProblem
from searchers.protocols import Brief, Chain, Evaluation
from searchers.settings import instance, make_plain, number
from searchers.space import Flat, Space, Vector


@dataclass(frozen=True)
class RMD:
    """Adam on per-step schedules of the hyperparameters that the task has schedules for.

    Hyperparameters that are vectors in the task's space get one value a step, the others one
    value. A value whose hypergradient is NaN stays for that step, and the evaluation says so.

    Each outer step is a full evaluation; its configuration holds the mean of each window, its
    ``schedule`` note the value of each step, its ``hypergradient`` note, of what has a value a
    step, the norm over the steps. At width w, w chains run side by side, chain k from the task's
    initial configuration k (modulo their number) with its own draws.

    Args:
        outer: how it steps.
        tolerance: a step whose training ends this many times above the best loss, or nowhere
            finite, went over the edge: it is taken back, the one before it too, and the step sizes
            are halved.
        engine: computes the hypergradients.
        name: what it is called in tables and files.
    """

    outer: OuterOptimizer = field(default_factory=AdamDescent)
    tolerance: float = 4.0
    engine: Engine = Auto()
    name: str = "rmd"

    def __post_init__(self) -> None:
        make_plain(self)
        instance("outer", self.outer, OuterOptimizer, "AdamDescent()")
        instance("engine", self.engine, Engine, "Auto()")
        number("tolerance", self.tolerance, 1.0)

    def search(self, problem: InnerProblem, brief: Brief, chain: Chain) -> Iterator[Evaluation]:
        check_space(brief, problem)
        fine, training = per_step(brief, brief.horizon * problem.steps_per_epoch), chain.index
        initial = fine.initial[chain.index % len(fine.initial)]
        path = SearchPath(self.outer.init(fine.space.to_unit(initial)))
        while True:
            flat = fine.space.from_unit(path.state.point)
            evaluation, derivative = evaluate(
                problem, fine, flat, brief.horizon, training, self.engine
            )
            yield _in_windows(evaluation, derivative, brief.space, fine.space)
            training += chain.of
            loss = evaluation.metrics.loss
            path = advanced(path, self.outer, loss, derivative, self.tolerance)


def per_step(brief: Brief, steps: int) -> Brief:
    """The brief with one value a step wherever its space has a vector."""
    domains = brief.space.domains
    space = Space(
        {
            name: Vector(steps, domain.element) if isinstance(domain, Vector) else domain
            for name, domain in domains.items()
        }
    )

    def refine(flat: Flat) -> Flat:
        values = schedule_values(brief.space, flat, steps)
        refined: Flat = {}
        for name in domains:
            keys = space.names_of(name)
            refined |= dict(zip(keys, values[name][: len(keys)].tolist(), strict=True))
        return space.check(refined)

    initial = tuple(refine(flat) for flat in brief.initial)
    return replace(brief, space=space, initial=initial, default=refine(brief.default))


def _in_windows(
    evaluation: Evaluation, derivative: np.ndarray, coarse: Space, fine: Space
) -> Evaluation:
    """The evaluation as the task's space has it: window means, the steps' values in a note."""
    flat, by = evaluation.configuration, dict(zip(fine.scalars, derivative, strict=True))
    values = {n: np.array([float(flat[k]) for k in fine.names_of(n)]) for n in coarse.domains}
    scheduled = {n: values[n] for n, d in coarse.domains.items() if isinstance(d, Vector)}
    gone = set(evaluation.notes.get("nonfinite", ()))
    names = [name for name in coarse.domains if gone.intersection(fine.names_of(name))]
    norms = {n: hypot(*(by[k] for k in fine.names_of(n))) for n in scheduled}
    slopes = {n: norms[n] if n in scheduled else by[n] for n in coarse.domains}
    notes = {
        "engine": evaluation.notes["engine"],
        "schedule": schedule_note(scheduled),
        **hypergradient_note(slopes),
        **nonfinite(names),
    }
    return replace(evaluation, configuration=window_means(coarse, values), notes=notes)
