"""What weights come to on a split."""

from __future__ import annotations

import math

import pytest

from searchers.errors import SearcherError
from searchers.inner_problem import Metrics


@pytest.mark.parametrize("accuracy", [10.8, -0.1, math.nan, math.inf])
def test_an_accuracy_is_a_fraction(accuracy: float) -> None:
    with pytest.raises(SearcherError, match="an accuracy is a fraction from 0 to 1, not"):
        Metrics(0.5, accuracy)


@pytest.mark.parametrize("accuracy", [0.0, 0.3, 1.0, None])
def test_or_there_is_none(accuracy: float | None) -> None:
    assert Metrics(math.inf, accuracy).accuracy == accuracy
