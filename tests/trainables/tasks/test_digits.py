"""The digits are scikit-learn's."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from trainables.tasks import digits


def test_they_are_what_scikit_learn_loads() -> None:
    inputs, labels = load_digits(return_X_y=True)
    images, classes = digits._images()
    assert torch.equal(images, torch.tensor(inputs, dtype=torch.float32) / 16.0)
    assert torch.equal(classes, torch.tensor(labels))
    assert images.is_contiguous()
    assert classes.dtype == torch.int64
