"""What engines are audited on: small networks whose derivatives are known to be hard.

One input feature is constant zero, as many pixels are: there, gradients and their second moments
are 0. Every hyperparameter takes part: the update rule's and the loss's, a group's own learning
rate, and one value, windows, straight lines or a cosine over the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from searchers.hypergradients.schedules import Schedule, schedule
from searchers.protocols import Brief
from searchers.schedule_bases import Cosine, Linear, Windows
from searchers.space import Flat, Float, Space, Vector
from searchers.update_rules import SGD, UPDATE_RULES, UpdateRule
from trainables.network import Examples, NetworkProblem
from trainables.training_losses import LabelSmoothing

RULES: tuple[UpdateRule, ...] = (*UPDATE_RULES, SGD(clamp=0.05, name="clamped"))
"""Every update rule; "clamped" is SGD with a third of the gradient's entries clamped."""

FEATURES, HIDDEN, CLASSES = 6, 8, 3
EXAMPLES, BATCH_SIZE, EPOCHS = 40, 8, 2


def plain_net() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, CLASSES))


def normalised_net() -> nn.Module:
    """Without a bias before the normalisation, whose gradient would be nothing but rounding."""
    first = nn.Linear(FEATURES, HIDDEN, bias=False)
    return nn.Sequential(first, nn.BatchNorm1d(HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, CLASSES))


def dropout_net() -> nn.Module:
    first = nn.Linear(FEATURES, HIDDEN)
    return nn.Sequential(first, nn.Tanh(), nn.Dropout(0.4), nn.Linear(HIDDEN, CLASSES))


NETS: Mapping[str, Callable[[], nn.Module]] = {
    "plain": plain_net,
    "batch norm": normalised_net,
    "dropout": dropout_net,
}

VALUES = {
    "learning_rate": 0.05,
    "learning_rate.bias": 0.08,
    "momentum": 0.8,
    "weight_decay": 0.02,
    "dampening": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "alpha": 0.9,
    "decay": 0.01,
    "eps": 1e-3,
    "label_smoothing": 0.1,
}
ADAPTIVE = 0.1
"""Rules that divide by the gradient's size take steps this much shorter: else the training, and
with it its derivative, is chaos."""


@dataclass(frozen=True)
class Case:
    """A training in float64: 10 steps of one rule on one net. ``flat``: where it is derived."""

    rule: UpdateRule
    net: str
    problem: NetworkProblem
    brief: Brief
    flat: Flat

    def along(self, flat: Flat) -> Schedule:
        return schedule(self.brief, self.problem, flat, EPOCHS)

    def coefficients(self, name: str) -> slice:
        """Where a hyperparameter's coefficients are."""
        keys = list(self.flat)
        own = self.brief.space.names_of(name)
        return slice(keys.index(own[0]), keys.index(own[-1]) + 1)


def case(rule: UpdateRule, net: str) -> Case:
    problem = NetworkProblem(
        partial(_double, NETS[net]),
        examples(EXAMPLES, 0),
        examples(30, 1),
        batch_size=BATCH_SIZE,
        seed=1,
        device=torch.device("cpu"),
        objective=LabelSmoothing(),
        groups={"bias": lambda name: name.endswith("bias")},
    )
    space = space_of(rule)
    flat: Flat = {}
    for name in space.domains:
        for i, key in enumerate(space.names_of(name)):
            flat[key] = value(rule, name) * (1 - i / 16)  # momenta stay ratios: 4/5, 3/4
    return Case(
        rule, net, problem, Brief(space, (flat,), flat, (1, EPOCHS), True, 1, rule=rule), flat
    )


def space_of(rule: UpdateRule) -> Space:
    """Everything that the rule and the loss have, over bases of all kinds."""
    unit = Float(0.0, 1.0)
    domains: dict[str, Float | Vector] = {
        "learning_rate": Vector(3, unit, Linear()),
        "learning_rate.bias": Vector(2, unit, Cosine),
        "label_smoothing": unit,
    }
    rest = [name for name in rule.defaults if name != "learning_rate"]
    domains |= {name: unit if i % 2 else Vector(2, unit) for i, name in enumerate(rest)}
    return Space(domains)


def value(rule: UpdateRule, name: str) -> float:
    adaptive = name.startswith("learning_rate") and "eps" in rule.defaults
    return VALUES[name] * (ADAPTIVE if adaptive else 1.0)


def examples(count: int, seed: int) -> Examples:
    stream = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, FEATURES, generator=stream, dtype=torch.float64)
    inputs[:, -1] = 0
    return Examples(inputs, inputs[:, :CLASSES].argmax(1))


def _double(make_model: Callable[[], nn.Module]) -> nn.Module:
    return make_model().double()


SIZES, BATCH, BATCHES, VALIDATION = (256, 128, 10), 32, 25, 250


def cost_problem(device: torch.device) -> NetworkProblem:
    """A network of 34,186 weights on random images, 25 steps an epoch, in float32."""

    def images(count: int, seed: int) -> Examples:
        stream = torch.Generator().manual_seed(seed)
        inputs = torch.randn(count, SIZES[0], generator=stream)
        return Examples(inputs, torch.randint(SIZES[-1], (count,), generator=stream))

    def model() -> nn.Module:
        wide, hidden, classes = SIZES
        return nn.Sequential(nn.Linear(wide, hidden), nn.Tanh(), nn.Linear(hidden, classes))

    return NetworkProblem(
        model,
        images(BATCHES * BATCH, 0),
        images(VALIDATION, 1),
        batch_size=BATCH,
        seed=0,
        device=device,
    )


def cost_schedule(horizon: int, windows: int) -> Schedule:
    """SGD with momentum 0.9; the hyperparameters are its learning rates, one a window."""
    rule, rates = SGD(), np.full(windows, 0.02)
    values = {name: np.full(horizon, default) for name, default in rule.defaults.items()}
    values |= {"learning_rate": Windows().values(rates, horizon), "momentum": np.full(horizon, 0.9)}
    return Schedule(rule, values, {"learning_rate": Windows().jacobian(rates, horizon)})
