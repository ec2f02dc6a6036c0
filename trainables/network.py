"""Training a `torch.nn.Module` on arrays, as an inner problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from searchers.inner_problem import NO_THETA, Buffers, Metrics, Theta, Weights
from searchers.settings import is_whole, plain
from trainables.batch_norm import patch_batch_norm
from trainables.modules import (
    check_in_place,
    checked_model,
    plain_weight_norm,
    random_devices,
    seeded,
    set_seed,
    tied,
)
from trainables.rng import derive, generator
from trainables.task import TaskError
from trainables.training_losses import CrossEntropy, Minibatch, TrainingLoss

CPU = torch.device("cpu")

EVALUATION_BATCH = 500  # on a CPU, 1,000 images leave the cache: a third slower


@dataclass(frozen=True)
class Examples:
    """Inputs with their class labels, on one device.

    Args:
        inputs: shape (n, …).
        labels: int64, shape (n,).
    """

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        labels = self.labels
        if labels.dim() != 1 or labels.dtype != torch.int64:
            given = f"{labels.dtype} of shape {tuple(labels.shape)}"
            raise TaskError(
                f"labels are {given}: an example has one class label, so they are torch.int64 of"
                " shape (n,); for another loss, such as of numbers or of words, write a"
                " searchers.InnerProblem"
            )
        if len(self.inputs) != len(labels):
            raise TaskError(f"{len(self.inputs)} inputs have {len(labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Examples:
        """The same on another device."""
        return Examples(self.inputs.to(device), self.labels.to(device))


def joined(*parts: Examples) -> Examples:
    """The examples of all parts, one after the other; they lie on one device."""
    inputs, labels = ([getattr(part, name) for part in parts] for name in ("inputs", "labels"))
    return Examples(torch.cat(inputs), torch.cat(labels))


class NetworkDraw:
    """One training's initial weights and batch order, from (cell seed, training number).

    Args:
        problem: the cell's.
        training: its number.
    """

    def __init__(self, problem: NetworkProblem, training: int):
        self._problem = problem
        self._training = training
        self._order: tuple[int, Tensor] | None = None  # of the epoch read last

    def initial(self) -> Weights:
        problem = self._problem
        seed = derive(problem.seed, self._training, "weights")
        model = seeded(problem.make_model, seed, problem.device)
        parts = dict(model.named_parameters())
        frozen = {name: p for name, p in parts.items() if not p.requires_grad}
        vector = torch.cat([p.detach().reshape(-1) for n, p in parts.items() if n not in frozen])
        held = {**dict(model.named_buffers()), **frozen}
        buffers = {name: tensor.detach().to(problem.device) for name, tensor in held.items()}
        return Weights(vector.to(problem.device), buffers)

    def batch(self, step: int) -> Minibatch:
        problem = self._problem
        epoch, i = divmod(step, problem.steps_per_epoch)
        size = problem.batch_size
        chosen = self._epoch_order(epoch)[i * size : (i + 1) * size]
        inputs = problem.train.inputs.index_select(0, chosen)
        if problem.augment is not None:
            stream = generator(problem.seed, self._training, f"step {step}")
            inputs = problem.augment(inputs, stream)
        labels = problem.train.labels.index_select(0, chosen)
        return Minibatch(inputs, labels, chosen, derive(problem.seed, self._training, step))

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

    Parameters that need no gradient stay as they are. A last, smaller batch of an epoch is left
    out, as training loops commonly do.

    Args:
        make_model: builds the module from torch's global random state (seeded here). If its forward
            pass draws from that state too (dropout), it is seeded at each step by the batch's key,
            so that a step can be replayed.
        train: the training examples.
        validation: the validation examples.
        batch_size: examples in a training step.
        seed: the cell's, from which initial weights and batch orders follow.
        device: where it trains.
        augment: (inputs, CPU generator) → inputs of a training batch.
        objective: the training loss, by default cross-entropy; validation and test are always
            cross-entropy.
        groups: name → predicate on a parameter's name, for weights with hyperparameters of their
            own.

    Raises:
        TaskError: there are fewer training examples than one batch has, none to validate on, or no
            weights to train; or a training step could not be repeated.
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
        objective: TrainingLoss | None = None,
        groups: Mapping[str, Callable[[str], bool]] = MappingProxyType({}),
    ):
        batch_size, seed = plain((batch_size, seed))
        for what, count, least in (("batch_size", batch_size, 1), ("seed", seed, 0)):
            if not is_whole(count, least):
                raise TaskError(f"{what} is a whole number, {least} or more, not {count!r}")
        if not len(validation):
            raise TaskError("there are no validation examples: a search goes by their loss")
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
        model = checked_model(make_model, device)
        parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._names = list(parameters)
        self._shapes = [p.shape for p in parameters.values()]
        types = [p.dtype for p in parameters.values()]
        self._types = dict(zip(parameters, types, strict=True)) if len(set(types)) > 1 else {}
        self._sizes = [p.numel() for p in parameters.values()]
        self._tied = tied(model)
        check_in_place(model, self.draw(0).batch(0).inputs, device)
        self._model = patch_batch_norm(model.to("meta"))
        self.objective = _checked(objective) if objective is not None else CrossEntropy()
        self.hyperparameters = self.objective.hyperparameters
        self.groups = {name: self._mask(chosen) for name, chosen in groups.items()}
        self._random = self._attentive = self._recurrent = self._normed = False
        self._check_logits()
        self._look_at_a_step()

    def draw(self, training: int) -> NetworkDraw:
        return NetworkDraw(self, training)

    def training_loss(
        self, vector: Tensor, buffers: Buffers, batch: Minibatch, theta: Theta = NO_THETA
    ) -> Tensor:
        def forward(inputs: Tensor) -> Tensor:
            return self._forward(vector, buffers, inputs, training=True)

        if not self._random:
            return _scalar(self.objective(forward, vector, batch, theta))
        with torch.random.fork_rng(random_devices(self.device)):
            set_seed(self.device, batch.key)
            return _scalar(self.objective(forward, vector, batch, theta))

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
            loss += float(summed_cross_entropy(logits, labels))
            correct += float((logits.argmax(1) == labels).sum())
        return Metrics(loss / len(examples), correct / len(examples))

    def _mask(self, chosen: Callable[[str], bool]) -> Tensor:
        """Which weights belong to the parameters of those names, bool, (P,)."""
        parts = zip(self._names, self._sizes, strict=True)
        mask = torch.cat([torch.full((size,), bool(chosen(name))) for name, size in parts])
        return mask.to(self.device)

    def _check_logits(self) -> None:
        """TaskError if what the network gives is no logit for each class of each example."""
        few = self.train.inputs[:2]
        with torch.no_grad(), torch.random.fork_rng(random_devices(self.device)):
            logits = self._forward(*self.draw(0).initial(), few, training=False)
        if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(few):
            given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise TaskError(
                f"of {len(few)} examples the network gives {given}: it has to be a logit for each"
                f" class of each, ({len(few)}, classes)"
            )
        labels = torch.cat([self.train.labels, self.validation_examples.labels])
        for label in (int(labels.min()), int(labels.max())):
            if not 0 <= label < logits.shape[1]:
                raise TaskError(
                    f"a label is {label}, and the network gives {logits.shape[1]} logits: number"
                    " classes from 0"
                )

    def _look_at_a_step(self) -> None:
        """Whether a training step's loss moves the random state; what has no second derivative.

        A TaskError if a step could not be repeated.
        """
        draw = self.draw(0)
        theta = {n: torch.tensor(v, device=self.device) for n, v in self.hyperparameters.items()}
        with torch.random.fork_rng(random_devices(self.device)):
            before = _random_states(self.device)
            vector, buffers = draw.initial()
            loss = self.training_loss(vector.requires_grad_(), buffers, draw.batch(0), theta)
            after = _random_states(self.device)
            self._random = not all(map(torch.equal, before, after))
            self._attentive = any("ScaledDotProduct" in name for name in _operators(loss))
            self._recurrent = any("CudnnRnn" in name for name in _operators(loss))
            self._normed = any("WeightNorm" in name for name in _operators(loss))
            del loss  # and its graph; the others have none
            still = vector.detach()
            once, again = (
                self.training_loss(still, draw.initial().buffers, draw.batch(0), theta)
                for _ in range(2)
            )
            if _apart(once, again):
                raise TaskError(
                    "the training loss differs from call to call: what is random about it must "
                    "come from torch's global random state, or from the batch's key"
                )
            others = {
                name: tensor if torch.equal(tensor, buffers[name]) else 2 * buffers[name] + 1
                for name, tensor in draw.initial().buffers.items()
            }
            if _apart(once, self.training_loss(still, others, draw.batch(0), theta)):
                raise TaskError(
                    "the training loss depends on buffers that it moves itself, as spectral_norm "
                    "does: a step cannot be repeated, or differentiated"
                )

    def _summed_loss(
        self, vector: Tensor, buffers: Buffers, inputs: Tensor, labels: Tensor
    ) -> Tensor:
        logits = self._forward(vector, buffers, inputs, training=False)
        return summed_cross_entropy(logits, labels)

    def _forward(
        self, vector: Tensor, buffers: Buffers, inputs: Tensor, *, training: bool
    ) -> Tensor:
        if self._model.training != training:
            self._model.train(training)
        state = dict(buffers)
        parts = vector.split(self._sizes)
        for name, part, shape in zip(self._names, parts, self._shapes, strict=True):
            state[name] = part if len(shape) == 1 else part.view(shape)
        for name, kind in self._types.items():  # of mixed types, the vector has the widest
            state[name] = state[name].to(kind)
        for name, other in self._tied.items():
            state[name] = state[other]
        with ExitStack() as twice_differentiable:  # torch's fused kernels of these are not
            if self._attentive:
                twice_differentiable.enter_context(sdpa_kernel(SDPBackend.MATH))
            if self._recurrent:
                twice_differentiable.enter_context(torch.backends.cudnn.flags(enabled=False))
            if self._normed:
                twice_differentiable.enter_context(plain_weight_norm())
            return functional_call(self._model, state, (inputs,))


def summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """In float32 at least: a sum of hundreds in bfloat16 has three digits."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return cross_entropy(wide, labels, reduction="sum")


def _checked(objective: object) -> TrainingLoss:
    if isinstance(objective, type) or not isinstance(objective, TrainingLoss):
        raise TaskError(
            "objective is a training loss with hyperparameters of its own, such as"
            " trainables.LabelSmoothing() or a class with the protocol of trainables.TrainingLoss,"
            f" not {_called(objective)}; without one it is cross-entropy"
        )
    return objective


def _called(thing: object) -> str:
    """A line for something that a user gave in place of something else."""
    return getattr(thing, "__qualname__", None) or " ".join(repr(thing).split())


def _scalar(loss: object) -> Tensor:
    if not isinstance(loss, Tensor) or loss.dim() or not loss.is_floating_point():
        shape = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise TaskError(f"a training loss is a scalar tensor of floats, not {shape}")
    return loss


def _apart(one: Tensor, other: Tensor) -> bool:
    """More than the order of a sum explains."""
    return not torch.allclose(one, other, rtol=1e-4, atol=0.0, equal_nan=True)


def _operators(loss: Tensor) -> Iterator[str]:
    """The names of the operators in a graph."""
    waiting, seen = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [before for before, _ in node.next_functions]
            yield node.name()


def _random_states(device: torch.device) -> list[Tensor]:
    """The CPU's, which a model on a GPU may draw from too, and the GPU's own."""
    return [torch.get_rng_state(), *map(torch.cuda.get_rng_state, random_devices(device))]


def _chunks(examples: Examples) -> list[tuple[Tensor, Tensor]]:
    inputs = examples.inputs.split(EVALUATION_BATCH)
    return list(zip(inputs, examples.labels.split(EVALUATION_BATCH), strict=True))
