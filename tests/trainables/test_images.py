"""Splits, scale and augmentation of image tasks."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from trainables.images import Images, crop_and_flip, instance
from trainables.models import mlp
from trainables.network import Examples, NetworkProblem
from trainables.rng import generator

CPU = torch.device("cpu")
MODEL = partial(mlp, (1, 4, 4), 2)


def numbered(count: int, start: int) -> Examples:
    """Images that can be told apart: every pixel of image i is start + i."""
    numbers = torch.arange(start, start + count)
    inputs = numbers.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    return Examples(inputs, numbers % 2)


IMAGES = Images(numbered(100, 0), numbered(40, 200), mean=(50.0,), deviation=(25.0,))


def split(seed: int) -> tuple[NetworkProblem, set[int], set[int]]:
    made = instance(IMAGES, MODEL, validation=30, batch_size=10, seed=seed, device=CPU)
    assert isinstance(made.inner, NetworkProblem)
    return made.inner, *map(numbers, (made.inner.train, made.inner.validation_examples))


def numbers(examples: Examples) -> set[int]:
    return {round(float(image.mean()) * 25 + 50) for image in examples.inputs}


def test_every_training_image_is_in_one_part_and_no_test_image_in_any() -> None:
    inner, train, validation = split(0)
    assert (len(train), len(validation)) == (70, 30)
    assert train | validation == set(range(100))
    for examples in (inner.train, inner.validation_examples):
        images = [round(float(image.mean()) * 25 + 50) for image in examples.inputs]
        assert [image % 2 for image in images] == examples.labels.tolist()


def test_the_seed_draws_the_split() -> None:
    _, _, validation = split(0)
    assert split(0)[2] == validation
    assert split(1)[2] != validation


def test_the_test_is_the_test_part_for_every_seed() -> None:
    for seed in range(2):
        made = instance(IMAGES, MODEL, validation=30, batch_size=10, seed=seed, device=CPU)
        weights = made.inner.draw(0).initial()
        assert isinstance(made.inner, NetworkProblem)
        by_hand = made.inner.measure(weights, IMAGES.standardised(IMAGES.test, CPU))
        assert made.test(weights) == by_hand


def test_standardised_scale_by_channel() -> None:
    inputs = torch.randint(256, (20, 3, 4, 4), generator=generator("pixels")).to(torch.uint8)
    pixels = inputs.double()
    mean, deviation = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0)
    examples = Examples(inputs, torch.zeros(20, dtype=torch.int64))
    before = inputs.clone()
    images = Images(examples, examples, tuple(mean.tolist()), tuple(deviation.tolist()))
    scaled = images.standardised(examples, CPU).inputs
    assert scaled.dtype == torch.float32
    torch.testing.assert_close(scaled.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std((0, 2, 3), correction=0), torch.ones(3))
    images.standardised(Examples(inputs.float(), examples.labels), CPU)
    assert torch.equal(inputs, before)


def test_float_images_are_not_scaled_in_place() -> None:
    inputs = torch.rand(6, 1, 4, 4)
    examples, before = Examples(inputs, torch.zeros(6, dtype=torch.int64)), inputs.clone()
    Images(examples, examples, (0.5,), (0.3,)).standardised(examples, CPU)
    assert torch.equal(inputs, before)


def one_by_one(inputs: Tensor, stream: torch.Generator, padding: int) -> Tensor:
    """The same augmentation, image by image."""
    count, channels, height, width = inputs.shape
    shifts = torch.randint(2 * padding + 1, (2, count), generator=stream)
    mirrored = torch.randint(2, (count,), generator=stream)
    outputs = torch.zeros_like(inputs)
    for i in range(count):
        padded = torch.zeros(channels, height + 2 * padding, width + 2 * padding)
        padded[:, padding : padding + height, padding : padding + width] = inputs[i]
        down, right = (int(shift) for shift in shifts[:, i])
        window = padded[:, down : down + height, right : right + width]
        outputs[i] = window.flip(2) if mirrored[i] else window
    return outputs


def test_crop_and_flip_is_what_it_says_of_each_image() -> None:
    inputs = torch.randn(40, 3, 8, 6, generator=generator("images"))
    before = inputs.clone()
    for padding in (1, 4):
        augmented = crop_and_flip(inputs, generator("a"), padding)
        assert torch.equal(augmented, one_by_one(inputs, generator("a"), padding))
    assert torch.equal(inputs, before)
    assert not torch.equal(crop_and_flip(inputs, generator("b")), augmented)


def test_every_shift_and_both_mirrorings_occur_equally_often() -> None:
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = 1.0  # stays inside at every shift
    image[0, 0, 4, 5] = 2.0  # tells the mirrored ones
    augmented = crop_and_flip(image.expand(8100, 1, 9, 9), generator("shifts"))
    places = (augmented == 1.0).flatten(1).int().argmax(1)
    counts = torch.bincount(places, minlength=81).double()
    assert counts.min() > 0
    chi_square = float(((counts - 100) ** 2 / 100).sum())
    assert chi_square < 140  # 80 degrees of freedom: exceeded with probability 4e-5
    left_of = augmented.flatten(1).gather(1, (places - 1).clamp(min=0).unsqueeze(1))
    # Half are mirrored, and in one of nine of those the neighbour is shifted out.
    assert abs(float((left_of == 2.0).double().mean()) - 4 / 9) < 0.03
