"""What every engine is asked and answers: the hypergradient of one training.

The hypergradient is the derivative of the final validation loss by the coefficients of the
schedule. Engines differ in how they get it, what it costs, and how much memory it takes; on the
same training they agree to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from searchers.hypergradients.scaled import Scaled
from searchers.hypergradients.schedules import Schedule
from searchers.hypergradients.training import Trained, clone
from searchers.inner_problem import Draw, InnerProblem


@dataclass(frozen=True)
class Hypergradient:
    """What one training and its differentiation came to.

    Args:
        by_coefficient: derivative of the validation loss by each coefficient, (D,).
        trained: where the training ended.
        steps: the cost in training steps (a gradient is one, a Hessian-vector product two more).
        seconds: of the training and of its differentiation, by part.
        engine: what computed it, in words.
        by_step: of reverse engines, name → the derivatives by each step's value, (T,).
        by_constant: of reverse engines, name → float64 in the constant's shape.
        by_initial: of reverse engines, by the initial weights, float64, (P,).
    """

    by_coefficient: Scaled
    trained: Trained
    steps: float
    seconds: Mapping[str, float]
    engine: str
    by_step: Mapping[str, Scaled] = field(default_factory=dict)
    by_constant: Mapping[str, Tensor] = field(default_factory=dict)
    by_initial: Tensor | None = None

    def __repr__(self) -> str:
        return (
            f"<Hypergradient by {self.engine}: {self.by_coefficient.values()}, "
            f"{self.steps:g} steps>"
        )


@runtime_checkable
class Engine(Protocol):
    """A way to differentiate a training; a frozen dataclass whose fields are its settings."""

    @property
    def name(self) -> str:
        """What it is called in tables and files."""

    def hypergradient(self, problem: InnerProblem, draw: Draw, schedule: Schedule) -> Hypergradient:
        """Train along the schedule, then differentiate the final validation loss by it.

        The running statistics of normalisation are held fixed in the validation loss. A
        non-finite derivative is returned as it is.

        Args:
            problem: what is trained.
            draw: the training's initial weights and batches.
            schedule: the hyperparameters of each step, and the coefficients to differentiate by.

        Raises:
            SearcherError: in one line, this engine cannot do what is asked.
        """


def validation_gradient(problem: InnerProblem, trained: Trained) -> Tensor:
    """Of the validation loss by the final weights, (P,); never moves running statistics."""
    leaf = trained.state.weights.detach().requires_grad_()
    loss = problem.validation_loss(leaf, clone(trained.buffers))
    (slope,) = torch.autograd.grad(loss, leaf)
    return slope
