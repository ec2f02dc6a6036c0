"""HD: hypergradient descent on the learning rate, online, during the training itself.

Baydin et al., "Online Learning Rate Adaptation with Hypergradient Descent" (ICLR 2018): the
derivative of the loss by the learning rate one step back is h = −⟨gₜ, uₜ₋₁⟩, with uₜ₋₁ the
direction of the last update.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from searchers.errors import SearcherError
from searchers.hypergradients.derivatives import direction
from searchers.hypergradients.schedules import check_space, schedule, schedule_values, window_means
from searchers.hypergradients.training import Trained, clone, gradient, rows, start
from searchers.inner import Draw, InnerProblem
from searchers.protocols import Brief, Chain, Evaluation
from searchers.space import Flat, Float, Vector

SIGNIFICANT_DIGITS = 7
"""Per-step values are recorded in float32's precision."""


@dataclass(frozen=True)
class HD:
    """Trainings that adapt their learning rate as they go, restarted from random initial values.

    The first training starts from the task's initial configuration, each later one from a draw of
    the prior (as HD is run in the FDS paper): an initial learning rate, momentum, weight decay.
    The step size β of the learning rate is drawn log-uniformly for each training, its first value
    the middle. On a linear range the rule is additive, α ← α − β·h; on a log range multiplicative,
    α ← α·(1 − β·h/(‖g‖‖u‖)). α stays in its range.

    Every training is a full evaluation; its configuration holds the mean learning rate of each
    window, its ``schedule`` note the learning rate of each step. At width w the restarts are
    dealt to w chains.
    """

    additive_beta: tuple[float, float] = (1e-6, 1e-2)
    multiplicative_beta: tuple[float, float] = (1e-3, 1e-1)
    name: str = "hd"

    def search(self, problem: InnerProblem, brief: Brief, chain: Chain) -> Iterator[Evaluation]:
        check_space(brief, problem)
        learning_rate = _learning_rate(brief)
        training = chain.index
        while True:
            began = time.perf_counter()
            flat, beta = self._restart(brief, training, learning_rate)
            trained, rates = descend(problem, problem.draw(training), brief, flat, beta)
            trained_at = time.perf_counter()
            metrics = problem.validation(trained.weights)
            values = {**schedule_values(brief.space, flat, len(rates)), "learning_rate": rates}
            yield Evaluation(
                training=training,
                configuration=window_means(brief.space, values),
                epochs=brief.horizon,
                metrics=metrics,
                steps=len(rates),
                weights=trained.weights,
                seconds={
                    "train": trained_at - began,
                    "validation": time.perf_counter() - trained_at,
                },
                notes={"beta": beta, "schedule": {"learning_rate": significant(rates)}},
            )
            training += chain.of

    def _restart(self, brief: Brief, training: int, domain: Float) -> tuple[Flat, float]:
        low, high = self.multiplicative_beta if domain.log else self.additive_beta
        if training < len(brief.initial):
            return brief.initial[training], float(np.sqrt(low * high))
        rng = np.random.default_rng([brief.seed, training, 0x4D])
        return brief.space.sample(rng), float(np.exp(rng.uniform(np.log(low), np.log(high))))


def descend(
    problem: InnerProblem, draw: Draw, brief: Brief, flat: Flat, beta: float
) -> tuple[Trained, np.ndarray]:
    """One training with hypergradient descent; the learning rate of each step, shape (T,)."""
    domain = _learning_rate(brief)
    steps = brief.horizon * problem.steps_per_epoch
    state, buffers = start(draw, brief.rule)
    buffers = clone(buffers)
    along = schedule(brief, problem, flat, brief.horizon)
    rate, rates = float(along.values["learning_rate"][0]), np.empty(steps)
    last: Tensor | None = None
    for step, (at, theta) in enumerate(rows(along, range(steps), state.weights)):
        slope = gradient(problem, state.weights, buffers, draw.batch(step), theta)
        if last is not None:
            rate = _adapted(rate, slope, last, beta, domain)
        rates[step] = rate
        before, at = state, {**at, "learning_rate": rate}
        state = brief.rule.update(before, slope, at, step)
        last = direction(brief.rule, before, slope, state, at, step)
    return Trained(state, buffers), rates


def _adapted(
    rate: float, slope: torch.Tensor, direction: torch.Tensor, beta: float, domain: Float
) -> float:
    """The learning rate after one step of hypergradient descent, in its range."""
    alignment = float(torch.dot(slope, direction))
    if domain.log:
        norms = float(slope.norm() * direction.norm())
        moved = rate * (1 + beta * alignment / norms) if norms > 0 else rate
    else:
        moved = rate + beta * alignment
    return min(max(moved, domain.low), domain.high) if np.isfinite(moved) else rate


def _learning_rate(brief: Brief) -> Float:
    domain = brief.space.domains.get("learning_rate")
    element = domain.element if isinstance(domain, Vector) else domain
    if not isinstance(element, Float):
        raise SearcherError("hd adapts a learning rate, and the task's space has none")
    return element


def significant(values: np.ndarray) -> list[float]:
    """Per-step values as short JSON numbers."""
    return [float(f"{value:.{SIGNIFICANT_DIGITS}g}") for value in values]
