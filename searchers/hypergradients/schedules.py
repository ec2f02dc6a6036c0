"""From a configuration to the value of each hyperparameter at each step, and back.

A schedule over T steps has one array of shape (T,) for each hyperparameter of the update rule and
of the training loss. A scalar of the space is constant; a vector is laid over the steps by its
basis, windows of equal length by default. ``learning_rate.bias`` in a space is the learning rate of
the group of weights that the problem calls ``bias``; ``learning_rate`` that of all the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import block_array, csr_array, eye_array
from torch import Tensor

from searchers.errors import SearcherError
from searchers.hypergradients.scaled import Scaled, pulled_back, scaled, total
from searchers.inner_problem import InnerProblem
from searchers.protocols import Brief
from searchers.schedule_bases import Windows, window_of_step
from searchers.settings import whole
from searchers.space import Flat, Float, Space, Vector
from searchers.update_rules import UpdateRule


@dataclass(frozen=True)
class Schedule:
    """The hyperparameters of one training of T steps, and how they depend on D coefficients.

    Args:
        rule: the update rule.
        values: name → float64, (T,), for every hyperparameter of the rule and of the loss.
        jacobian: name → derivatives of its values by the coefficients, sparse, (T, D); only those
            that depend on any.
        constants: name → a tensor that replaces a hyperparameter at every step: for the rule one
            value a weight, (P,); for the loss of any shape (a weight for each example, the training
            data); it has no derivative by the coefficients.
        groups: name → which weights belong to it, bool, (P,).
    """

    rule: UpdateRule
    values: Mapping[str, np.ndarray]
    jacobian: Mapping[str, csr_array] = field(default_factory=dict)
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    groups: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {name: np.shape(values) for name, values in self.values.items()}
        if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
            raise SearcherError(f"a schedule has one value a step for every name, not {shapes}")
        if not self.steps:
            raise SearcherError("a schedule has at least 1 step, this one has 0")
        matrices = {name: by.shape for name, by in self.jacobian.items()}
        if len(set(matrices.values())) > 1 or any(t != self.steps for t, _ in matrices.values()):
            raise SearcherError(f"jacobians of a schedule of {self.steps} steps: {matrices}")

    def __repr__(self) -> str:
        moving = ", ".join(self.jacobian) or "nothing"
        return (
            f"<Schedule of {self.rule.name}: {self.steps} steps, "
            f"{self.coefficients} coefficients of {moving}>"
        )

    @property
    def steps(self) -> int:
        """T."""
        return len(next(iter(self.values.values())))

    @property
    def coefficients(self) -> int:
        """D."""
        return next(iter(self.jacobian.values())).shape[1] if self.jacobian else 0

    def pull_back(self, by_step: Mapping[str, Scaled]) -> Scaled:
        """Derivatives by each step's values, (T,) each → by the coefficients, (D,)."""
        parts = [
            pulled_back(by, by_step[name])
            for name, by in self.jacobian.items()
            if name not in self.constants
        ]
        return total(parts) if parts else scaled(np.zeros(self.coefficients))


def schedule(brief: Brief, problem: InnerProblem, flat: Flat, epochs: int) -> Schedule:
    """What a training of a configuration to a budget goes through.

    Compressed, a smaller budget follows the whole schedule in fewer steps; truncated, it follows
    the first part of the full horizon's. A coefficient that a truncated training does not reach
    has derivative 0.

    Args:
        brief: the cell's; its space's scalars, in order, are the coefficients.
        problem: what is trained.
        flat: the configuration.
        epochs: the budget.

    Raises:
        SearcherError: the space does not fit the update rule or the problem.
    """
    check_space(brief, problem)
    whole("epochs", epochs, 1)
    steps = epochs * problem.steps_per_epoch
    full = steps if brief.compress else brief.horizon * problem.steps_per_epoch
    defaults = {**brief.rule.defaults, **problem.hyperparameters}
    values = {name: np.full(steps, default) for name, default in defaults.items()}
    parts, column, width = {}, 0, len(brief.space)
    for name, (column_values, by) in _laid_out(brief.space, flat, full).items():
        values[name] = column_values[:steps]
        n = by.shape[1]
        left, right = csr_array((full, column)), csr_array((full, width - column - n))
        parts[name] = csr_array(block_array([[left, by, right]]))[:steps]
        column += n
    return Schedule(brief.rule, values, parts, groups=problem.groups)


def frozen_schedule(
    brief: Brief, problem: InnerProblem, flat: Flat, learned: Mapping[str, Sequence[float]]
) -> Schedule:
    """What a full training goes through that follows what an earlier one learned on its way.

    Where this training has another number of steps than that one's T, as with more data, the i-th
    value holds for the i-th of T equal parts of it: as wide a part of the training as it was
    learned in, like a window. It has no coefficients.

    Args:
        brief: the cell's.
        problem: what is trained.
        flat: the configuration.
        learned: name → its value at each of the T steps of that training (the ``schedule`` note of
            an evaluation); what it leaves out is as ``flat`` says.

    Raises:
        SearcherError: it has a name that nobody has, or values that are not finite.
    """
    along = schedule(brief, problem, flat, brief.horizon)
    laid = {}
    for name, values in learned.items():
        by_step = np.asarray(values, dtype=float)
        if by_step.ndim != 1 or not len(by_step) or not np.isfinite(by_step).all():
            raise SearcherError(f"{name}: a learned schedule is one finite number a step")
        laid[name] = Windows().values(by_step, along.steps)
    frozen = Schedule(brief.rule, {**along.values, **laid}, groups=problem.groups)
    check_schedule(frozen, problem)
    return frozen


def per_step(
    rule: UpdateRule, values: Mapping[str, np.ndarray], problem: InnerProblem | None = None
) -> Schedule:
    """A schedule whose coefficients are the values themselves, name after name.

    Args:
        rule: the update rule.
        values: name → the value of each step, (T,); other hyperparameters have their default.
        problem: needed if its loss has hyperparameters, or its weights have groups.
    """
    if not values:
        raise SearcherError("per_step: give the values of at least one hyperparameter")
    values = {name: np.asarray(by_step, dtype=float) for name, by_step in values.items()}
    steps = len(next(iter(values.values())))
    identity = csr_array(eye_array(steps * len(values)))
    jacobian = {name: identity[i * steps : (i + 1) * steps] for i, name in enumerate(values)}
    defaults = {**rule.defaults, **(problem.hyperparameters if problem else {})}
    rest = {name: np.full(steps, default) for name, default in defaults.items()}
    return Schedule(rule, {**rest, **values}, jacobian, groups=problem.groups if problem else {})


def schedule_values(space: Space, flat: Flat, steps: int) -> dict[str, np.ndarray]:
    """The per-step values of what the space has, each of shape (steps,)."""
    return {name: values for name, (values, _) in _laid_out(space, flat, steps).items()}


def window_means(space: Space, values: Mapping[str, np.ndarray]) -> Flat:
    """The configuration nearest to per-step values: each window's mean (in log where it is log).

    For other bases than windows, by least squares.
    """
    flat: Flat = {}
    for name, domain in space.domains.items():
        element = domain.element if isinstance(domain, Vector) else domain
        assert isinstance(element, Float)
        by_step = np.log(values[name]) if element.log else np.asarray(values[name], dtype=float)
        if isinstance(domain, Vector) and not isinstance(domain.basis, Windows):
            by = domain.basis.jacobian(np.full(domain.length, by_step.mean()), len(by_step))
            means = np.linalg.lstsq(by.toarray(), by_step, rcond=None)[0]
        else:
            count = domain.length if isinstance(domain, Vector) else 1
            window = window_of_step(len(by_step), count)
            parts = [by_step[window == i] for i in range(count)]
            means = np.array([part.mean() if len(part) else by_step[-1] for part in parts])
        means = np.clip(np.exp(means) if element.log else means, element.low, element.high)
        keys = space.names_of(name)
        flat |= dict(zip(keys, means.tolist(), strict=True))
    return flat


def by_unit(space: Space, flat: Flat, derivative: Scaled) -> np.ndarray:
    """Derivatives by the values → derivatives by the fractions of their ranges.

    Args:
        space: the ranges, in log where they are log; all of them `Float`.
        flat: the configuration at which was differentiated.
        derivative: by each value, in the order of the space, (D,).

    Returns:
        Shape (D,): the size in which searchers take their steps.
    """
    return derivative.times(space.unit_slopes(flat)).values()


def check_space(brief: Brief, problem: InnerProblem) -> None:
    """Refuse a space that names anything else than real hyperparameters of the rule or the loss."""
    for name, domain in brief.space.domains.items():
        base, _, group = name.partition(".")
        if base not in brief.rule.defaults and name not in problem.hyperparameters:
            known = ", ".join((*brief.rule.defaults, *problem.hyperparameters))
            raise SearcherError(
                f"{name} is no hyperparameter of the update rule {brief.rule.name} or of the "
                f"training loss, which have {known}"
            )
        if group and group not in problem.groups:
            known = ", ".join(problem.groups) or "none"
            raise SearcherError(f"{name}: the problem has no group {group} of weights, but {known}")
        element = domain.element if isinstance(domain, Vector) else domain
        if not isinstance(element, Float):
            raise SearcherError(f"{name} is not a Float: it has no derivative and no schedule")


def check_schedule(schedule: Schedule, problem: InnerProblem) -> None:
    """Refuse a schedule with a name that nobody has, or without one that is needed."""
    known = {**schedule.rule.defaults, **problem.hyperparameters}
    given = {**schedule.values, **schedule.constants}
    for name in given:
        base, _, group = name.partition(".")
        if base not in known:
            raise SearcherError(
                f"the schedule has {name}, which is no hyperparameter of the update rule "
                f"{schedule.rule.name} or of the training loss: they have {', '.join(known)}"
            )
        if group and group not in schedule.groups:
            raise SearcherError(f"{name}: the schedule has no group {group} of weights")
    lacking = ", ".join(name for name in known if name not in given)
    if lacking:
        raise SearcherError(f"the schedule has no values for {lacking}: per_step takes a problem's")


def _laid_out(space: Space, flat: Flat, steps: int) -> dict[str, tuple[np.ndarray, csr_array]]:
    """Name → its values, (steps,), and their derivatives by its own coefficients, (steps, n)."""
    result = {}
    for name, domain in space.domains.items():
        coefficients = np.array([float(flat[key]) for key in space.names_of(name)])
        basis = domain.basis if isinstance(domain, Vector) else Windows()
        values, by = basis.values(coefficients, steps), basis.jacobian(coefficients, steps)
        if np.shape(values) != (steps,) or by.shape != (steps, len(coefficients)):
            raise SearcherError(
                f"{name}: its basis gives values of shape {np.shape(values)} and a jacobian of "
                f"shape {by.shape}, not {(steps,)} and {(steps, len(coefficients))}"
            )
        result[name] = values, by
    return result
