"""Numbers with an exponent of their own behave as numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from searchers.hypergradients.scaled import Scaled, pulled_back, scaled, total

ordinary = arrays(float, 6, elements=st.floats(-1e6, 1e6))


@given(ordinary, ordinary, st.integers(-400, 400))
def test_sums_and_products_are_those_of_the_numbers(a, b, shift: int) -> None:
    """Computed far outside of float64 and brought back."""
    there = [Scaled(x, np.full(6, shift * 10, dtype=np.int64)) for x in (a, b)]
    summed = total(there)
    back = Scaled(summed.mantissa, summed.exponent - shift * 10).values()
    np.testing.assert_allclose(back, a + b, rtol=1e-12, atol=1e-9)
    matrix = np.where(np.arange(18).reshape(6, 3) % 4 == 0, 0.0, np.arange(18).reshape(6, 3) - 7.0)
    product = pulled_back(csr_array(matrix), there[0])
    back = Scaled(product.mantissa, product.exponent - shift * 10).values()
    np.testing.assert_allclose(back, matrix.T @ a, rtol=1e-9, atol=1e-6)


def test_what_does_not_fit_keeps_its_sign() -> None:
    huge = Scaled(np.array([0.5, -0.5, 0.5, -0.5, 0.0]), np.array([5000, 5000, -5000, -5000, 7]))
    values = huge.values()
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(np.sign(values), [1, -1, 1, -1, 0])
    np.testing.assert_array_equal(huge.log2[:4], [4999, 4999, -5001, -5001])


def test_no_number_and_infinity_stay_what_they_are() -> None:
    mixed = total([scaled([np.nan, np.inf, 1.0]), scaled([1.0, 1.0, 1.0])]).values()
    assert np.isnan(mixed[0])
    assert mixed[1] == np.inf
    assert mixed[2] == 2
    pulled = pulled_back(csr_array(np.eye(2)), scaled([np.nan, 3.0])).values()
    assert np.isnan(pulled[0])
    assert pulled[1] == 3
