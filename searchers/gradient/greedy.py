"""Greedy hypergradients: hyperparameters that change during the training, looking H steps ahead.

What the FDS paper compares with (Micaelli & Storkey 2021): the training is cut into windows of H
steps, and the end of each is taken for the end of the training. H = 1 is the most myopic case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, eye_array
from torch import Tensor

from searchers.gradient.measured_points import lost, nonfinite, schedule_note
from searchers.gradient.outer_optimizers import GradientDescent, OuterOptimizer
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.reverse import Graphs
from searchers.hypergradients.schedules import (
    Schedule,
    by_unit,
    check_space,
    schedule_values,
    window_means,
)
from searchers.hypergradients.training import Trained, start, train
from searchers.inner_problem import Batch, Draw, InnerProblem, Weights
from searchers.protocols import Brief, Chain, Evaluation
from searchers.rng import stream
from searchers.settings import instance, make_plain, whole
from searchers.space import Flat, Space, Vector
from searchers.stopwatch import Stopwatch
from searchers.update_rules import State, UpdateRule, Values


@dataclass(frozen=True)
class Greedy:
    """Trainings that change all their hyperparameters every ``horizon`` steps, greedily.

    Each hyperparameter has one value at a time. After each window of ``horizon`` steps the
    validation loss is differentiated by the values in that window and they make a step; the
    training goes on from where it stands. What this ignores is all that a
    window's values do to the training after its end. As a small learning rate lowers a noisy loss
    at once and costs progress only later, short horizons choose it too small (Wu et al. 2018).

    The first training starts from the task's initial configuration, each later one from a draw of
    the prior; of a schedule that is its first value. Every training is a full evaluation; its
    configuration holds the mean of each window of the task's schedules, its ``schedule`` note the
    value of each step. A hyperparameter whose hypergradient is NaN stays for that window, and the
    evaluation says so. The gradient of the validation loss after each window counts as one step,
    whatever the size of the validation set. At width w the restarts are dealt to w chains.

    Args:
        horizon: training steps in a window.
        outer: how the values step.
        engine: computes the hypergradients.
        name: what it is called in tables and files.
    """

    horizon: int = 10
    outer: OuterOptimizer = field(default_factory=lambda: GradientDescent(step=0.02))
    engine: Engine = field(default_factory=Graphs)
    name: str = "greedy"

    def __post_init__(self) -> None:
        make_plain(self)
        whole("a greedy horizon", self.horizon, 1)
        instance("outer", self.outer, OuterOptimizer, "GradientDescent()")
        instance("engine", self.engine, Engine, "Graphs()")

    def search(self, problem: InnerProblem, brief: Brief, chain: Chain) -> Iterator[Evaluation]:
        check_space(brief, problem)
        training = chain.index
        while True:
            laps = Stopwatch(problem.device)
            adapted = self.adapt(problem, brief, self._restart(brief, training), training)
            laps.end("train", inside=adapted.seconds)
            metrics = problem.validation(adapted.trained.weights)
            laps.end("validation")
            yield Evaluation(
                training=training,
                configuration=window_means(brief.space, adapted.values),
                epochs=brief.horizon,
                metrics=metrics,
                steps=round(adapted.steps),
                weights=adapted.trained.weights,
                seconds=laps.seconds,
                notes={"schedule": schedule_note(adapted.values), **nonfinite(adapted.lost)},
            )
            training += chain.of

    def _restart(self, brief: Brief, training: int) -> Flat:
        if training < len(brief.initial):
            return brief.initial[training]
        return brief.space.sample(stream(brief.seed, f"{self.name} {training}"))

    def adapt(self, problem: InnerProblem, brief: Brief, flat: Flat, training: int) -> Adapted:
        """One full training that starts from a configuration."""
        steps, space = brief.horizon * problem.steps_per_epoch, one_at_a_time(brief.space)
        first = schedule_values(brief.space, flat, steps)
        outer = self.outer.init(space.to_unit({name: float(v[0]) for name, v in first.items()}))
        values = {name: np.empty(steps) for name in first}
        laps, draw, ever_lost = Stopwatch(problem.device), problem.draw(training), set[str]()
        trained, cost = start(draw, brief.rule), 0.0
        for begin in range(0, steps, self.horizon):
            end = min(begin + self.horizon, steps)
            here = space.from_unit(outer.point)
            for name in values:
                values[name][begin:end] = here[name]
            rest = Rest(draw, trained, begin)
            along = constant(
                problem, RestOf(brief.rule, trained.state.memory, begin), here, end - begin
            )
            if end == steps:  # no window comes after it
                begun = start(rest, along.rule)
                trained = train(problem, rest, along, begun, range(along.steps))
                cost += along.steps
                continue
            laps.end("train")
            result = self.engine.hypergradient(problem, rest, along)
            derivative = by_unit(space, here, result.by_coefficient)
            laps.end("hypergradient", inside=result.seconds)
            ever_lost.update(lost(space, derivative))
            outer, trained = self.outer.update(outer, derivative), result.trained
            cost += result.steps + 1
        in_order = [name for name in first if name in ever_lost]
        laps.end("train")
        return Adapted(trained, values, cost, laps.seconds, in_order)


class Adapted(NamedTuple):
    """A training that changed its hyperparameters.

    Args:
        trained: where it ended.
        values: name → the value at each step, (T,).
        steps: its cost, in training steps.
        seconds: where its time went, by part.
        lost: hyperparameters whose hypergradient was inf or NaN after any window.
    """

    trained: Trained
    values: Mapping[str, np.ndarray]
    steps: float
    seconds: Mapping[str, float]
    lost: list[str]


def one_at_a_time(space: Space) -> Space:
    """The space with one value wherever it has a vector."""
    domains = space.domains.items()
    return Space({n: d.element if isinstance(d, Vector) else d for n, d in domains})


def constant(problem: InnerProblem, rule: UpdateRule, flat: Flat, steps: int) -> Schedule:
    """The same values at every step; its coefficients are these values, in order."""
    chosen = {name: float(value) for name, value in flat.items()}
    values = {**rule.defaults, **problem.hyperparameters, **chosen}
    every = csr_array(np.ones((steps, 1)))
    unit = csr_array(eye_array(len(chosen)))
    jacobian = {name: csr_array(every @ unit[i : i + 1]) for i, name in enumerate(chosen)}
    by_step = {name: np.full(steps, value) for name, value in values.items()}
    return Schedule(rule, by_step, jacobian, groups=problem.groups)


@dataclass(frozen=True)
class Rest:
    """The rest of a draw for a training that has done some of its steps, as a draw.

    Args:
        draw: the whole.
        trained: where the training stands.
        done: its steps so far.
    """

    draw: Draw
    trained: Trained
    done: int

    def initial(self) -> Weights:
        return self.trained.weights

    def batch(self, step: int) -> Batch:
        return self.draw.batch(self.done + step)


@dataclass(frozen=True)
class RestOf:
    """An update rule that goes on with what it remembers, its steps counted from 0 again.

    To an engine that memory is a constant, as the weights that a training starts from are.

    Args:
        rule: the rule.
        memory: what it remembers.
        done: the steps it has made.
    """

    rule: UpdateRule
    memory: tuple[Tensor, ...]
    done: int

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def defaults(self) -> Mapping[str, float]:
        return self.rule.defaults

    def init(self, weights: Tensor) -> State:
        return State(weights, self.memory)

    def update(self, state: State, gradient: Tensor, at: Values, step: int) -> State:
        return self.rule.update(state, gradient, at, self.done + step)
