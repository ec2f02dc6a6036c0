import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import binomtest

from hpobench.statistics.ranks import mean_ranks
from hpobench.statistics.shares import exact_interval, probability_of_improvement

regrets = arrays(
    float, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(-3, 3)
)


@given(st.integers(1, 60), st.data())
def test_the_interval_of_whole_numbers_is_scipys_exact_one(n, data):
    yes = data.draw(st.integers(0, n))
    theirs = binomtest(yes, n).proportion_ci(0.95, method="exact")
    assert exact_interval(yes / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@pytest.mark.parametrize("n", [1, 3, 5, 10, 20])
@pytest.mark.parametrize("ties", [0.0, 0.2, 0.8])
def test_the_interval_covers_with_ties_too(n, ties):
    """Exactly, by the distribution of a sum of n outcomes 0, ½ and 1."""
    low, high = np.array([exact_interval(half / (2 * n), n) for half in range(2 * n + 1)]).T
    for truth in np.linspace(0.01, 0.99, 50):
        tie = 2 * ties * min(truth, 1 - truth)
        outcome = np.array([1 - truth - tie / 2, tie, truth - tie / 2])
        probability = np.ones(1)
        for _ in range(n):
            probability = np.convolve(probability, outcome)
        assert probability[(low <= truth) & (truth <= high)].sum() >= 0.95


@pytest.mark.parametrize("tasks", [2, 5])
def test_the_interval_covers_the_mean_of_unlike_tasks(tasks):
    rng = np.random.default_rng(tasks)
    for each in (np.linspace(0.05, 0.95, tasks), np.linspace(0.8, 1, tasks)):
        shares = (rng.random((3000, 5, tasks)) < each).mean(axis=(1, 2))
        ends = np.array([exact_interval(share, 5 * tasks) for share in shares])
        assert np.mean((ends[:, 0] <= each.mean()) & (each.mean() <= ends[:, 1])) >= 0.94


@given(regrets, st.randoms())
def test_swapping_the_searchers_gives_the_rest(a, random):
    b = np.array([random.randint(-3, 3) for _ in range(a.size)], dtype=float).reshape(a.shape)
    one, other = probability_of_improvement(a, b), probability_of_improvement(b, a)
    assert one.value == pytest.approx(1 - other.value)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low))
    assert one.value == pytest.approx(
        np.mean([probability_of_improvement(*t).value for t in zip(a, b, strict=True)])
    )
    first, _ = mean_ranks(np.stack([a.ravel(), b.ravel()], axis=1))
    assert one.value == pytest.approx(2 - first)


def test_better_everywhere_is_certain_only_with_seeds():
    four, eight = (probability_of_improvement(np.zeros(n), np.ones(n)) for n in (5, 6))
    assert (four.value, eight.value, four.high) == (1, 1, 1)
    assert four.low < 0.5 < eight.low


def test_a_missing_cell_loses_and_is_counted():
    a, b = np.zeros(6), np.ones(6)
    a[0] = b[1] = a[2] = b[2] = math.nan
    assert probability_of_improvement(a, b)[::4] == (4.5 / 6, 3)
    with pytest.raises(ValueError, match="pairs"):
        probability_of_improvement(a, b[:5])
    with pytest.raises(ValueError, match="share"):
        exact_interval(1.2, 5)
