"""The data root, what is read from it, and the one line a user gets when it is not there."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainables.real_data import needs_cifar10_jpeg, needs_fashion_mnist, needs_mnist
from trainables import data
from trainables.images import Images
from trainables.task import TaskError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root, and no network."""

    def no_network(*args: Any, **kwargs: Any) -> None:
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    monkeypatch.setenv("HPOBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def one_line(load: Callable[[], Images]) -> str:
    with pytest.raises(TaskError) as caught:
        load()
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return message


def test_data_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPOBENCH_DATA", "~/images")
    assert data.data_root() == Path.home() / "images"
    monkeypatch.setenv("HPOBENCH_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert data.data_root() == Path("/caches/hpobench")
    monkeypatch.delenv("HPOBENCH_DATA")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data.data_root() == Path.home() / ".cache" / "hpobench"


@pytest.mark.parametrize(
    ("load", "title"),
    [
        (data.mnist, "MNIST"),
        (data.fashion_mnist, "Fashion-MNIST"),
        (data.cifar10, "CIFAR-10"),
        (data.cifar10_jpeg, "CIFAR-10 (JPEG-compressed)"),
    ],
)
def test_what_is_missing_where_and_what_to_do(
    root: Path, load: Callable[[], Images], title: str
) -> None:
    message = one_line(load)
    assert message.startswith(f"{title} is not in {root}")
    assert "HPOBENCH_DATA" in message


def test_a_root_that_is_a_file(root: Path) -> None:
    root.write_text("a file")
    assert str(root) in one_line(data.mnist)


def write_idx(folder: Path, kind: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's own format, unpacked, with a few images."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(count)
    images = rng.integers(256, size=(count, 28, 28), dtype=np.uint8)
    labels = rng.integers(10, size=count, dtype=np.uint8)
    header = struct.pack(">IIII", 0x803, count, 28, 28)
    (folder / f"{kind}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    header = struct.pack(">II", 0x801, count)
    (folder / f"{kind}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    return images, labels


@pytest.mark.parametrize(
    ("load", "folder"), [(data.mnist, "MNIST"), (data.fashion_mnist, "FashionMNIST")]
)
def test_unpacked_files_are_read(root: Path, load: Callable[[], Images], folder: str) -> None:
    train = write_idx(root / folder / "raw", "train", 7)
    test = write_idx(root / folder / "raw", "t10k", 5)
    read = load()
    for examples, (images, labels) in ((read.train, train), (read.test, test)):
        assert torch.equal(examples.inputs, torch.from_numpy(images).unsqueeze(1))
        assert examples.labels.dtype == torch.int64
        assert examples.labels.tolist() == labels.tolist()


def test_a_file_cut_short(root: Path) -> None:
    for kind in ("train", "t10k"):
        write_idx(root / "MNIST" / "raw", kind, 7)
    images = root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-100])
    message = one_line(data.mnist)
    assert message.startswith(f"MNIST in {root} is damaged or incomplete")


def test_half_a_data_set(root: Path) -> None:
    write_idx(root / "MNIST" / "raw", "train", 7)
    assert one_line(data.mnist).startswith(f"MNIST in {root} is damaged or incomplete")


def write_jpegs(path: Path, counts: dict[str, int], colour: int = 200) -> None:
    """The layout of cifar10-jpeg.npz, with images of one colour each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    for split, count in counts.items():
        packed, offsets = b"", [0]
        for i in range(count):
            buffer = io.BytesIO()
            Image.new("RGB", (32, 32), (colour, 10 * i, 0)).save(buffer, "JPEG")
            packed += buffer.getvalue()
            offsets.append(len(packed))
        arrays[f"{split}_jpeg"] = np.frombuffer(packed, np.uint8)
        arrays[f"{split}_offsets"] = np.array(offsets)
        arrays[f"{split}_labels"] = np.arange(count, dtype=np.uint8)
    np.savez(path, **arrays)  # type: ignore[arg-type]


def test_jpegs_are_decoded_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = root / "cifar10-jpeg.npz"
    write_jpegs(packed, {"train": 6, "test": 3})
    read = data.cifar10_jpeg()
    assert read.train.inputs.shape == (6, 3, 32, 32)
    assert read.test.labels.tolist() == [0, 1, 2]
    means = read.train.inputs.double().mean((2, 3))
    expected = torch.tensor([[200.0, 10.0 * i, 0.0] for i in range(6)], dtype=torch.float64)
    torch.testing.assert_close(means, expected, atol=4, rtol=0)

    with monkeypatch.context() as patched:
        patched.setattr(data, "_decoded", None)  # not called again
        again = data.cifar10_jpeg()
    assert torch.equal(again.train.inputs, read.train.inputs)
    assert torch.equal(again.test.labels, read.test.labels)

    write_jpegs(packed, {"train": 4, "test": 3}, colour=90)  # another, newer file
    newer = (root / "cifar10-jpeg-decoded.npz").stat().st_mtime + 10
    os.utime(packed, (newer, newer))
    assert len(data.cifar10_jpeg().train) == 4
    assert not list(root.glob("*.unfinished")) + list(root.glob(".*.unfinished"))


def test_damaged_jpegs(root: Path) -> None:
    packed = root / "cifar10-jpeg.npz"
    write_jpegs(packed, {"train": 3})
    assert "cannot be read" in one_line(data.cifar10_jpeg)  # no test part
    packed.write_bytes(b"no zip file")
    assert "cannot be read" in one_line(data.cifar10_jpeg)


def test_jpegs_never_stand_in_for_the_original(root: Path) -> None:
    write_jpegs(root / "cifar10-jpeg.npz", {"train": 3, "test": 2})
    assert one_line(data.cifar10).startswith(f"CIFAR-10 is not in {root}")


@pytest.mark.slow
def test_libraries_in_a_process_of_its_own() -> None:
    """The tasks' names cost none; torchvision loads whatever torch it was built for, and twice."""
    code = (
        "import sys; import trainables.tasks\n"
        "assert not {'torchvision', 'sklearn', 'ray'} & sys.modules.keys()\n"
        "from trainables import torchvision_datasets\n"
        "assert torchvision_datasets().MNIST is torchvision_datasets().MNIST\n"
        "import torchvision.models, torchvision.transforms"  # as the README says
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@needs_mnist
def test_the_real_mnist() -> None:
    assert_standardised(data.mnist(), counts=(60_000, 10_000), first_labels=[5, 0, 4, 1, 9])


@needs_fashion_mnist
def test_the_real_fashion_mnist() -> None:
    assert_standardised(data.fashion_mnist(), (60_000, 10_000), first_labels=[9, 0, 0, 3, 0])


@pytest.mark.slow
@needs_cifar10_jpeg
def test_the_real_jpegs() -> None:
    images = data.cifar10_jpeg()
    assert_standardised(images, counts=(50_000, 10_000))
    assert torch.bincount(images.train.labels).tolist() == [5000] * 10


def assert_standardised(
    images: Images, counts: tuple[int, int], first_labels: list[int] | None = None
) -> None:
    assert (len(images.train), len(images.test)) == counts
    if first_labels:
        assert images.train.labels[:5].tolist() == first_labels
    scaled = images.standardised(images.test, torch.device("cpu")).inputs
    channels = scaled.shape[1]
    torch.testing.assert_close(scaled.mean((0, 2, 3)), torch.zeros(channels), atol=0.03, rtol=0)
    torch.testing.assert_close(scaled.std((0, 2, 3)), torch.ones(channels), atol=0.03, rtol=0)
