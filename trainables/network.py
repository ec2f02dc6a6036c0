"""Training a `torch.nn.Module` on arrays, as an inner problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from searchers.inner import Buffers, Metrics, Weights
from trainables.seeds import generator

EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class Examples:
    """Inputs, shape (n, …), with their class labels, shape (n,), on one device."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Examples:
        return Examples(self.inputs.to(device), self.labels.to(device))


class NetworkDraw:
    """One training's initial weights and batch order, from (cell seed, training number)."""

    def __init__(self, problem: NetworkProblem, training: int):
        self._problem = problem
        self._training = training
        self._orders: dict[int, Tensor] = {}

    def initial(self) -> Weights:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(self._problem.seed, self._training, "weights").initial_seed())
            model = self._problem.make_model()
        device = self._problem.device
        vector = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
        buffers = {name: b.detach().to(device) for name, b in model.named_buffers()}
        return Weights(vector.to(device), buffers)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        problem = self._problem
        epoch, i = divmod(step, problem.steps_per_epoch)
        if epoch not in self._orders:
            shuffle = generator(problem.seed, self._training, f"order {epoch}")
            order = torch.randperm(len(problem.train), generator=shuffle)
            self._orders[epoch] = order.to(problem.device)
        size = problem.batch_size
        chosen = self._orders[epoch][i * size : (i + 1) * size]
        inputs = problem.train.inputs[chosen]
        if problem.augment is not None:
            inputs = problem.augment(inputs, generator(problem.seed, self._training, f"step {step}"))
        return inputs, problem.train.labels[chosen]


class NetworkProblem:
    """Classification by cross-entropy, weights as one flat vector.

    ``make_model`` builds the module from torch's global random state (seeded here); ``augment``
    maps (inputs, CPU generator) → inputs. A last, smaller batch of an epoch is left out, as
    training loops commonly do.
    """

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        train: Examples,
        validation: Examples,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    ):
        self.make_model = make_model
        self.train = train.to(device)
        self.validation_examples = validation.to(device)
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self.augment = augment
        self.steps_per_epoch = len(train) // batch_size
        self._model = make_model().to(device)
        parameters = dict(self._model.named_parameters())
        self._names = list(parameters)
        self._shapes = [p.shape for p in parameters.values()]
        self._sizes = [p.numel() for p in parameters.values()]

    def draw(self, training: int) -> NetworkDraw:
        return NetworkDraw(self, training)

    def training_loss(
        self, vector: Tensor, buffers: Buffers, batch: tuple[Tensor, Tensor]
    ) -> Tensor:
        inputs, labels = batch
        return cross_entropy(self._forward(vector, buffers, inputs, training=True), labels)

    def validation_loss(self, vector: Tensor, buffers: Buffers) -> Tensor:
        examples = self.validation_examples
        total = vector.new_zeros(())
        for inputs, labels in _chunks(examples):
            logits = self._forward(vector, buffers, inputs, training=False)
            total = total + cross_entropy(logits, labels, reduction="sum")
        return total / len(examples)

    def validation(self, weights: Weights) -> Metrics:
        return self.measure(weights, self.validation_examples)

    @torch.no_grad()
    def measure(self, weights: Weights, examples: Examples) -> Metrics:
        """Mean cross-entropy and accuracy on any examples."""
        loss = correct = 0.0
        for inputs, labels in _chunks(examples):
            logits = self._forward(weights.vector, weights.buffers, inputs, training=False)
            loss += float(cross_entropy(logits, labels, reduction="sum"))
            correct += float((logits.argmax(1) == labels).sum())
        return Metrics(loss / len(examples), correct / len(examples))

    def _forward(
        self, vector: Tensor, buffers: Buffers, inputs: Tensor, *, training: bool
    ) -> Tensor:
        self._model.train(training)
        parts = zip(self._names, vector.split(self._sizes), self._shapes, strict=True)
        state = {name: part.view(shape) for name, part, shape in parts}
        return functional_call(self._model, {**state, **buffers}, (inputs,))


def _chunks(examples: Examples) -> list[tuple[Tensor, Tensor]]:
    return list(
        zip(
            examples.inputs.split(EVALUATION_BATCH),
            examples.labels.split(EVALUATION_BATCH),
            strict=True,
        )
    )
