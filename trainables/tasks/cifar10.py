"""CIFAR-10: 50,000 photographs to train on, 5,000 of them for validation, 10,000 to test.

Each task exists twice: on the original pixels, and on recompressed ones, for machines where only
those are to be had. The recompressed pixels are a data set of their own: results on them carry its
name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from trainables import data, models
from trainables.images import Images, crop_and_flip
from trainables.task import Task
from trainables.tasks.image_task import LOSS_CEILING, build, constant, windowed_space

SHAPE, CLASSES, VALIDATION = (3, 32, 32), 10, 5_000
JPEG = "CIFAR-10 (JPEG-compressed)"


def _wide_resnet(name: str, title: str, load: Callable[[], Images]) -> Task:
    return Task(
        name=name,
        summary=f"{title}, WRN-16-1 with crops and flips, 27 epochs of 351 steps",
        build=partial(
            build, load, partial(models.wrn_16_1, SHAPE, CLASSES), VALIDATION, crop_and_flip
        ),
        space=windowed_space(1e-3, 3.0),
        initial=(constant(0.1, 0.5, 1e-4),),
        default=constant(0.1, 0.9, 5e-4),
        budgets=(3, 9, 27),
        smaller_budget="compress",  # most of the accuracy comes when the learning rate falls
        loss_ceiling=LOSS_CEILING,
    )


def _small(name: str, title: str, load: Callable[[], Images]) -> Task:
    # No augmentation: in nine epochs so small a net does not overfit.
    return Task(
        name=name,
        summary=f"{title}, a CNN of three convolutions, 9 epochs of 351 steps",
        build=partial(build, load, partial(models.small_cnn, SHAPE, CLASSES), VALIDATION, None),
        space=windowed_space(1e-3, 1.0),
        initial=(constant(0.05, 0.5, 1e-4),),
        default=constant(0.05, 0.9, 5e-4),
        budgets=(1, 3, 9),
        smaller_budget="compress",
        loss_ceiling=LOSS_CEILING,
    )


CIFAR10 = _wide_resnet("cifar10", "CIFAR-10", data.cifar10)
CIFAR10_JPEG = _wide_resnet("cifar10_jpeg", JPEG, data.cifar10_jpeg)
CIFAR10_SMALL = _small("cifar10_small", "CIFAR-10", data.cifar10)
CIFAR10_JPEG_SMALL = _small("cifar10_jpeg_small", JPEG, data.cifar10_jpeg)
