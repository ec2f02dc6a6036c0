"""The tasks on real images: they keep the contract and they learn. Need the data sets."""

from __future__ import annotations

import pytest
import torch

from searchers.hypergradients.schedules import schedule_values
from searchers.inner_problem import Weights
from tests.trainables.real_data import needs_cifar10_jpeg, needs_fashion_mnist, needs_mnist
from trainables.network import NetworkProblem
from trainables.task import Instance, Task
from trainables.tasks import find_task
from trainables.testing import check_task

CPU = torch.device("cpu")


def trained(task: Task, instance: Instance, steps: int) -> Weights:
    """SGD with the task's default configuration, constant learning rate."""
    values = schedule_values(task.space, task.space.flatten(task.default), 1)
    rate, momentum, decay = (
        float(values[name][0]) for name in ("learning_rate", "momentum", "weight_decay")
    )
    draw = instance.inner.draw(0)
    vector, buffers = draw.initial()
    velocity = torch.zeros_like(vector)
    for step in range(steps):
        leaf = vector.detach().requires_grad_()
        loss = instance.inner.training_loss(leaf, buffers, draw.batch(step))
        velocity = momentum * velocity + torch.autograd.grad(loss, leaf)[0] + decay * vector
        vector = vector - rate * velocity
    return Weights(vector, buffers)


def assert_learns(name: str, steps: int, accuracy: float, parts: tuple[int, int]) -> None:
    task = find_task(name)
    instance = task.build(0, CPU)
    inner = instance.inner
    assert isinstance(inner, NetworkProblem)
    assert (len(inner.train), len(inner.validation_examples)) == parts
    weights = trained(task, instance, steps)
    test = instance.test(weights)
    assert test.accuracy is not None
    assert test.accuracy > accuracy
    assert inner.validation(weights).loss == pytest.approx(test.loss, rel=0.25)


@needs_mnist
def test_mnist_logistic() -> None:
    check_task(find_task("mnist_logistic"))
    assert_learns("mnist_logistic", 390, 0.9, (50_000, 10_000))


@needs_mnist
def test_mnist() -> None:
    assert_learns("mnist", 150, 0.88, (50_000, 10_000))


@needs_fashion_mnist
def test_fashion_mnist() -> None:
    check_task(find_task("fashion_mnist"))


@needs_cifar10_jpeg
@pytest.mark.slow
def test_small_cifar10_jpeg() -> None:
    assert_learns("cifar10_jpeg_small", 60, 0.25, (45_000, 5_000))


@needs_cifar10_jpeg
@pytest.mark.slow
def test_cifar10_jpeg() -> None:
    """The first steps of a wide ResNet, whose epochs would take minutes here."""
    task = find_task("cifar10_jpeg")
    inner = task.build(0, CPU).inner
    assert isinstance(inner, NetworkProblem)
    assert (len(inner.train), len(inner.validation_examples)) == (45_000, 5_000)
    inputs, *_ = inner.draw(0).batch(7)
    assert inputs.shape == (128, 3, 32, 32)
    assert not any((inner.train.inputs == image).flatten(1).all(1).any() for image in inputs[:3])
    again, *_ = inner.draw(0).batch(7)
    assert torch.equal(again, inputs)
    before = inner.draw(0).initial()
    first, last = (
        inner.training_loss(*weights, inner.draw(0).batch(7))
        for weights in (
            before,
            trained(task, Instance(inner, inner.validation), 10),
        )
    )
    assert last < first
