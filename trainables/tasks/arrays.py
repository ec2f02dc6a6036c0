"""A task from a user's own images: one `.npz` file.

    task = arrays_task("leaves.npz")

The file holds ``images``, shape (n, h, w), (n, h, w, c) or (n, c, h, w) with 1, 3 or 4 channels,
whole numbers or floats, and ``labels``, shape (n,), whole numbers from 0. It may hold
``test_images`` and ``test_labels`` too; else a fifth of the examples, the same for every cell,
becomes the test part. Of the rest, the cell's seed draws a fifth for validation.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from searchers.settings import is_whole, plain
from searchers.space import Nested, Space
from trainables.images import Images, instance
from trainables.models import Shape, mlp, small_cnn
from trainables.modules import seeded
from trainables.network import Examples
from trainables.rng import generator
from trainables.task import Instance, Task, TaskError
from trainables.tasks.image_task import LOSS_CEILING, constant, windowed_space

HELD_OUT = 0.2  # for validation, and for the test where the file brings none
CHANNELS = (1, 3, 4)
SMALLEST_FOR_A_CNN = 12  # pixels a side
SPACE = windowed_space(1e-3, 1.0)
INITIAL, DEFAULT = constant(0.02, 0.5, 1e-5), constant(0.02, 0.9, 1e-5)


def arrays_task(
    path: str | Path,
    *,
    name: str | None = None,
    model: Callable[[], nn.Module] | None = None,
    space: Space = SPACE,
    initial: Sequence[Nested] | None = None,
    default: Nested | None = None,
    batch_size: int = 32,
    budgets: tuple[int, ...] = (1, 3, 9),
    smaller_budget: Literal["compress", "truncate"] = "compress",
) -> Task:
    """The task of classifying the images in a file, which is read at once, and the model tried.

    Args:
        path: the ``.npz`` file.
        name: by default the file's.
        model: builds a module that maps float images (n, c, h, w), standardised, to logits
            (n, classes), without randomness in its forward pass (no dropout); by default a small
            CNN, or an MLP for images under 12 pixels a side.
        space: the search space; another one needs its own ``initial`` and ``default``.
        initial: the configurations that every searcher begins with.
        default: the practitioner's configuration.
        batch_size: examples in a training step.
        budgets: epochs, ascending; the last is a full training.
        smaller_budget: what a smaller budget means (see `Task`).

    Raises:
        TaskError: something does not fit.
    """
    batch_size = plain(batch_size)
    if not is_whole(batch_size, 1):
        raise TaskError(f"{path}: batch_size is a whole number, 1 or more, not {batch_size!r}")
    path = Path(path).expanduser().absolute()  # a worker may run in another folder
    images = read_images(path)
    shape, classes = _shape(images), _classes(images)
    if model is None:
        model = partial(_default_model(shape), shape, classes)
    training = len(images.train) - _held_out(len(images.train))
    if training < batch_size:
        raise TaskError(
            f"{path}: too few examples: {training} are left for training, and a batch has "
            f"{batch_size}; give more, or a smaller batch_size"
        )
    _try_model(path, model, images, classes)
    return Task(
        name=name if name is not None else _name(path),
        summary=(
            f"{path.name}: {len(images.train)} + {len(images.test)} images of "
            f"{' × '.join(map(str, shape))}, {classes} classes, {budgets[-1]} epochs"
        ),
        build=partial(_build, path, model, batch_size),
        space=space,
        initial=(INITIAL,) if initial is None else tuple(initial),
        default=DEFAULT if default is None else default,
        budgets=budgets,
        smaller_budget=smaller_budget,
        loss_ceiling=LOSS_CEILING,
    )


def read_images(path: Path) -> Images:
    """The file's images, checked, in their training and test part."""
    arrays = _read(path)
    inputs = _inputs(path, "images", arrays)
    labels = _labels(path, "labels", arrays, len(inputs))
    if "test_images" in arrays or "test_labels" in arrays:
        test_inputs = _inputs(path, "test_images", arrays)
        test_labels = _labels(path, "test_labels", arrays, len(test_inputs))
        if test_inputs.shape[1:] != inputs.shape[1:]:
            raise TaskError(
                f"{path}: test_images have the shape {_times(test_inputs)} (channels × height × "
                f"width), images {_times(inputs)}: they have to be alike"
            )
        train, test = _examples(inputs, labels), _examples(test_inputs, test_labels)
    else:
        order = torch.randperm(len(inputs), generator=generator("test part")).numpy()
        held, kept = np.split(order, [_held_out(len(inputs))])
        train, test = _examples(inputs[kept], labels[kept]), _examples(inputs[held], labels[held])
    _check_classes(path, train.labels, test.labels)
    deviation, mean = torch.std_mean(train.inputs.to(torch.float32), dim=(0, 2, 3), correction=0)
    deviation[deviation == 0] = 1.0  # a channel without content stays without
    return Images(train, test, tuple(mean.tolist()), tuple(deviation.tolist()))


def _build(
    path: Path,
    model: Callable[[], nn.Module],
    batch_size: int,
    seed: int,
    device: torch.device,
) -> Instance:
    images = read_images(path)
    return instance(
        images,
        model,
        validation=_held_out(len(images.train)),
        batch_size=batch_size,
        seed=seed,
        device=device,
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise TaskError(f"{path}: there is no such file")
    try:
        stored = np.load(path, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("it holds a single array")
        with stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise TaskError(
            f"{path}: is no .npz file of plain arrays ({' '.join(str(error).split())}); "
            "write it with numpy.savez(path, images=…, labels=…)"
        ) from None


def _inputs(path: Path, key: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The images under ``key``, shape (n, c, h, w)."""
    images = _array(path, key, arrays)
    if images.dtype.kind not in "uif":
        raise TaskError(f"{path}: {key} are {images.dtype}, not whole numbers or floats")
    if images.ndim == 3:
        images = images[:, np.newaxis]
    elif images.ndim == 4 and images.shape[3] in CHANNELS:
        images = images.transpose(0, 3, 1, 2)
    elif images.ndim != 4 or images.shape[1] not in CHANNELS:
        raise TaskError(
            f"{path}: {key} have the shape {images.shape}; expected (n, h, w), (n, h, w, c) or "
            "(n, c, h, w) with 1, 3 or 4 channels"
        )
    if 0 in images.shape:
        raise TaskError(f"{path}: {key} are empty: their shape is {images.shape}")
    if images.dtype != np.uint8:
        with np.errstate(over="ignore"):  # seen on the next line
            images = images.astype(np.float32)
    if not np.isfinite(images).all():
        bad = int((~np.isfinite(images)).any(axis=(1, 2, 3)).sum())
        raise TaskError(
            f"{path}: {bad} of {len(images)} {key} have pixels that are NaN or infinite"
        )
    return images


def _labels(path: Path, key: str, arrays: dict[str, np.ndarray], count: int) -> np.ndarray:
    """The labels under ``key``, int64, shape (count,)."""
    labels = _array(path, key, arrays)
    if labels.shape != (count,):
        raise TaskError(
            f"{path}: {key} have the shape {labels.shape}, and there are {count} images: "
            f"expected ({count},)"
        )
    if labels.dtype.kind not in "ui":
        raise TaskError(f"{path}: {key} are {labels.dtype}, not whole numbers from 0")
    return labels.astype(np.int64)


def _array(path: Path, key: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    if key not in arrays:
        there = ", ".join(arrays) or "nothing"
        raise TaskError(f"{path}: has no array {key!r}; it holds {there}")
    return arrays[key]


def _check_classes(path: Path, train: torch.Tensor, test: torch.Tensor) -> None:
    present = train.unique()
    lowest, highest = int(present[0]), int(present[-1])
    if lowest < 0 or highest >= 2 * len(present):
        raise TaskError(
            f"{path}: {len(present)} classes are labelled {lowest} … {highest}; number them from 0"
        )
    if len(present) < 2:
        raise TaskError(
            f"{path}: every image for training has the label {lowest}: nothing to learn"
        )
    unknown = test[(test < 0) | (test > highest)]
    if len(unknown):
        raise TaskError(
            f"{path}: the test part has the label {int(unknown[0])}, the training part none "
            f"above {highest}"
        )


def _try_model(path: Path, model: Callable[[], nn.Module], images: Images, classes: int) -> None:
    """One batch through the model, twice: logits of the right shape, and the same ones."""
    few = Examples(images.train.inputs[:4], images.train.labels[:4])
    inputs = images.standardised(few, torch.device("cpu")).inputs
    try:
        module = seeded(model, 0)
        with torch.no_grad():
            logits, again = module(inputs), module(inputs)
    except Exception as error:  # whatever a user's own model may raise
        reason = " ".join(str(error).split())
        raise TaskError(
            f"{path}: the model does not take images of shape {tuple(inputs.shape)} ({reason})"
        ) from None
    if logits.shape != (len(inputs), classes):
        raise TaskError(
            f"{path}: the model turns inputs of shape {tuple(inputs.shape)} into "
            f"{tuple(logits.shape)}, not into logits of shape {(len(inputs), classes)}"
        )
    if not torch.equal(logits, again):
        raise TaskError(
            f"{path}: the model's forward pass is random (dropout?): a training could not be "
            "replayed; take the randomness out"
        )


def _examples(inputs: np.ndarray, labels: np.ndarray) -> Examples:
    return Examples(torch.from_numpy(np.ascontiguousarray(inputs)), torch.from_numpy(labels))


def _held_out(count: int) -> int:
    return round(HELD_OUT * count)


def _shape(images: Images) -> Shape:
    channels, height, width = images.train.inputs.shape[1:]
    return channels, height, width


def _classes(images: Images) -> int:
    return int(images.train.labels.max()) + 1


def _default_model(shape: Shape) -> Callable[[Shape, int], nn.Module]:
    _, height, width = shape
    return mlp if min(height, width) < SMALLEST_FOR_A_CNN else small_cnn


def _name(path: Path) -> str:
    """The file's name as an identifier."""
    name = re.sub(r"\W", "_", path.stem)
    return name if name.isidentifier() else f"images_{name}"


def _times(images: np.ndarray) -> str:
    return " × ".join(map(str, images.shape[1:]))
