"""Image classification as a task's instance: the split, the pixels' scale, augmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.network import Examples, NetworkProblem, joined
from trainables.rng import generator
from trainables.task import Instance

Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Images:
    """A data set in its fixed training and test part.

    Args:
        train: inputs of shape (n, channels, height, width), in any numeric type.
        test: likewise.
        mean: of the pixels, one value a channel, in the inputs' own units.
        deviation: likewise.
    """

    train: Examples
    test: Examples
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def standardised(self, examples: Examples, device: torch.device) -> Examples:
        """Examples of this data set as float32 of mean about 0 and deviation about 1."""
        mean, deviation = (
            torch.tensor(values, device=device).view(-1, 1, 1)
            for values in (self.mean, self.deviation)
        )
        inputs = examples.inputs.to(device) - mean  # bytes travel, and become floats there
        return Examples(inputs.div_(deviation).to(torch.float32), examples.labels.to(device))


def instance(
    images: Images,
    make_model: Callable[[], nn.Module],
    *,
    validation: int,
    batch_size: int,
    seed: int,
    device: torch.device,
    augment: Augment | None = None,
) -> Instance:
    """A data set split by the cell's seed; the full training set is the whole training part.

    Args:
        images: the data set.
        make_model: builds the network.
        validation: how many examples are taken out of the training part.
        batch_size: examples in a training step.
        seed: the cell's.
        device: where it trains.
        augment: what is done to each training batch, if anything.
    """
    order = torch.randperm(len(images.train), generator=generator(seed, "split"))
    held_out, kept = (
        images.standardised(Examples(images.train.inputs[part], images.train.labels[part]), device)
        for part in order.split([validation, len(images.train) - validation])
    )

    def trained_on(examples: Examples) -> NetworkProblem:
        return NetworkProblem(
            make_model,
            examples,
            held_out,
            batch_size=batch_size,
            seed=seed,
            device=device,
            augment=augment,
        )

    problem, test = trained_on(kept), images.standardised(images.test, device)
    return Instance(
        problem,
        test=lambda weights: problem.measure(weights, test),
        full=lambda: trained_on(joined(kept, held_out)),
    )


def crop_and_flip(inputs: Tensor, stream: torch.Generator, padding: int = 4) -> Tensor:
    """Each image shifted by up to ``padding`` pixels, zeros coming in, and mirrored half the time.

    Inputs (n, channels, height, width) on any device; ``stream`` is a CPU generator, so equal
    seeds augment equally on every device.
    """
    count, _, height, width = inputs.shape
    places = 2 * padding + 1
    shifts = torch.randint(places, (2, count), generator=stream).to(inputs.device)
    mirrored = torch.randint(2, (count, 1, 1, 1), generator=stream).to(inputs.device).bool()
    padded = nn.functional.pad(inputs, (padding,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view, one window for each shift
    cropped = windows[torch.arange(count, device=inputs.device), :, shifts[0], shifts[1]]
    return torch.where(mirrored, cropped.flip(3), cropped)
