"""The tasks on real images: they keep the contract and they learn. Need the data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial

import pytest
import torch

from searchers.hypergradients.schedules import schedule_values
from searchers.inner_problem import Weights
from tests.trainables.real_data import needs_cifar10_jpeg, needs_fashion_mnist, needs_mnist
from trainables.images import Images
from trainables.network import Examples, NetworkProblem
from trainables.task import Instance, Task
from trainables.tasks import find_task
from trainables.testing import check_task

CPU = torch.device("cpu")


@cache
def read(load: Callable[[], Images], parts: int) -> Images:
    """The first of so many parts of a data set, read once for all tests."""
    if parts > 1:
        whole = read(load, 1)
        train, test = (
            Examples(*(tensor[: len(each) // parts] for tensor in (each.inputs, each.labels)))
            for each in (whole.train, whole.test)
        )
        return replace(whole, train=train, test=test)
    return load()


@pytest.fixture(scope="module", autouse=True)
def forgotten_afterwards() -> Iterator[None]:
    """Other tests of this process have the memory again."""
    yield
    read.cache_clear()


def task_on(name: str, parts: int = 1) -> Task:
    """A task whose data are read once: all of them, or a part where their number is not the point.

    A whole CIFAR-10 takes seconds to standardise and to measure.
    """
    task = find_task(name)
    assert isinstance(task.build, partial)
    load, make_model, validation, augment = task.build.args
    assert validation == (5_000 if name.startswith("cifar10") else 10_000)
    few = partial(read, load, parts)
    build = partial(task.build.func, few, make_model, validation // parts, augment)
    return replace(task, build=build)


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


def assert_learns(task: Task, steps: int, accuracy: float, parts: tuple[int, int]) -> None:
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
    check_task(task_on("mnist_logistic", parts=10))
    assert_learns(task_on("mnist_logistic"), 390, 0.9, (50_000, 10_000))


@pytest.mark.slow
@needs_mnist
def test_mnist() -> None:
    assert_learns(task_on("mnist"), 120, 0.88, (50_000, 10_000))


@pytest.mark.slow
@needs_fashion_mnist
def test_fashion_mnist() -> None:
    check_task(task_on("fashion_mnist", parts=10))


@needs_cifar10_jpeg
@pytest.mark.slow
def test_small_cifar10_jpeg() -> None:
    assert_learns(task_on("cifar10_jpeg_small", parts=10), 60, 0.25, (4_500, 500))


@needs_cifar10_jpeg
@pytest.mark.slow
def test_cifar10_jpeg() -> None:
    """The first steps of a wide ResNet, whose epochs would take minutes here."""
    task = task_on("cifar10_jpeg", parts=10)
    inner = task.build(0, CPU).inner
    assert isinstance(inner, NetworkProblem)
    assert (len(inner.train), len(inner.validation_examples)) == (4_500, 500)
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
            trained(task, Instance(inner, inner.validation), 5),
        )
    )
    assert last < first
