"""Where the image data sets are, and how they are read.

They lie in one folder, the data root: `HPOBENCH_DATA`, by default `hpobench` in the user's cache.
What is not there is downloaded by torchvision, which also unpacks archives that lie there already.
"""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from PIL import Image

from trainables.images import Images
from trainables.network import Examples
from trainables.task import TaskError
from trainables.torchvision_import import torchvision_datasets

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_DEVIATION = (0.2470, 0.2435, 0.2616)


def data_root() -> Path:
    """`HPOBENCH_DATA`, else `$XDG_CACHE_HOME/hpobench`, else `~/.cache/hpobench`."""
    if chosen := os.environ.get("HPOBENCH_DATA"):
        return Path(chosen).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "hpobench"


def mnist() -> Images:
    """60,000 + 10,000 digits, 28 × 28 grey."""
    train, test = _torchvision(
        "MNIST", "MNIST", unpacked="MNIST/raw/*-ubyte", archives="the four .gz files into MNIST/raw"
    )
    return _images(train, test, mean=(0.1307,), deviation=(0.3081,))


def fashion_mnist() -> Images:
    """60,000 + 10,000 articles of clothing, 28 × 28 grey."""
    train, test = _torchvision(
        "FashionMNIST",
        "Fashion-MNIST",
        unpacked="FashionMNIST/raw/*-ubyte",
        archives="the four .gz files into FashionMNIST/raw",
    )
    return _images(train, test, mean=(0.2860,), deviation=(0.3530,))


def cifar10() -> Images:
    """50,000 + 10,000 photographs of ten kinds of things, 32 × 32 in colour."""
    train, test = _torchvision(
        "CIFAR10",
        "CIFAR-10",
        unpacked="cifar-10-batches-py/*_batch*",
        archives="cifar-10-python.tar.gz",
    )
    return _images(train, test, mean=CIFAR10_MEAN, deviation=CIFAR10_DEVIATION)


def cifar10_jpeg() -> Images:
    """CIFAR-10 (JPEG-compressed): the same photographs, but not the original pixels.

    Read from `cifar10-jpeg.npz` in the data root: for each split, `<split>_jpeg` (bytes, uint8),
    `<split>_offsets` (n + 1,) and `<split>_labels` (n,). The decoded arrays are kept beside it.
    """
    packed = data_root() / "cifar10-jpeg.npz"
    if not packed.is_file():
        raise TaskError(
            f"CIFAR-10 (JPEG-compressed) is not in {packed.parent}: put cifar10-jpeg.npz there, "
            "or set HPOBENCH_DATA to the folder that holds it"
        )
    unpacked = packed.with_name("cifar10-jpeg-decoded.npz")
    with _one_at_a_time(packed.parent, "cifar10_jpeg"):
        try:
            arrays = _unpacked_jpegs(packed, unpacked)
        except (OSError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise TaskError(
                f"CIFAR-10 (JPEG-compressed) in {packed.parent} cannot be read ({_line(error)}): "
                f"put an undamaged copy of {packed.name} there and remove {unpacked.name}"
            ) from None
    train, test = (
        (arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in ("train", "test")
    )
    return _images(train, test, mean=CIFAR10_MEAN, deviation=CIFAR10_DEVIATION)


def _torchvision(kind: str, title: str, *, unpacked: str, archives: str) -> list[tuple[Any, Any]]:
    """(images, labels) of the training and the test part of one of torchvision's data sets.

    ``unpacked``: a pattern, within the root, of the files that torchvision reads.
    """
    root = data_root()
    data_set = getattr(torchvision_datasets(), kind)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(root, kind):
            parts = [data_set(root, train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError, AssertionError, ValueError, EOFError) as error:
        if any(root.glob(unpacked)):
            raise TaskError(
                f"{title} in {root} is damaged or incomplete ({_line(error)}): remove "
                f"{root / unpacked}, and it is unpacked or fetched again"
            ) from None
        raise TaskError(
            f"{title} is not in {root} and could not be fetched ({_line(error)}): put {archives} "
            "there, or set HPOBENCH_DATA to the folder that holds it"
        ) from None
    return [(part.data, part.targets) for part in parts]


def _images(
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    *,
    mean: tuple[float, ...],
    deviation: tuple[float, ...],
) -> Images:
    """From uint8 images (n, h, w) or (n, h, w, c); ``mean`` and ``deviation`` as fractions."""
    parts = []
    for pixels, labels in (train, test):
        inputs = torch.as_tensor(pixels)
        inputs = inputs.unsqueeze(1) if inputs.dim() == 3 else inputs.permute(0, 3, 1, 2)
        labels = torch.as_tensor(labels, dtype=torch.int64)
        parts.append(Examples(inputs.contiguous(), labels))
    return Images(
        train=parts[0],
        test=parts[1],
        mean=tuple(255 * value for value in mean),
        deviation=tuple(255 * value for value in deviation),
    )


def _unpacked_jpegs(packed: Path, unpacked: Path) -> dict[str, np.ndarray]:
    """The decoded arrays, from ``unpacked`` if it is there and not older than ``packed``.

    Decoding takes some five seconds, reading the arrays a fraction of one.
    """
    if unpacked.is_file() and unpacked.stat().st_mtime >= packed.stat().st_mtime:
        with np.load(unpacked, allow_pickle=False) as stored:
            return dict(stored)
    arrays: dict[str, np.ndarray] = {}
    with np.load(packed, allow_pickle=False) as stored:
        for split in ("train", "test"):
            content, offsets = stored[f"{split}_jpeg"].tobytes(), stored[f"{split}_offsets"]
            arrays[f"{split}_images"] = np.stack(
                [_decoded(content[a:b]) for a, b in pairwise(offsets)]
            )
            arrays[f"{split}_labels"] = stored[f"{split}_labels"]
    if os.access(unpacked.parent, os.W_OK):
        _save(unpacked, arrays)
    return arrays


def _decoded(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Written under another name first: a reader sees all of it or nothing."""
    unfinished = path.with_name(f".{path.stem}-{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _one_at_a_time(root: Path, name: str) -> Iterator[None]:
    """Cells start together: one of them fetches and unpacks, the others wait for it."""
    if os.access(root, os.W_OK):
        with FileLock(root / f".{name.lower()}.lock"):
            yield
    else:  # nobody can be writing there
        yield


def _line(error: Exception) -> str:
    """An error of another library as part of one line."""
    return " ".join(str(error).split()) or type(error).__name__
