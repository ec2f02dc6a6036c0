"""The networks: their sizes are the published ones, and any image fits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from trainables import models


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_sizes() -> None:
    assert size(models.lenet((1, 28, 28), 10)) == 61_706
    assert size(models.logistic_regression((1, 28, 28), 10)) == 7_850
    # By hand: stem, three groups of two blocks with their shortcuts, the last norm and linear.
    blocks = [(16, 16, 0), (16, 16, 0), (16, 32, 512), (32, 32, 0), (32, 64, 2048), (64, 64, 0)]
    by_hand = sum(9 * a * b + 9 * b * b + 2 * a + 2 * b + s for a, b, s in blocks)
    assert size(models.wrn_16_1((3, 32, 32), 10)) == 3 * 16 * 9 + by_hand + 2 * 64 + 650


def test_wide_resnet_has_the_published_size() -> None:
    """WRN-40-4 has 8.9 million weights (Zagoruyko & Komodakis 2016, table 4)."""
    assert size(models.wide_resnet((3, 32, 32), 10, depth=40, widen=4)) / 1e6 == pytest.approx(
        8.9, abs=0.06
    )


def test_wide_resnet_halves_its_maps_twice() -> None:
    model = models.wrn_16_1((3, 32, 32), 10)
    assert isinstance(model, nn.Sequential)
    inputs, sides = torch.randn(2, 3, 32, 32), []
    for layer in model[:7]:
        inputs = layer(inputs)
        sides.append(tuple(inputs.shape[1:3]))
    assert sides == [(16, 32), (16, 32), (16, 32), (32, 16), (32, 16), (64, 8), (64, 8)]


@pytest.mark.parametrize("depth", [4, 15, 17])
def test_wide_resnet_depths(depth: int) -> None:
    with pytest.raises(ValueError, match="6n"):
        models.wide_resnet((3, 32, 32), 10, depth=depth, widen=1)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (models.mlp, (1, 5, 7)),
        (models.logistic_regression, (3, 6, 4)),
        (models.lenet, (3, 32, 32)),
        (models.lenet, (1, 29, 31)),
        (models.small_cnn, (1, 12, 12)),
        (models.small_cnn, (4, 33, 50)),
        (models.wrn_16_1, (1, 28, 28)),
    ],
)
def test_logits_for_images_of_other_shapes(
    make: Callable[[models.Shape, int], nn.Module], shape: models.Shape
) -> None:
    assert make(shape, 6)(torch.randn(3, *shape)).shape == (3, 6)
