"""Small trainings in float64 whose derivatives are known to be hard: for the engines' tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from searchers.hypergradients.schedules import Schedule, per_step
from searchers.hypergradients.training import start, train
from searchers.inner_problem import Buffers
from searchers.update_rules import UpdateRule
from trainables.network import Examples, NetworkProblem
from trainables.training_losses import TrainingLoss

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def plain_net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def normalised_net() -> nn.Module:
    """Without a bias before the normalisation: its gradient would be nothing but rounding."""
    first = nn.Linear(6, 8, bias=False)
    return nn.Sequential(first, nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)).double()


def dropout_net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.4), nn.Linear(8, 3)).double()


NETS = (plain_net, normalised_net, dropout_net)


def examples(count: int, seed: int) -> Examples:
    """One of the six features is constant 0, as many pixels are."""
    stream = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 6, generator=stream, dtype=torch.float64)
    inputs[:, 5] = 0
    return Examples(inputs, inputs[:, :3].argmax(1))


def problem_of(
    make_model: Callable[[], nn.Module],
    objective: TrainingLoss | None = None,
    groups: dict[str, Callable[[str], bool]] | None = None,
    device: torch.device = CPU,
) -> NetworkProblem:
    return NetworkProblem(
        make_model,
        examples(40, 0),
        examples(30, 1),
        batch_size=8,
        seed=1,
        device=device,
        objective=objective,
        groups=groups or {},
    )


USUAL = {
    "learning_rate": 0.05,
    "momentum": 0.8,
    "weight_decay": 0.02,
    "dampening": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "alpha": 0.9,
    "decay": 0.01,
    "eps": 1e-3,
    "label_smoothing": 0.1,
    "noise": 0.3,
    "ridge": 0.05,
}


def usual(rule: UpdateRule, name: str) -> float:
    """Adaptive rules need shorter steps: else the training, and its derivative, is chaos."""
    adaptive = name == "learning_rate" and "eps" in rule.defaults
    return USUAL[name] * (0.1 if adaptive else 1)


def varied(rule: UpdateRule, steps: int, more: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Every hyperparameter of a rule with other values at each step."""
    rng = np.random.default_rng(0)
    names = (*rule.defaults, *more)
    return {name: usual(rule, name) * (1 - 0.1 * rng.random(steps)) for name in names}


def loss_of(problem: NetworkProblem, schedule: Schedule, held: Buffers) -> float:
    """The validation loss after a training, with the running statistics of another one."""
    draw = problem.draw(0)
    begin = start(draw, schedule.rule)
    trained = train(problem, draw, schedule, begin, range(schedule.steps))
    return float(problem.validation_loss(trained.state.weights, held))


def differences(
    problem: NetworkProblem,
    rule: UpdateRule,
    values: dict[str, np.ndarray],
    held: Buffers,
    name: str,
    step: int,
    h: float | None = None,
) -> float:
    """The derivative by one value at one step: central differences of fourth order."""
    h = 1e-3 * abs(values[name][step]) if h is None else h
    draw, along = problem.draw(0), per_step(rule, values)
    before = train(problem, draw, along, start(draw, rule), range(step))  # the same for each shift

    def loss(shift: float) -> float:
        moved = values[name].copy()
        moved[step] += shift
        shifted = per_step(rule, {**values, name: moved})
        trained = train(problem, draw, shifted, before, range(step, shifted.steps))
        return float(problem.validation_loss(trained.state.weights, held))

    near, far = loss(h) - loss(-h), loss(2 * h) - loss(-2 * h)
    return (8 * near - far) / (12 * h)
