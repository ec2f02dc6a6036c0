"""Marks for tests that need the real image data: run where HPOBENCH_DATA holds them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _needs(what: str, inside: str) -> pytest.MarkDecorator:
    root = os.environ.get("HPOBENCH_DATA")
    there = root is not None and (Path(root).expanduser() / inside).exists()
    return pytest.mark.skipif(not there, reason=f"{what} is not in HPOBENCH_DATA")


needs_mnist = _needs("MNIST", "MNIST/raw")
needs_fashion_mnist = _needs("Fashion-MNIST", "FashionMNIST/raw")
needs_cifar10_jpeg = _needs("CIFAR-10 (JPEG-compressed)", "cifar10-jpeg.npz")
