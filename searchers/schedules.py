"""From a configuration to the value of each hyperparameter at each step, and back.

A schedule over T steps is one array of shape (T,) per hyperparameter of the update rule. A vector
of n values in the space becomes n windows of equal length (as in FDS, Micaelli & Storkey 2021,
"sharing"): its derivative sums the per-step derivatives of its window. A scalar is constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from searchers.errors import SearcherError
from searchers.protocols import Brief
from searchers.space import Flat, Float, Space, Vector
from searchers.update_rules import SGD

Schedule = Mapping[str, np.ndarray]
"""Hyperparameter of the update rule → its values, float64, shape (T,)."""


def window_of_step(steps: int, windows: int) -> np.ndarray:
    """The window of each step, shape (steps,): windows of equal length, as near as T allows."""
    return np.arange(steps) * windows // steps


def schedule(space: Space, flat: Flat, steps: int) -> dict[str, np.ndarray]:
    """The per-step values of a configuration over ``steps`` steps."""
    check_update_rule(space)
    nested = space.nest(flat)
    values = {name: np.zeros(steps) for name in SGD.hyperparameters}
    for name in space.domains:
        value = nested[name]
        if isinstance(value, tuple):
            values[name] = np.asarray(value, dtype=float)[window_of_step(steps, len(value))]
        else:
            values[name] = np.full(steps, float(value))
    return values


@dataclass(frozen=True)
class Horizon:
    """How long a training to a budget is, and how long the schedule that it follows.

    Compressed, a smaller budget follows the whole schedule in fewer steps; truncated, it follows
    the first ``steps`` of the full horizon's schedule and can be trained on.
    """

    steps: int
    schedule_steps: int

    @classmethod
    def of(cls, brief: Brief, epochs: int, steps_per_epoch: int) -> Horizon:
        steps = epochs * steps_per_epoch
        return cls(steps, steps if brief.compress else brief.horizon * steps_per_epoch)

    def values(self, space: Space, flat: Flat) -> dict[str, np.ndarray]:
        """The values that a training to this budget goes through, each of shape (steps,)."""
        full = schedule(space, flat, self.schedule_steps)
        return {name: column[: self.steps] for name, column in full.items()}

    def pull_back(self, space: Space, by_step: Schedule) -> np.ndarray:
        """Derivatives by the values (steps,) → by the flat configuration, shape (len(space),).

        A window that a truncated training does not reach has derivative 0.
        """
        missing = self.schedule_steps - self.steps
        parts: list[np.ndarray] = []
        for name, domain in space.domains.items():
            derivative = np.pad(by_step[name], (0, missing))
            if isinstance(domain, Vector):
                sums = np.zeros(domain.length)
                np.add.at(sums, window_of_step(self.schedule_steps, domain.length), derivative)
                parts.append(sums)
            else:
                parts.append(derivative.sum(keepdims=True))
        return np.concatenate(parts)


def window_means(space: Space, values: Schedule) -> Flat:
    """The configuration nearest to per-step values: each window's mean (in log where it is log)."""
    flat: Flat = {}
    for name, domain in space.domains.items():
        element = domain.element if isinstance(domain, Vector) else domain
        assert isinstance(element, Float)
        count = domain.length if isinstance(domain, Vector) else 1
        scaled = np.log(values[name]) if element.log else values[name]
        window = window_of_step(len(scaled), count)
        for i in range(count):
            part = scaled[window == i]
            mean = float(part.mean()) if len(part) else float(scaled[-1])
            mean = float(np.exp(mean)) if element.log else mean
            key = f"{name}_{i}" if isinstance(domain, Vector) else name
            flat[key] = min(max(mean, element.low), element.high)
    return flat


def check_update_rule(space: Space) -> None:
    """Refuse a space that names something else than the update rule's real hyperparameters."""
    for name, domain in space.domains.items():
        element = domain.element if isinstance(domain, Vector) else domain
        if name not in SGD.hyperparameters:
            known = ", ".join(SGD.hyperparameters)
            raise SearcherError(
                f"{name} is no hyperparameter of the update rule, which has {known}"
            )
        if not isinstance(element, Float):
            raise SearcherError(f"{name} is not a Float: it has no derivative and no schedule")
