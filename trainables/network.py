"""Training a `torch.nn.Module` on arrays, as an inner problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from searchers.inner import Buffers, Metrics, Weights
from trainables.seeds import derive, generator
from trainables.task import TaskError

EVALUATION_BATCH = 500  # on a CPU, 1,000 images leave the cache: a third slower


@dataclass(frozen=True)
class Examples:
    """Inputs, shape (n, …), with their class labels, int64, shape (n,), on one device."""

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
        self._order: tuple[int, Tensor] | None = None  # of the epoch read last

    def initial(self) -> Weights:
        problem = self._problem
        model = seeded(problem.make_model, derive(problem.seed, self._training, "weights"))
        vector = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
        buffers = {name: b.detach().to(problem.device) for name, b in model.named_buffers()}
        return Weights(vector.to(problem.device), buffers)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        problem = self._problem
        epoch, i = divmod(step, problem.steps_per_epoch)
        size = problem.batch_size
        chosen = self._epoch_order(epoch)[i * size : (i + 1) * size]
        inputs = problem.train.inputs.index_select(0, chosen)
        if problem.augment is not None:
            stream = generator(problem.seed, self._training, f"step {step}")
            inputs = problem.augment(inputs, stream)
        return inputs, problem.train.labels.index_select(0, chosen)

    def _epoch_order(self, epoch: int) -> Tensor:
        """A permutation of the training examples, on the device."""
        if self._order is None or self._order[0] != epoch:
            problem = self._problem
            shuffle = generator(problem.seed, self._training, f"order {epoch}")
            order = torch.randperm(len(problem.train), generator=shuffle)
            self._order = epoch, order.to(problem.device)
        return self._order[1]


class NetworkProblem:
    """Classification by cross-entropy, weights as one flat vector.

    ``make_model`` builds the module from torch's global random state (seeded here); its forward
    pass must not be random: what is random about a step belongs in its batch. ``augment`` maps
    (inputs, CPU generator) → inputs. A last, smaller batch of an epoch is left out, as training
    loops commonly do.

    Raises a TaskError if there are fewer training examples than one batch has.
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
        if len(train) < batch_size:
            raise TaskError(
                f"{len(train)} training examples do not fill one batch of {batch_size}: "
                "give more examples or a smaller batch size"
            )
        self.make_model = make_model
        self.train = train.to(device)
        self.validation_examples = validation.to(device)
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self.augment = augment
        self.steps_per_epoch = len(train) // batch_size
        # On "meta" it is structure alone: every forward pass brings its own weights and buffers.
        self._model = seeded(make_model, 0).to("meta")
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
        if len(examples) <= EVALUATION_BATCH:
            return self._summed_loss(vector, buffers, *_chunks(examples)[0]) / len(examples)
        total = vector.new_zeros(())
        for inputs, labels in _chunks(examples):
            # One chunk's activations at a time: together they would take gigabytes.
            total = total + checkpoint(
                self._summed_loss,
                vector,
                buffers,
                inputs,
                labels,
                use_reentrant=False,
                preserve_rng_state=False,
            )
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

    def _summed_loss(
        self, vector: Tensor, buffers: Buffers, inputs: Tensor, labels: Tensor
    ) -> Tensor:
        logits = self._forward(vector, buffers, inputs, training=False)
        return cross_entropy(logits, labels, reduction="sum")

    def _forward(
        self, vector: Tensor, buffers: Buffers, inputs: Tensor, *, training: bool
    ) -> Tensor:
        if self._model.training != training:
            self._model.train(training)
        state = dict(buffers)
        parts = vector.split(self._sizes)
        for name, part, shape in zip(self._names, parts, self._shapes, strict=True):
            state[name] = part if len(shape) == 1 else part.view(shape)
        return functional_call(self._model, state, (inputs,))


def seeded(make_model: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A module built from that seed; torch's global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make_model()


def _chunks(examples: Examples) -> list[tuple[Tensor, Tensor]]:
    inputs = examples.inputs.split(EVALUATION_BATCH)
    return list(zip(inputs, examples.labels.split(EVALUATION_BATCH), strict=True))
