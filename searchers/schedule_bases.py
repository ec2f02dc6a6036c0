"""How the values of a vector are laid over the steps of a training.

A basis turns n coefficients into a schedule of T values and knows its derivative. `Windows`, equal
lengths with one value each, is what FDS calls sharing (Micaelli & Storkey 2021); a class with the
same two methods is a basis of one's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from searchers.errors import SearcherError


class Basis(Protocol):
    """A differentiable map from n coefficients to one value a step."""

    @property
    def words(self) -> str:
        """What it is, for the tables that print what every searcher was given."""

    def values(self, coefficients: np.ndarray, steps: int) -> np.ndarray:
        """The value of each step.

        Args:
            coefficients: what is searched for, (n,).
            steps: how many steps the training has.

        Returns:
            Shape (steps,), inside the coefficients' range if that is an interval.
        """

    def jacobian(self, coefficients: np.ndarray, steps: int) -> csr_array:
        """The derivatives of `values` by the coefficients, sparse, (steps, n)."""


@dataclass(frozen=True)
class Windows:
    """One value in each of n windows of equal length, as near as the number of steps allows.

    Args:
        words: what it is called in tables; nothing, as it is the usual one.
    """

    words: str = ""

    def values(self, coefficients: np.ndarray, steps: int) -> np.ndarray:
        return coefficients[window_of_step(steps, len(coefficients))]

    def jacobian(self, coefficients: np.ndarray, steps: int) -> csr_array:
        window = window_of_step(steps, len(coefficients))
        return csr_array(
            (np.ones(steps), window, np.arange(steps + 1)), shape=(steps, len(coefficients))
        )


@dataclass(frozen=True)
class Linear:
    """Straight lines between n knots at equal distances, the first and last steps among them.

    Args:
        words: what it is called in tables.
    """

    words: str = "knots of straight lines"

    def values(self, coefficients: np.ndarray, steps: int) -> np.ndarray:
        return self.jacobian(coefficients, steps) @ coefficients

    def jacobian(self, coefficients: np.ndarray, steps: int) -> csr_array:
        n = len(coefficients)
        place = np.linspace(0, n - 1, steps)
        left = np.minimum(place.astype(int), max(n - 2, 0))
        share, rows = place - left, np.arange(steps)
        right = np.minimum(left + 1, n - 1)
        data = np.concatenate([1 - share, share])
        at = (np.concatenate([rows, rows]), np.concatenate([left, right]))
        return csr_array((data, at), shape=(steps, n))


@dataclass(frozen=True)
class Differentiated:
    """A basis from one function of torch tensors.

    Args:
        function: differentiable, coefficients (n,) and the number of steps → (steps,).
        words: what it is called in tables.
    """

    function: Callable[[Tensor, int], Tensor]
    words: str = "coefficients of a function"

    def values(self, coefficients: np.ndarray, steps: int) -> np.ndarray:
        return self.function(torch.as_tensor(coefficients, dtype=torch.float64), steps).numpy()

    def jacobian(self, coefficients: np.ndarray, steps: int) -> csr_array:
        at = torch.as_tensor(coefficients, dtype=torch.float64)
        by = torch.func.jacfwd(lambda values: self.function(values, steps))(at)
        return csr_array(by.numpy())


def cosine(coefficients: Tensor, steps: int) -> Tensor:
    """Half a cosine from the first coefficient to the second (Loshchilov & Hutter 2017)."""
    if len(coefficients) != 2:
        raise SearcherError(
            f"a Cosine has 2 values, that of the first step and that of the last, "
            f"not {len(coefficients)}"
        )
    place = torch.arange(steps, dtype=coefficients.dtype) / max(steps - 1, 1)
    fallen = (1 - torch.cos(torch.pi * place)) / 2
    return coefficients[0] * (1 - fallen) + coefficients[1] * fallen


Cosine = Differentiated(cosine, "ends of half a cosine")


def window_of_step(steps: int, windows: int) -> np.ndarray:
    """The window of each step, shape (steps,)."""
    return np.arange(steps) * windows // steps
