"""Numbers beyond what a float holds: a mantissa and a power of two.

Through a long or wild training a hypergradient can reach 10^±1000. An outer step needs no more of
it than its sign and its magnitude's logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

LARGEST, SMALLEST = np.finfo(float).max, np.nextafter(0.0, 1.0)
NOTHING = np.iinfo(np.int64).min // 4
"""The exponent of 0: below any other."""


class Scaled(NamedTuple):
    """mantissa · 2^exponent, elementwise; NaN and ±inf stay.

    Args:
        mantissa: float64.
        exponent: int64, of the same shape.
    """

    mantissa: np.ndarray
    exponent: np.ndarray

    @property
    def sign(self) -> np.ndarray:
        """−1, 0 or 1; NaN where the number is."""
        return np.sign(self.mantissa)

    @property
    def log2(self) -> np.ndarray:
        """log₂ of the magnitude; −inf for 0."""
        with np.errstate(divide="ignore"):
            return np.log2(np.abs(self.mantissa)) + self.exponent

    def values(self) -> np.ndarray:
        """As float64; what does not fit is the largest or smallest number of its sign."""
        mantissa, exponent = np.frexp(self.mantissa)
        shift = np.clip(exponent + self.exponent, -2000, 2000).astype(int)
        with np.errstate(over="ignore", under="ignore"):
            plain = np.ldexp(mantissa, shift)
        fits = np.isfinite(plain) | ~np.isfinite(self.mantissa)
        plain = np.where(fits, plain, np.copysign(LARGEST, self.mantissa))
        vanished = (plain == 0) & (self.mantissa != 0)
        return np.where(vanished, np.copysign(SMALLEST, self.mantissa), plain)

    def times(self, factors: np.ndarray) -> Scaled:
        """The product with ordinary numbers of the same shape."""
        return Scaled(self.mantissa * factors, self.exponent)


def scaled(values: np.ndarray | Sequence[float]) -> Scaled:
    """Ordinary numbers."""
    mantissa = np.asarray(values, dtype=float)
    return Scaled(mantissa, np.zeros(mantissa.shape, dtype=np.int64))


def total(numbers: Sequence[Scaled]) -> Scaled:
    """The sum of arrays of one shape."""
    parts = [_normal(number) for number in numbers]
    top = np.max([part.exponent for part in parts], axis=0)
    mantissa = sum(_shifted(part.mantissa, part.exponent - top) for part in parts)
    return _normal(Scaled(np.asarray(mantissa), top))


def pulled_back(matrix: csr_array, numbers: Scaled) -> Scaled:
    """matrixᵀ · numbers: (T, D) and (T,) → (D,); entries that the matrix does not have count 0."""
    entries = matrix.tocoo()
    rows, columns = entries.coords
    terms = _normal(Scaled(entries.data * numbers.mantissa[rows], numbers.exponent[rows]))
    top = np.full(matrix.shape[1], NOTHING)
    np.maximum.at(top, columns, terms.exponent)
    mantissa = np.zeros(matrix.shape[1])
    np.add.at(mantissa, columns, _shifted(terms.mantissa, terms.exponent - top[columns]))
    return _normal(Scaled(mantissa, top))


def _shifted(mantissa: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.ldexp(mantissa, np.maximum(by, -2000).astype(int))


def _normal(number: Scaled) -> Scaled:
    """The same numbers with mantissas in [½, 1); a 0 has the lowest exponent of all."""
    mantissa, exponent = np.frexp(number.mantissa)
    return Scaled(mantissa, np.where(mantissa == 0, NOTHING, exponent + number.exponent))
