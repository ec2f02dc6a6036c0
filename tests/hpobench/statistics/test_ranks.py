import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import friedmanchisquare

from hpobench.statistics.ranks import cliques, critical_difference, friedman, mean_ranks, ranks

shapes = st.tuples(st.integers(2, 8), st.integers(2, 6))
cells = st.one_of(st.integers(-3, 3).map(float), st.just(math.nan), st.just(math.inf))


@given(arrays(float, shapes, elements=cells))
def test_ranks_sum_to_what_they_must(values):
    k = values.shape[1]
    found = ranks(values)
    np.testing.assert_allclose(found.sum(axis=1), k * (k + 1) / 2)
    np.testing.assert_allclose(mean_ranks(values).sum(), k * (k + 1) / 2)
    for row, rank in zip(values, found, strict=True):
        for (x, p), (y, q) in itertools.combinations(zip(row, rank, strict=True), 2):
            x, y = (math.inf if math.isnan(z) else z for z in (x, y))
            assert (x < y, x == y) == (p < q, p == q)


def test_better_everywhere_ranks_first():
    rng = np.random.default_rng(0)
    values = rng.random((50, 12, 4))
    values[..., 2] -= 1
    over_time = mean_ranks(values)
    assert over_time.shape == (50, 4)
    assert np.all(over_time[:, 2] == 1)
    result = critical_difference(values[0])
    assert result.mean_ranks[2] == 1
    assert np.all(result.p_values[2, [0, 1, 3]] < 0.05)
    assert not any(2 in clique for clique in result.cliques)


@given(arrays(float, st.tuples(st.integers(2, 8), st.integers(3, 6)), elements=st.floats(0, 9)))
def test_friedmans_statistic_agrees_with_scipys(values):
    blocks, k = values.shape
    statistic, p = friedman(values)
    if all(len(set(row)) == 1 for row in ranks(values).tolist()):
        assert (statistic, p) == (0, 1)
        return
    chi2 = friedmanchisquare(*values.T).statistic
    rest = blocks * (k - 1) - chi2
    if rest > 1e-9:
        assert statistic == pytest.approx((blocks - 1) * chi2 / rest, rel=1e-6, abs=1e-9)
    assert 0 < p <= 1


def test_friedmans_p_value_where_all_blocks_agree():
    assert friedman(np.tile([1.0, 2, 3], (3, 1))) == (math.inf, pytest.approx(1 / 36))
    assert friedman(np.tile([1.0, 1, 3], (3, 1))) == (math.inf, pytest.approx(1 / 9))
    with pytest.raises(ValueError, match="blocks"):
        friedman(np.ones((1, 3)))


def test_friedmans_test_holds_its_level():
    rng = np.random.default_rng(4)
    p = np.array([friedman(rng.random((10, 5))).p_value for _ in range(2000)])
    assert 0.035 < np.mean(p <= 0.05) < 0.065


def study(rng, blocks, shifts, scales=1.0):
    return rng.standard_normal((blocks, len(shifts))) * scales + np.asarray(shifts)


@pytest.mark.parametrize(
    ("shifts", "scales"),
    [([0] * 6, 1.0), ([0, 0, 20, 20, 40, 40], 1.0), ([0, 0, 9, -9], np.array([5, 5, 0.1, 0.1]))],
)
@pytest.mark.slow
def test_searchers_that_are_alike_are_seldom_set_apart(shifts, scales):
    rng = np.random.default_rng(5)
    alike = np.equal.outer(shifts, shifts) & ~np.eye(len(shifts), dtype=bool)
    studies = 300
    wrong = [
        (critical_difference(study(rng, 12, shifts, scales)).p_values[alike] <= 0.05).any()
        for _ in range(studies)
    ]
    assert np.mean(wrong) < 0.05 + 2 * math.sqrt(0.05 * 0.95 / studies)


def test_distant_searchers_are_set_apart_whatever_else_is_in_the_pool():
    result = critical_difference(study(np.random.default_rng(6), 10, [40, 0, 0.01, 20, 20, 40]))
    first, second, third = result.cliques
    assert (set(first), set(second), set(third)) == ({1, 2}, {3, 4}, {0, 5})
    assert list(first) == sorted(first, key=lambda i: result.mean_ranks[i])


def test_too_few_blocks_set_nothing_apart_and_it_says_so():
    values = np.tile(np.arange(9.0), (11, 1))
    enough, few = critical_difference(values), critical_difference(values[:10])
    assert (enough.fewest_groups, enough.blocks, few.blocks) == (11, 11, 10)
    assert enough.cliques == ()
    assert few.cliques == (tuple(range(9)),)
    assert critical_difference(values[:7, :2]).fewest_groups == 6


def test_missing_cells_rank_last_and_are_counted():
    values = np.random.default_rng(7).random((9, 3))
    values[:4, 1] = values[0, 2] = math.nan
    values[0, 0] = math.inf
    result = critical_difference(values)
    assert result.missing.tolist() == [0, 4, 1]
    assert ranks(values)[0].tolist() == [2, 2, 2]
    assert ranks(values)[1, 1] == 3


def test_changing_the_order_of_searchers_changes_nothing_else():
    values = study(np.random.default_rng(8), 15, [0, 0.3, 0.6, 3, 3.2])
    order = [3, 0, 4, 2, 1]
    one, other = critical_difference(values), critical_difference(values[:, order])
    np.testing.assert_allclose(other.p_values, one.p_values[np.ix_(order, order)])
    np.testing.assert_allclose(other.mean_ranks, one.mean_ranks[order])
    assert tuple(tuple(order[i] for i in clique) for clique in other.cliques) == one.cliques


@given(st.integers(2, 6), st.data())
def test_cliques_are_the_largest_sets_that_hold_together(k, data):
    pairs = list(itertools.combinations(range(k), 2))
    joined = set(data.draw(st.lists(st.sampled_from(pairs), unique=True)))
    alike = np.eye(k, dtype=bool)
    for i, j in joined:
        alike[i, j] = alike[j, i] = True
    together = [
        set(members)
        for size in range(2, k + 1)
        for members in itertools.combinations(range(k), size)
        if joined.issuperset(itertools.combinations(members, 2))
    ]
    largest = {tuple(sorted(s)) for s in together if not any(s < other for other in together)}
    assert set(cliques(alike, list(range(k)))) == largest
    assert len(cliques(alike, list(range(k)))) == len(largest)
