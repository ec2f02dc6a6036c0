"""A user's own images: every layout, and a line for everything that does not fit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.trainables.real_data import needs_mnist
from trainables import data
from trainables.network import NetworkProblem
from trainables.task import TaskError
from trainables.tasks import arrays
from trainables.tasks.arrays import arrays_task, read_images
from trainables.testing import check_task

CPU = torch.device("cpu")


def two_classes(count: int = 200, side: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    """Noise, brighter on the left for class 0 and on the right for class 1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    images = rng.integers(100, size=(count, side, side))
    half = side // 2
    images[labels == 0, :, :half] += 100
    images[labels == 1, :, half:] += 100
    return {"images": images.astype(np.uint8), "labels": labels}


def saved(folder: Path, name: str = "own.npz", **stored: Any) -> Path:
    np.savez(folder / name, **stored)
    return folder / name


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(TaskError) as caught:
        arrays_task(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message.removeprefix(f"{path}: ")


def test_a_task_of_ones_own_keeps_the_contract_and_learns(tmp_path: Path) -> None:
    task = arrays_task(saved(tmp_path, **two_classes()))
    assert task.name == "own"
    check_task(task)
    instance = task.build(0, CPU)
    draw = instance.inner.draw(0)
    vector, buffers = draw.initial()
    for step in range(3 * instance.inner.steps_per_epoch):
        leaf = vector.detach().requires_grad_()
        loss = instance.inner.training_loss(leaf, buffers, draw.batch(step))
        vector = vector - 0.1 * torch.autograd.grad(loss, leaf)[0]
    weights = draw.initial()._replace(vector=vector)
    assert instance.inner.validation(weights).accuracy > 0.9  # type: ignore[operator]
    assert instance.test(weights).accuracy > 0.9  # type: ignore[operator]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_layouts_read_alike(tmp_path: Path, channels: int) -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(256, size=(60, channels, 9, 7), dtype=np.uint8)
    labels = np.arange(60) % 3
    read = [
        read_images(saved(tmp_path, images=images, labels=labels))
        for images in (first, first.transpose(0, 2, 3, 1))
    ]
    if channels == 1:
        read.append(read_images(saved(tmp_path, images=first[:, 0], labels=labels)))
    for images in read:
        assert images.train.inputs.shape[1:] == (channels, 9, 7)
        assert torch.equal(images.train.inputs, read[0].train.inputs)
        assert torch.equal(images.test.inputs, read[0].test.inputs)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float16", "float32", "float64"])
def test_numeric_types_give_the_same_standardised_pixels(tmp_path: Path, dtype: str) -> None:
    stored = two_classes()
    expected = read_images(saved(tmp_path, **stored))
    images = read_images(saved(tmp_path, **{**stored, "images": stored["images"].astype(dtype)}))
    torch.testing.assert_close(
        images.standardised(images.train, CPU).inputs,
        expected.standardised(expected.train, CPU).inputs,
    )
    scaled = images.standardised(images.train, CPU).inputs
    assert abs(float(scaled.mean())) < 1e-4
    assert abs(float(scaled.std()) - 1) < 1e-3


def test_the_test_part_is_the_same_for_every_seed(tmp_path: Path) -> None:
    task = arrays_task(saved(tmp_path, **two_classes()))
    instances = [task.build(seed, CPU) for seed in range(2)]
    weights = instances[0].inner.draw(0).initial()
    assert instances[0].test(weights) == instances[1].test(weights)
    inners = [instance.inner for instance in instances]
    assert all(isinstance(inner, NetworkProblem) for inner in inners)
    assert [len(inner.train) for inner in inners] == [128, 128]  # type: ignore[attr-defined]
    assert inners[0].validation(weights) != inners[1].validation(weights)


def test_a_sorted_file_is_mixed_before_the_test_part_is_taken(tmp_path: Path) -> None:
    stored = two_classes()
    order = np.argsort(stored["labels"], kind="stable")
    images = read_images(saved(tmp_path, **{name: part[order] for name, part in stored.items()}))
    assert set(images.test.labels.tolist()) == {0, 1}


def test_a_test_part_of_the_file_is_taken_as_it_is(tmp_path: Path) -> None:
    stored, other = two_classes(), two_classes(50, seed=1)
    path = saved(tmp_path, **stored, test_images=other["images"], test_labels=other["labels"])
    images = read_images(path)
    assert torch.equal(images.train.inputs[:, 0], torch.from_numpy(stored["images"]))
    assert torch.equal(images.test.inputs[:, 0], torch.from_numpy(other["images"]))
    assert images.test.labels.tolist() == other["labels"].tolist()


def test_the_default_model_goes_by_the_size_of_the_images(tmp_path: Path) -> None:
    def convolutions(side: int) -> int:
        task = arrays_task(saved(tmp_path, **two_classes(side=side)))
        inner = task.build(0, CPU).inner
        assert isinstance(inner, NetworkProblem)
        return sum(isinstance(part, nn.Conv2d) for part in inner.make_model().modules())

    assert convolutions(8) == 0
    assert convolutions(12) > 0


def test_a_channel_without_content(tmp_path: Path) -> None:
    stored = two_classes()
    grey = np.repeat(stored["images"][..., np.newaxis], 3, axis=3)
    grey[..., 1] = 7
    check_task(arrays_task(saved(tmp_path, images=grey, labels=stored["labels"])))


def test_names(tmp_path: Path) -> None:
    def name(file: str, **options: Any) -> str:
        return arrays_task(saved(tmp_path, file, **two_classes()), **options).name

    assert name("my leaves-2.npz") == "my_leaves_2"
    assert name("2leaves.npz") == "images_2leaves"
    assert name("own.npz", name="leaves") == "leaves"
    with pytest.raises(TaskError, match="identifier"):
        name("own.npz", name="my leaves")


def test_a_relative_path_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, **two_classes())
    monkeypatch.chdir(tmp_path)
    task = arrays_task("own.npz")
    monkeypatch.chdir("/")
    task.build(0, CPU)


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "own.npz")
    path = tmp_path / "text.npz"
    path.write_text("images")
    assert "numpy.savez" in refused(path)
    path.write_bytes(b"")
    assert "numpy.savez" in refused(path)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    path.write_bytes(buffer.getvalue())
    assert "single array" in refused(path)
    packed = tmp_path / "packed.npz"
    np.savez_compressed(packed, **two_classes())  # type: ignore[arg-type]
    content = bytearray(packed.read_bytes())
    content[200:2000] = bytes(1800)
    packed.write_bytes(content)
    assert "numpy.savez" in refused(packed)


def test_pickled_objects_are_not_opened(tmp_path: Path) -> None:
    images = np.array([np.zeros((8, 8)), "no"], dtype=object)
    assert "numpy.savez" in refused(saved(tmp_path, images=images, labels=np.zeros(2, int)))


def with_nan() -> np.ndarray:
    images = two_classes()["images"].astype(np.float32)
    images[3, 2, 2] = np.nan
    images[5, :, 0] = np.inf
    return images


OWN = two_classes()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"images": None}, "has no array 'images'; it holds labels"),
        ({"labels": None}, "has no array 'labels'"),
        ({"images": OWN["images"].reshape(200, 64)}, r"images have the shape \(200, 64\)"),
        ({"images": np.zeros((200, 8, 8, 5))}, "1, 3 or 4 channels"),
        ({"images": np.zeros((200, 0, 8))}, "empty"),
        ({"images": OWN["images"] > 100}, "images are bool"),
        ({"images": OWN["images"].astype(str)}, "images are <U3"),
        ({"images": with_nan()}, "2 of 200 images have pixels that are NaN"),
        ({"images": OWN["images"] * 1e300}, "NaN or infinite"),
        ({"labels": OWN["labels"].astype(float)}, "labels are float64, not whole numbers"),
        ({"labels": OWN["labels"].astype(str)}, "not whole numbers"),
        ({"labels": OWN["labels"][:-1]}, r"\(199,\), and there are 200 images"),
        ({"labels": np.eye(2)[OWN["labels"]]}, r"\(200, 2\), and there are 200 images"),
        ({"labels": OWN["labels"] - 1}, "labelled -1 … 0; number them from 0"),
        ({"labels": OWN["labels"] + 500}, "labelled 500 … 501; number them from 0"),
        ({"labels": OWN["labels"] * 0}, "nothing to learn"),
        ({"test_images": OWN["images"]}, "has no array 'test_labels'"),
        ({"test_labels": OWN["labels"]}, "has no array 'test_images'"),
        (
            {"test_images": OWN["images"][:, :7], "test_labels": OWN["labels"]},
            "test_images have the shape 1 × 7 × 8",
        ),
        (
            {"test_images": OWN["images"], "test_labels": OWN["labels"] + 1},
            "the test part has the label 2",
        ),
        ({"images": OWN["images"][:45], "labels": OWN["labels"][:45]}, "too few examples: 29 are"),
        ({"images": OWN["images"][:2], "labels": np.arange(2)}, "too few examples"),
    ],
)
def test_what_does_not_fit_gets_a_line(
    tmp_path: Path, changes: dict[str, np.ndarray | None], line: str
) -> None:
    stored = {name: part for name, part in {**OWN, **changes}.items() if part is not None}
    with pytest.raises(TaskError, match=line):
        arrays_task(saved(tmp_path, **stored))
    refused(tmp_path / "own.npz")


def test_models_that_do_not_fit(tmp_path: Path) -> None:
    path = saved(tmp_path, **OWN)

    def linear(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs))

    assert arrays_task(path, model=lambda: linear(64, 2))
    assert "does not take images of shape (4, 1, 8, 8)" in refused(
        path, model=lambda: linear(63, 2)
    )
    assert "not into logits of shape (4, 2)" in refused(path, model=lambda: linear(64, 3))
    dropout = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 2))
    assert "random" in refused(path, model=lambda: dropout)


def test_too_large_batches(tmp_path: Path) -> None:
    path = saved(tmp_path, **OWN)
    assert "128 are left for training, and a batch has 129" in refused(path, batch_size=129)
    arrays_task(path, batch_size=128)


def test_the_held_out_part_is_never_empty(tmp_path: Path) -> None:
    stored = two_classes(7)
    stored["labels"] = np.arange(7) % 2
    images = read_images(saved(tmp_path, **stored))
    assert len(images.test) >= 1
    assert arrays._held_out(len(images.train)) >= 1


@needs_mnist
def test_mnist_as_arrays_reads_as_mnist(tmp_path: Path) -> None:
    mnist = data.mnist()
    path = saved(
        tmp_path,
        images=mnist.train.inputs[:3000].numpy(),
        labels=mnist.train.labels[:3000].numpy().astype(np.uint8),
        test_images=mnist.test.inputs[:500].numpy(),
        test_labels=mnist.test.labels[:500].numpy(),
    )
    task = arrays_task(path)
    assert "10 classes" in task.summary
    images = read_images(path)
    assert images.mean[0] == pytest.approx(mnist.mean[0], rel=0.03)
    assert images.deviation[0] == pytest.approx(mnist.deviation[0], rel=0.03)
