"""MNIST: 60,000 handwritten digits to train on, 10,000 of them for validation, 10,000 to test."""

from __future__ import annotations

from functools import partial

from trainables import data, models
from trainables.task import Task
from trainables.tasks.image_task import LOSS_CEILING, build, constant, windowed_space

SHAPE, CLASSES, VALIDATION = (1, 28, 28), 10, 10_000

MNIST_LOGISTIC = Task(
    name="mnist_logistic",
    summary="MNIST, logistic regression, 9 epochs of 390 steps",
    build=partial(
        build, data.mnist, partial(models.logistic_regression, SHAPE, CLASSES), VALIDATION, None
    ),
    space=windowed_space(1e-4, 1.0),
    initial=(constant(0.01, 0.5, 1e-5),),
    default=constant(0.01, 0.9, 1e-5),
    budgets=(1, 3, 9),
    smaller_budget="truncate",  # convex: early losses rank learning rates well
    loss_ceiling=LOSS_CEILING,
)

MNIST = Task(
    name="mnist",
    summary="MNIST, LeNet-5, 9 epochs of 390 steps",
    build=partial(build, data.mnist, partial(models.lenet, SHAPE, CLASSES), VALIDATION, None),
    space=windowed_space(1e-3, 1.0),
    initial=(constant(0.02, 0.5, 1e-5),),
    default=constant(0.02, 0.9, 1e-5),
    budgets=(1, 3, 9),
    smaller_budget="truncate",  # one epoch is already near the end: worth training on
    loss_ceiling=LOSS_CEILING,
)
