"""`check_task`: the tasks of the registry keep it, and each broken law is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from searchers.inner_problem import Buffers, Metrics, Weights
from searchers.space import Float, Int, Space
from trainables.images import Images, crop_and_flip, instance
from trainables.models import wide_resnet
from trainables.network import Examples, NetworkProblem
from trainables.task import Instance, Task
from trainables.tasks.digits import DIGITS, DIGITS_WEAK_PRIOR
from trainables.tasks.synthetic import NOISY_QUADRATIC, QUADRATIC
from trainables.testing import check_task
from trainables.training_losses import (
    InputNoise,
    LabelSmoothing,
    Ridge,
    TrainingLoss,
    WeightedExamples,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("task", [DIGITS, DIGITS_WEAK_PRIOR])
def test_digits(task: Task) -> None:
    check_task(task)


def test_synthetic_tasks() -> None:
    check_task(QUADRATIC, draws_differ=False, split_by_seed=False)
    check_task(NOISY_QUADRATIC, split_by_seed=False)


def test_what_is_declared_is_held_to() -> None:
    with pytest.raises(
        AssertionError, match="quadratic: initial weights do not differ by training"
    ):
        check_task(QUADRATIC, split_by_seed=False)
    with pytest.raises(AssertionError, match="noisy_quadratic: validation splits do not differ"):
        check_task(NOISY_QUADRATIC)
    with pytest.raises(AssertionError, match="digits: initial weights differ by training"):
        check_task(DIGITS, draws_differ=False)
    with pytest.raises(AssertionError, match="digits: validation splits differ by seed"):
        check_task(DIGITS, split_by_seed=False)


def noise_images(seed: int, device: torch.device) -> Instance:
    """A residual network with batch normalisation on a few augmented images."""
    stream = torch.Generator().manual_seed(0)
    parts = [
        Examples(
            torch.randint(256, (count, 3, 8, 8), generator=stream).to(torch.uint8),
            torch.randint(3, (count,), generator=stream),
        )
        for count in (40, 20)
    ]
    return instance(
        Images(*parts, mean=(127.0,) * 3, deviation=(74.0,) * 3),  # type: ignore[misc]
        partial(wide_resnet, (3, 8, 8), 3, depth=10, widen=1),
        validation=10,
        batch_size=8,
        seed=seed,
        device=device,
        augment=partial(crop_and_flip, padding=1),
    )


RESIDUAL = replace(DIGITS, name="residual", build=noise_images)


def test_a_residual_network_with_augmentation() -> None:
    check_task(RESIDUAL)


@pytest.mark.parametrize("objective", [LabelSmoothing(), InputNoise(), Ridge(), WeightedExamples()])
def test_a_loss_with_hyperparameters(objective: TrainingLoss) -> None:
    def build(seed: int, device: torch.device) -> Instance:
        made = DIGITS.build(seed, device).inner
        assert isinstance(made, NetworkProblem)
        problem = NetworkProblem(
            made.make_model,
            made.train,
            made.validation_examples,
            batch_size=32,
            seed=seed,
            device=device,
            objective=objective,
        )
        return Instance(problem, lambda weights: problem.measure(weights, made.train))

    check_task(replace(DIGITS, name="own_loss", build=build))


@dataclass
class Broken:
    """A problem with one part replaced."""

    problem: Any
    replaced: dict[str, Callable[..., Any]]

    def __getattr__(self, name: str) -> Any:
        if name in self.replaced:
            return partial(self.replaced[name], self.problem)
        return getattr(self.problem, name)


def broken(task: Task = DIGITS, **replaced: Callable[..., Any]) -> Task:
    def build(seed: int, device: torch.device) -> Instance:
        made = task.build(seed, device)
        return Instance(Broken(made.inner, replaced), made.test)  # type: ignore[arg-type]

    return replace(task, name="broken", build=build)


def random_loss(problem: NetworkProblem, vector: Tensor, buffers: Buffers, batch: Any, _) -> Tensor:
    changed = batch._replace(inputs=dropout(batch.inputs, 0.5))
    return problem.training_loss(vector, buffers, changed)


def half_detached(
    problem: NetworkProblem, vector: Tensor, buffers: Buffers, batch: Any, _
) -> Tensor:
    """Right in value and in gradient, wrong in the second derivative."""
    loss = problem.training_loss(vector, buffers, batch)
    leaf = vector.detach().requires_grad_()
    slope = torch.autograd.grad(problem.training_loss(leaf, buffers, batch), leaf)[0]
    straight = (slope * (vector - vector.detach())).sum()
    return 0.5 * loss + 0.5 * (loss.detach() + straight)


def not_a_number(
    problem: NetworkProblem, vector: Tensor, buffers: Buffers, batch: Any, _
) -> Tensor:
    """A root of zero: a fine value, an infinite slope."""
    return problem.training_loss(vector, buffers, batch) + (vector - vector.detach()).norm().sqrt()


class Elsewhere:
    """A draw whose batches are those of another step from the second reading on."""

    def __init__(self, draw: Any):
        self.initial = draw.initial
        self.draw, self.read = draw, 0

    def batch(self, step: int) -> Any:
        self.read += 1
        return self.draw.batch(step + (self.read > 3))


def unseeded(problem: NetworkProblem, training: int) -> Any:
    draw = problem.draw(training)

    class Unseeded:
        batch = draw.batch

        def initial(self) -> Weights:
            weights = draw.initial()
            return weights._replace(vector=weights.vector + 1e-6 * torch.rand(()))

    return Unseeded()


def changes_weights(problem: NetworkProblem, weights: Weights) -> Metrics:
    metrics = problem.validation(weights)
    weights.vector.mul_(0.9)
    return metrics


@pytest.mark.parametrize(
    ("task", "line"),
    [
        (broken(training_loss=random_loss), "differs from call to call"),
        (broken(training_loss=half_detached), "Hessian-vector product"),
        (broken(training_loss=not_a_number), "not finite"),
        (
            broken(training_loss=lambda p, v, b, batch, _: p.training_loss(v, b, batch).reshape(1)),
            "not a scalar",
        ),
        (broken(training_loss=lambda p, v, b, batch, _: v.sum()), "no second derivative"),
        (
            broken(
                RESIDUAL,
                training_loss=lambda p, v, b, batch, _: (
                    p.training_loss(v, b, batch) + 1e-3 * b["1.norm1.running_mean"].sum()
                ),
            ),
            "depends on buffers",
        ),
        (broken(draw=lambda p, n: Elsewhere(p.draw(n))), "differs when read again"),
        (broken(draw=unseeded), "initial weights differ when"),
        (broken(draw=lambda p, n: p.draw(0)), "do not differ by training"),
        (
            broken(validation_loss=lambda p, v, b: 1.01 * p.validation_loss(v, b)),
            "validation\\(\\) measures",
        ),
        (broken(validation=changes_weights), "changes"),
        (replace(DIGITS, loss_ceiling=1.0), "above the ceiling"),
    ],
)
def test_broken_laws_are_found(task: Task, line: str) -> None:
    with pytest.raises(AssertionError, match=line) as caught:
        check_task(task)
    assert str(caught.value).startswith(f"{task.name}: ")
    assert "\n" not in str(caught.value)


class Remembering(nn.Module):
    """Shifts what it evaluates by the trainings it has seen: a trace in the problem."""

    trainings = 0

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled():
            Remembering.trainings += 1
            return self.linear(inputs)
        return self.linear(inputs * (1 + Remembering.trainings))


def test_a_trace_in_the_problem_is_found() -> None:
    def build(seed: int, device: torch.device) -> Instance:
        made = DIGITS.build(seed, device)
        assert isinstance(made.inner, NetworkProblem)
        parts = made.inner.train, made.inner.validation_examples
        inner = NetworkProblem(Remembering, *parts, batch_size=32, seed=seed, device=device)
        return Instance(inner, made.test)

    with pytest.raises(AssertionError, match="a training changes another's validation"):
        check_task(replace(DIGITS, build=build))


def test_a_split_that_ignores_the_seed_and_a_test_that_is_the_validation() -> None:
    def same_split(seed: int, device: torch.device) -> Instance:
        made, drawn = DIGITS.build(0, device), DIGITS.build(seed, device)
        return Instance(Broken(made.inner, {"draw": lambda p, n: drawn.inner.draw(n)}), made.test)  # type: ignore[arg-type]

    with pytest.raises(AssertionError, match="validation splits do not differ by seed"):
        check_task(replace(DIGITS, build=same_split))

    def leaking(seed: int, device: torch.device) -> Instance:
        inner = DIGITS.build(seed, device).inner
        return Instance(inner, inner.validation)

    with pytest.raises(AssertionError, match="the test measures what validation measures"):
        check_task(replace(DIGITS, build=leaking))


def test_a_space_that_is_not_the_update_rules() -> None:
    space = Space({"learning_rate": Float(0.0, 1.0), "layers": Int(1, 3)})
    nested = {"learning_rate": 0.1, "layers": 2}
    task = replace(DIGITS, space=space, default=nested, initial=(nested,))
    with pytest.raises(AssertionError, match="layers is no hyperparameter"):
        check_task(task)
