"""HD: hypergradient descent on the learning rate, online, during the training itself.

Baydin et al., "Online Learning Rate Adaptation with Hypergradient Descent" (ICLR 2018): the
derivative of the loss by the learning rate one step back is h = −⟨gₜ, uₜ₋₁⟩, with uₜ₋₁ the
direction of the last update.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from searchers.errors import SearcherError
from searchers.gradient.measured_points import nonfinite, schedule_note
from searchers.hypergradients.derivatives import direction
from searchers.hypergradients.schedules import check_space, schedule, schedule_values, window_means
from searchers.hypergradients.training import Trained, clone, gradient, rows, start
from searchers.inner_problem import Draw, InnerProblem
from searchers.protocols import Brief, Chain, Evaluation
from searchers.rng import stream
from searchers.settings import make_plain, number, pair
from searchers.space import Flat, Float, Vector
from searchers.stopwatch import Stopwatch


@dataclass(frozen=True)
class HD:
    """Trainings that adapt their learning rate as they go, restarted from random initial values.

    The first training starts from the task's initial configuration, each later one from a draw of
    the prior (as HD is run in the FDS paper): an initial learning rate, momentum, weight decay.
    The step size β of the learning rate is drawn log-uniformly for each training, its first value
    the middle of its range. On a linear range the rule is additive, α ← α − β·h; on a log range
    multiplicative, α ← α·(1 − β·h/(‖g‖‖u‖)). α stays in its range; at a step where h is not finite
    it stays as it is, and the evaluation says so.

    Every training is a full evaluation; its configuration holds the mean learning rate of each
    window, its ``schedule`` note the learning rate of each step. At width w the restarts are
    dealt to w chains.

    Args:
        additive_beta: the range of β where the learning rate's range is linear.
        multiplicative_beta: the range of β where it is logarithmic.
        name: what it is called in tables and files.
    """

    additive_beta: tuple[float, float] = (1e-6, 1e-2)
    multiplicative_beta: tuple[float, float] = (1e-3, 1e-1)
    name: str = "hd"

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("additive_beta", "multiplicative_beta"):
            pair(f"the lowest and highest {name}", getattr(self, name))
            lowest, highest = getattr(self, name)
            number(f"the highest {name}", highest, 0.0)
            number(f"the lowest {name}", lowest, 0.0, highest)

    def search(self, problem: InnerProblem, brief: Brief, chain: Chain) -> Iterator[Evaluation]:
        check_space(brief, problem)
        learning_rate = _learning_rate(brief)
        training = chain.index
        while True:
            laps = Stopwatch(problem.device)
            flat, beta = self._restart(brief, training, learning_rate)
            adapted = adapt(problem, problem.draw(training), brief, flat, beta)
            laps.end("train")
            metrics = problem.validation(adapted.trained.weights)
            laps.end("validation")
            rates = {"learning_rate": adapted.rates}
            values = {**schedule_values(brief.space, flat, len(adapted.rates)), **rates}
            yield Evaluation(
                training=training,
                configuration=window_means(brief.space, values),
                epochs=brief.horizon,
                metrics=metrics,
                steps=len(adapted.rates),
                weights=adapted.trained.weights,
                seconds=laps.seconds,
                notes={
                    "beta": beta,
                    "schedule": schedule_note(rates),
                    **nonfinite(rates if adapted.lost else ()),
                },
            )
            training += chain.of

    def _restart(self, brief: Brief, training: int, domain: Float) -> tuple[Flat, float]:
        low, high = self.multiplicative_beta if domain.log else self.additive_beta
        if training < len(brief.initial):
            return brief.initial[training], float(np.sqrt(low * high))
        rng = stream(brief.seed, f"{self.name} {training}")
        return brief.space.sample(rng), float(np.exp(rng.uniform(np.log(low), np.log(high))))


class Adapted(NamedTuple):
    """A training with hypergradient descent.

    Args:
        trained: where it ended.
        rates: the learning rate of each step, (T,).
        lost: at how many steps the hypergradient was inf or NaN.
    """

    trained: Trained
    rates: np.ndarray
    lost: int


def adapt(problem: InnerProblem, draw: Draw, brief: Brief, flat: Flat, beta: float) -> Adapted:
    """One full training with hypergradient descent.

    Args:
        problem: what is trained.
        draw: its initial weights and batches.
        brief: the cell's.
        flat: the configuration that it starts from.
        beta: the step size of the learning rate.
    """
    domain = _learning_rate(brief)
    state, buffers = start(draw, brief.rule)
    buffers = clone(buffers)
    along = schedule(brief, problem, flat, brief.horizon)
    rate, rates, lost = float(along.values["learning_rate"][0]), np.empty(along.steps), 0
    last: Tensor | None = None
    for step, (at, theta) in enumerate(rows(along, range(along.steps), state.weights)):
        slope = gradient(problem, state.weights, buffers, draw.batch(step), theta)
        if last is not None:
            moved = _moved(rate, slope, last, beta, domain)
            lost += not np.isfinite(moved)
            rate = min(max(moved, domain.low), domain.high) if np.isfinite(moved) else rate
        rates[step] = rate
        before, at = state, {**at, "learning_rate": rate}
        state = brief.rule.update(before, slope, at, step)
        last = direction(brief.rule, before, slope, state, at, step)
    return Adapted(Trained(state, buffers), rates, lost)


def _moved(rate: float, slope: Tensor, direction: Tensor, beta: float, domain: Float) -> float:
    """The learning rate after one step of hypergradient descent, wherever that is."""
    alignment = float(torch.dot(slope, direction))
    if not domain.log:
        return rate + beta * alignment
    norms = float(slope.norm() * direction.norm())
    return rate * (1 + beta * alignment / norms) if norms else rate


def _learning_rate(brief: Brief) -> Float:
    domains = brief.space.domains
    grouped = [name for name in domains if name.startswith("learning_rate.")]
    if grouped:
        raise SearcherError(f"hd adapts one learning rate, and this space also has {grouped[0]}")
    domain = domains.get("learning_rate")
    element = domain.element if isinstance(domain, Vector) else domain
    if not isinstance(element, Float):
        raise SearcherError("hd adapts a learning rate, and the task's space has none")
    return element
