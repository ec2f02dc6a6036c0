"""The inner problem: what is trained, as pure functions of a flat weight vector.

A searcher sees a training loss, a validation loss and draws (initial weights and batches). It
never sees the test set: that stays with the task.

Shapes: weights are one vector of shape (P,); a batch is whatever the problem makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from searchers.errors import SearcherError
from searchers.settings import plain

Buffers: TypeAlias = Mapping[str, Tensor]
Batch: TypeAlias = Any
Theta: TypeAlias = Mapping[str, Tensor]
"""The values of the training loss's own hyperparameters."""

NO_THETA: Theta = MappingProxyType({})


class Weights(NamedTuple):
    """Everything a trained model consists of.

    Args:
        vector: its parameters, shape (P,).
        buffers: name → what else its forward pass reads, such as running statistics.
    """

    vector: Tensor
    buffers: Buffers


@dataclass(frozen=True)
class Metrics:
    """What weights come to on a split.

    Args:
        loss: the mean over the split.
        accuracy: the fraction that is right; None where the task has none.

    Raises:
        SearcherError: An accuracy that is no fraction.
    """

    loss: float
    accuracy: float | None = None

    def __post_init__(self) -> None:
        for name in ("loss", "accuracy"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        if self.accuracy is not None and not 0 <= self.accuracy <= 1:
            raise SearcherError(f"an accuracy is a fraction from 0 to 1, not {self.accuracy}")


class Draw(Protocol):
    """The randomness of one training: its initial weights and its batches.

    Reading it twice gives the same tensors, so a backward sweep sees the batches (and their
    augmentation) of the forward one.
    """

    def initial(self) -> Weights:
        """The weights before the first step; new tensors at each call."""

    def batch(self, step: int) -> Batch:
        """What the training loss of a step is given; steps are numbered from 0."""


class InnerProblem(Protocol):
    """A training problem that can be differentiated.

    ``training_loss`` may update the entries of ``buffers`` in place (running statistics); it must
    not depend on them, and equal batches give equal losses (what is random about a step belongs to
    its batch). ``validation_loss`` is evaluated with the running statistics held fixed: how they
    depend on the hyperparameters is left out of a hypergradient.
    """

    @property
    def steps_per_epoch(self) -> int:
        """Training steps in an epoch, at least 1."""

    @property
    def hyperparameters(self) -> Mapping[str, float]:
        """Those of the training loss, with their values where the space leaves them out."""

    @property
    def groups(self) -> Mapping[str, Tensor]:
        """Groups of weights with hyperparameters of their own: name → bool, shape (P,)."""

    @property
    def device(self) -> torch.device:
        """Where it trains."""

    def draw(self, training: int) -> Draw:
        """The draw of the cell's training of that number: the same for every searcher."""

    def training_loss(
        self, vector: Tensor, buffers: Buffers, batch: Batch, theta: Theta = NO_THETA
    ) -> Tensor:
        """The loss of one step.

        Args:
            vector: the weights, (P,).
            buffers: the other parts of the model, which it may update in place.
            batch: the step's, from a `Draw`.
            theta: name → value of the loss's own hyperparameters at this step.

        Returns:
            A scalar, differentiable twice in ``vector`` and once more in each of ``theta``.
        """

    def validation_loss(self, vector: Tensor, buffers: Buffers) -> Tensor:
        """The loss on the validation split: a scalar, differentiable in ``vector``, (P,)."""

    def validation(self, weights: Weights) -> Metrics:
        """The same loss as a number, with accuracy; nothing to differentiate."""
