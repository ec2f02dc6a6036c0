"""Tasks on MNIST, Fashion-MNIST and CIFAR-10.

The cell's seed draws the validation part out of the training set; the official test set is the
test. Data are read when a task is built, and held standardised on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from searchers.space import Float, Nested, Space, Vector
from trainables import data, images, models
from trainables.task import Instance, Task

WINDOWS = 7
GREY: models.Shape = (1, 28, 28)
COLOUR: models.Shape = (3, 32, 32)
CLASSES = 10
LOSS_CEILING = 10.0


def _build(
    load: Callable[[], images.Images],
    make_model: Callable[[], nn.Module],
    validation: int,
    augment: images.Augment | None,
    seed: int,
    device: torch.device,
) -> Instance:
    return images.instance(
        load(),
        make_model,
        validation=validation,
        batch_size=128,
        seed=seed,
        device=device,
        augment=augment,
    )


def _space(lowest: float, highest: float) -> Space:
    """Learning rates in that range, on a log scale as practitioners search them."""
    return Space(
        {
            "learning_rate": Vector(WINDOWS, Float(lowest, highest, log=True)),
            "momentum": Float(0.0, 0.99),
            "weight_decay": Float(1e-6, 1e-2, log=True),
        }
    )


def _constant(learning_rate: float, momentum: float, weight_decay: float) -> Nested:
    return {
        "learning_rate": (learning_rate,) * WINDOWS,
        "momentum": momentum,
        "weight_decay": weight_decay,
    }


MNIST_LOGISTIC = Task(
    name="mnist_logistic",
    summary="MNIST, logistic regression, 9 epochs of 390 steps",
    build=partial(
        _build, data.mnist, partial(models.logistic_regression, GREY, CLASSES), 10_000, None
    ),
    space=_space(1e-4, 1.0),
    initial=(_constant(0.01, 0.5, 1e-5),),
    default=_constant(0.01, 0.9, 1e-5),
    budgets=(1, 3, 9),
    smaller_budget="truncate",  # convex: early losses rank learning rates well
    loss_ceiling=LOSS_CEILING,
)

MNIST = Task(
    name="mnist",
    summary="MNIST, LeNet-5, 9 epochs of 390 steps",
    build=partial(_build, data.mnist, partial(models.lenet, GREY, CLASSES), 10_000, None),
    space=_space(1e-3, 1.0),
    initial=(_constant(0.02, 0.5, 1e-5),),
    default=_constant(0.02, 0.9, 1e-5),
    budgets=(1, 3, 9),
    smaller_budget="truncate",  # one epoch is already near the end: worth training on
    loss_ceiling=LOSS_CEILING,
)

FASHION_MNIST = Task(
    name="fashion_mnist",
    summary="Fashion-MNIST, LeNet-5, 9 epochs of 390 steps",
    build=partial(_build, data.fashion_mnist, partial(models.lenet, GREY, CLASSES), 10_000, None),
    space=_space(1e-3, 1.0),
    initial=(_constant(0.02, 0.5, 1e-5),),
    default=_constant(0.02, 0.9, 1e-5),
    budgets=(1, 3, 9),
    smaller_budget="compress",  # the falling end of a schedule matters here, so all budgets have it
    loss_ceiling=LOSS_CEILING,
)


def _cifar10(name: str, title: str, load: Callable[[], images.Images]) -> Task:
    return Task(
        name=name,
        summary=f"{title}, WRN-16-1 with crops and flips, 27 epochs of 351 steps",
        build=partial(
            _build, load, partial(models.wrn_16_1, COLOUR, CLASSES), 5_000, images.crop_and_flip
        ),
        space=_space(1e-3, 3.0),
        initial=(_constant(0.1, 0.5, 1e-4),),
        default=_constant(0.1, 0.9, 5e-4),
        budgets=(3, 9, 27),
        smaller_budget="compress",  # most of the accuracy comes when the learning rate falls
        loss_ceiling=LOSS_CEILING,
    )


def _cifar10_small(name: str, title: str, load: Callable[[], images.Images]) -> Task:
    # No augmentation: in nine epochs so small a net does not overfit.
    return Task(
        name=name,
        summary=f"{title}, a CNN of three convolutions, 9 epochs of 351 steps",
        build=partial(_build, load, partial(models.small_cnn, COLOUR, CLASSES), 5_000, None),
        space=_space(1e-3, 1.0),
        initial=(_constant(0.05, 0.5, 1e-4),),
        default=_constant(0.05, 0.9, 5e-4),
        budgets=(1, 3, 9),
        smaller_budget="compress",
        loss_ceiling=LOSS_CEILING,
    )


# The recompressed pixels are a data set of their own: results on them carry its name.
JPEG = "CIFAR-10 (JPEG-compressed)"

CIFAR10 = _cifar10("cifar10", "CIFAR-10", data.cifar10)
CIFAR10_JPEG = _cifar10("cifar10_jpeg", JPEG, data.cifar10_jpeg)
CIFAR10_SMALL = _cifar10_small("cifar10_small", "CIFAR-10", data.cifar10)
CIFAR10_JPEG_SMALL = _cifar10_small("cifar10_jpeg_small", JPEG, data.cifar10_jpeg)
