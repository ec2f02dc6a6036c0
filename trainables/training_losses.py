"""Training losses of a network, with hyperparameters of their own that can be tuned.

One is a function of the network, its weights, a batch and θ; a class like these is one's own. All
are twice differentiable in the weights and once more in θ. What is random about them comes from the
batch's key, so that a step can be replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from searchers.inner_problem import Theta


class Minibatch(NamedTuple):
    """What a training loss is given of a step.

    Args:
        inputs: (B, …).
        labels: (B,).
        examples: their places in the training set, (B,).
        key: the step's, for all that is random about it.
    """

    inputs: Tensor
    labels: Tensor
    examples: Tensor
    key: int


@runtime_checkable
class TrainingLoss(Protocol):
    """A training loss of a network, twice differentiable in the weights, once more in θ."""

    @property
    def hyperparameters(self) -> Mapping[str, float]:
        """Its hyperparameters, with their values where nobody tunes them."""

    def __call__(
        self, forward: Callable[[Tensor], Tensor], vector: Tensor, batch: Minibatch, theta: Theta
    ) -> Tensor:
        """The loss of one batch, a scalar.

        Args:
            forward: inputs (B, …) → logits (B, classes).
            vector: the weights, (P,).
            batch: the step's.
            theta: name → value of each hyperparameter at this step.
        """


@dataclass(frozen=True)
class CrossEntropy:
    """Mean cross-entropy."""

    hyperparameters: ClassVar[Mapping[str, float]] = {}

    def __call__(
        self, forward: Callable[[Tensor], Tensor], vector: Tensor, batch: Minibatch, theta: Theta
    ) -> Tensor:
        return cross_entropy(forward(batch.inputs), batch.labels)


@dataclass(frozen=True)
class LabelSmoothing:
    """Cross-entropy with a part ``label_smoothing`` of each label spread over all classes."""

    hyperparameters: ClassVar[Mapping[str, float]] = {"label_smoothing": 0.0}

    def __call__(
        self, forward: Callable[[Tensor], Tensor], vector: Tensor, batch: Minibatch, theta: Theta
    ) -> Tensor:
        likelihood = log_softmax(forward(batch.inputs), dim=1)
        sharp = -likelihood.gather(1, batch.labels[:, None]).mean()
        smoothing = theta["label_smoothing"]
        return (1 - smoothing) * sharp - smoothing * likelihood.mean()


@dataclass(frozen=True)
class InputNoise:
    """Cross-entropy of inputs with Gaussian noise of deviation ``noise``: an augmentation."""

    hyperparameters: ClassVar[Mapping[str, float]] = {"noise": 0.0}

    def __call__(
        self, forward: Callable[[Tensor], Tensor], vector: Tensor, batch: Minibatch, theta: Theta
    ) -> Tensor:
        stream = torch.Generator().manual_seed(batch.key)
        shape, dtype = batch.inputs.shape, batch.inputs.dtype
        noise = torch.randn(shape, generator=stream, dtype=dtype).to(batch.inputs.device)
        return cross_entropy(forward(batch.inputs + theta["noise"] * noise), batch.labels)


@dataclass(frozen=True)
class Ridge:
    """Cross-entropy plus ½ ``ridge`` |w|²."""

    hyperparameters: ClassVar[Mapping[str, float]] = {"ridge": 0.0}

    def __call__(
        self, forward: Callable[[Tensor], Tensor], vector: Tensor, batch: Minibatch, theta: Theta
    ) -> Tensor:
        loss = cross_entropy(forward(batch.inputs), batch.labels)
        return loss + theta["ridge"] / 2 * vector.dot(vector)


@dataclass(frozen=True)
class WeightedExamples:
    """Cross-entropy with a weight for each training example, ``example_weights``, (n,) or one."""

    hyperparameters: ClassVar[Mapping[str, float]] = {"example_weights": 1.0}

    def __call__(
        self, forward: Callable[[Tensor], Tensor], vector: Tensor, batch: Minibatch, theta: Theta
    ) -> Tensor:
        losses = cross_entropy(forward(batch.inputs), batch.labels, reduction="none")
        weights = theta["example_weights"]
        return (losses * (weights[batch.examples] if weights.dim() else weights)).mean()


@dataclass(frozen=True)
class LearnedInputs:
    """Cross-entropy on training inputs that are hyperparameters: ``inputs``, added to the data.

    A constant of the shape of all training inputs, (n, …), or one number for them all.
    """

    hyperparameters: ClassVar[Mapping[str, float]] = {"inputs": 0.0}

    def __call__(
        self, forward: Callable[[Tensor], Tensor], vector: Tensor, batch: Minibatch, theta: Theta
    ) -> Tensor:
        shift = theta["inputs"]
        chosen = shift[batch.examples] if shift.dim() else shift
        return cross_entropy(forward(batch.inputs + chosen), batch.labels)
