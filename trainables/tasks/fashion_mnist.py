"""Fashion-MNIST: MNIST's sizes, with articles of clothing, and harder."""

from __future__ import annotations

from functools import partial

from trainables import data, models
from trainables.task import Task
from trainables.tasks.image_task import LOSS_CEILING, build, constant, windowed_space

SHAPE, CLASSES, VALIDATION = (1, 28, 28), 10, 10_000

FASHION_MNIST = Task(
    name="fashion_mnist",
    summary="Fashion-MNIST, LeNet-5, 9 epochs of 390 steps",
    build=partial(
        build, data.fashion_mnist, partial(models.lenet, SHAPE, CLASSES), VALIDATION, None
    ),
    space=windowed_space(1e-3, 1.0),
    initial=(constant(0.02, 0.5, 1e-5),),
    default=constant(0.02, 0.9, 1e-5),
    budgets=(1, 3, 9),
    smaller_budget="compress",  # the falling end of a schedule matters here, so all budgets have it
    loss_ceiling=LOSS_CEILING,
)
