"""A task: what is tuned.

It says what to train (an inner problem for a cell's seed), what may be chosen (the search space),
what everyone starts from, and how long a full training is. The training data are split by the
cell's seed; the test set is opened only by `Instance.test`, which no searcher is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from searchers.inner_problem import InnerProblem, Metrics, Weights
from searchers.protocols import Brief
from searchers.settings import is_number, is_whole, plain
from searchers.space import Nested, Space, SpaceError
from searchers.update_rules import SGD, UpdateRule


class TaskError(ValueError):
    """A task that makes no sense, or whose data are not there; the message says what to do."""


@dataclass(frozen=True)
class Instance:
    """A task with its data split by one seed, on one device.

    Args:
        inner: all that a searcher sees.
        test: measures finished weights on the test set, after the cell.
        full: makes the inner problem on the full training set: the same seed's training and
            validation data together, never the test's. It has more steps an epoch, draws equal
            initial weights for equal training numbers, and its validation loss, on what it trains
            on, means nothing. None for a task that holds nothing out, or does not say how to train
            on it: it is replayed on its own training data, and the replay says so.
    """

    inner: InnerProblem
    test: Callable[[Weights], Metrics]
    full: Callable[[], InnerProblem] | None = None


@dataclass(frozen=True)
class Task:
    """Data, model, update rule, losses, search space, and the full horizon.

    The space names hyperparameters of the update rule (for SGD: ``learning_rate``, ``momentum``,
    ``weight_decay``, ``dampening``) or of the training loss, each a Float, or a Vector for a
    schedule; what it leaves out has its default.

    Args:
        name: an identifier, by which it goes on the command line and in files.
        summary: a line on it, for lists.
        build: (seed, device) → the instance of one cell.
        space: what may be tuned, in which ranges.
        initial: nested configurations that every searcher begins with, at least one.
        default: the practitioner's, nested: what a person would run without a search.
        budgets: epochs, ascending, the last the full horizon.
        smaller_budget: what a budget below the horizon means, the same for every searcher:
            ``"compress"`` runs the whole schedule in fewer steps, ``"truncate"`` the first part of
            it.
        loss_ceiling: a validation loss above it, or none at all, counts as diverged and is recorded
            as this value.
        metric: what its losses are called in tables and figures.
        optimum: the best configuration where it is known in closed form, nested.
        rule: the update rule that every searcher trains with.
        reference: the file that ``hpobench reference`` wrote for it, from which regrets are then
            measured.

    Raises:
        TaskError: it makes no sense; the message says what.
    """

    name: str
    summary: str
    build: Callable[[int, torch.device], Instance]
    space: Space
    initial: tuple[Nested, ...]
    default: Nested
    budgets: tuple[int, ...]
    smaller_budget: Literal["compress", "truncate"]
    loss_ceiling: float
    metric: str = "cross-entropy"
    optimum: Nested | None = None
    rule: UpdateRule = SGD()
    reference: str | Path | None = None

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise TaskError(f"a task's name is an identifier, not {self.name!r}")
        if isinstance(self.rule, type) or not isinstance(self.rule, UpdateRule):
            raise TaskError(
                f"{self.name}: rule is an update rule, such as searchers.SGD() or"
                f" searchers.AdamW(), not {self.rule!r}"
            )
        object.__setattr__(self, "budgets", plain(tuple(self.budgets)))
        object.__setattr__(self, "loss_ceiling", plain(self.loss_ceiling))
        whole = all(is_whole(epochs, 1) for epochs in self.budgets)
        if not self.budgets or not whole or list(self.budgets) != sorted(set(self.budgets)):
            raise TaskError(
                f"{self.name}: budgets are ascending epochs, whole numbers, not {self.budgets!r}"
            )
        if not is_number(self.loss_ceiling):
            raise TaskError(
                f"{self.name}: loss_ceiling, what a diverged training counts as, is a finite"
                f" number, not {self.loss_ceiling!r}"
            )
        if self.smaller_budget not in ("compress", "truncate"):
            raise TaskError(f"{self.name}: smaller_budget is 'compress' or 'truncate'")
        if not self.initial:
            raise TaskError(f"{self.name}: needs at least one initial configuration")
        named = [("default", self.default), *(("initial", nested) for nested in self.initial)]
        if self.optimum is not None:
            named.append(("optimum", self.optimum))
        for what, nested in named:
            try:
                self.space.flatten(nested)
            except SpaceError as error:
                raise TaskError(f"{self.name}: {what} configuration: {error}") from None

    @property
    def horizon(self) -> int:
        """Epochs of a full training."""
        return self.budgets[-1]

    def capped(self, metrics: Metrics) -> Metrics:
        """A loss above the ceiling, or none at all, counts as the ceiling."""
        within = metrics.loss <= self.loss_ceiling
        return metrics if within else Metrics(self.loss_ceiling, metrics.accuracy)

    def brief(self, seed: int, width: int) -> Brief:
        """What every searcher is told about a cell of this task.

        Args:
            seed: the cell's.
            width: how many trainings run at once.
        """
        return Brief(
            space=self.space,
            initial=tuple(self.space.flatten(nested) for nested in self.initial),
            default=self.space.flatten(self.default),
            budgets=self.budgets,
            compress=self.smaller_budget == "compress",
            seed=seed,
            width=width,
            rule=self.rule,
        )
