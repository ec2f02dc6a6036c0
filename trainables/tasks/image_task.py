"""What the image tasks share: the search space, configurations in it, and how they are built.

The cell's seed draws the validation part out of the training set; the official test set is the
test. Data are read when a task is built, and held standardised on the device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from searchers.space import Float, Nested, Space, Vector
from trainables import images
from trainables.task import Instance

WINDOWS = 7
BATCH_SIZE = 128
LOSS_CEILING = 10.0


def windowed_space(lowest: float, highest: float) -> Space:
    """Learning rates in that range, on a log scale as practitioners search them."""
    return Space(
        {
            "learning_rate": Vector(WINDOWS, Float(lowest, highest, log=True)),
            "momentum": Float(0.0, 0.99),
            "weight_decay": Float(1e-6, 1e-2, log=True),
        }
    )


def constant(learning_rate: float, momentum: float, weight_decay: float) -> Nested:
    """A configuration of such a space whose learning rate is the same all along."""
    return {
        "learning_rate": (learning_rate,) * WINDOWS,
        "momentum": momentum,
        "weight_decay": weight_decay,
    }


def build(
    load: Callable[[], images.Images],
    make_model: Callable[[], nn.Module],
    validation: int,
    augment: images.Augment | None,
    seed: int,
    device: torch.device,
) -> Instance:
    """The instance of a cell; all but the cell's seed and device is bound by `functools.partial`.

    Args:
        load: reads the data set.
        make_model: builds the network.
        validation: how many training examples are held out.
        augment: what is done to each training batch, if anything.
        seed: the cell's.
        device: where it trains.
    """
    return images.instance(
        load(),
        make_model,
        validation=validation,
        batch_size=BATCH_SIZE,
        seed=seed,
        device=device,
        augment=augment,
    )
