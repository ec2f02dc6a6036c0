import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from hpobench.statistics.signed_rank import hodges_lehmann, lower_limit, p_value


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_the_p_value_is_the_share_of_all_signs_that_are_as_extreme(differences):
    d = np.array(differences)
    rank = rankdata(np.abs(d))[d != 0]
    centre = rank.sum() / 2
    here = abs(rank[d[d != 0] > 0].sum() - centre)
    signs = itertools.product([0, 1], repeat=len(rank))
    extreme = np.mean([abs(np.dot(sign, rank) - centre) >= here for sign in signs])
    assert p_value(d) == pytest.approx(extreme)


@pytest.mark.parametrize("n", [6, 13, 40])
def test_without_ties_it_is_scipys_exact_test(n):
    d = np.random.default_rng(n).normal(0.3, 1, n)
    assert p_value(d) == pytest.approx(wilcoxon(d, method="exact").pvalue)


def test_infinite_and_missing_differences():
    assert p_value([math.inf] * 6) == 2 / 2**6
    assert p_value([0.0, 0.0]) == 1
    assert math.isnan(p_value([1.0, math.nan]))


@pytest.mark.parametrize("n", [6, 7, 10, 20])
def test_the_limit_is_where_the_test_begins_to_reject(n):
    x = np.random.default_rng(n).standard_normal(n)
    limit = lower_limit(x, 0.95)
    averages = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(x, 2)]
    gap = np.diff(np.unique(averages)).min() / 2
    assert min(averages) - gap < limit < hodges_lehmann(x)
    assert p_value(x - (limit - gap)) <= 0.05 < p_value(x - (limit + gap))


@given(st.lists(st.floats(-100, 100), min_size=6, max_size=14), st.data())
def test_the_limit_rises_with_every_value(values, data):
    x = np.array(values)
    higher = x + np.array(data.draw(st.lists(st.floats(0, 9), min_size=len(x), max_size=len(x))))
    lower = np.where(data.draw(st.booleans()), -math.inf, x)
    assert lower_limit(lower, 0.95) <= lower_limit(x, 0.95) <= lower_limit(higher, 0.95)
    assert hodges_lehmann(lower) <= hodges_lehmann(x) <= hodges_lehmann(higher)


def test_the_level_needs_six_values():
    assert lower_limit(np.arange(5.0), 0.95) is None
    assert lower_limit(np.arange(6.0), 0.95) == 0
    assert lower_limit(np.arange(5.0), 0.9) == 0


def test_opposite_infinities_are_as_low_or_as_high_as_can_be():
    x = np.array([-math.inf, *[math.inf] * 6])
    assert lower_limit(x, 0.95) == -math.inf
    assert lower_limit(-x, 0.95) == -math.inf
    assert hodges_lehmann(x[:2], unknown=-math.inf) == -math.inf
    assert hodges_lehmann(x[:2], unknown=math.inf) == math.inf


def test_differences_of_a_group_change_their_signs_together():
    """Over all signs of the groups, p is at most a level no more often than the level."""
    rng = np.random.default_rng(3)
    d, groups = rng.normal(size=9), np.array([0, 0, 1, 1, 1, 2, 3, 3, 4])
    every = itertools.product((-1, 1), repeat=5)
    found = np.array([p_value(d * np.array(signs)[groups], groups) for signs in every])
    for level in (0.1, 0.25, 0.5):
        assert np.mean(found <= level) <= level
    assert p_value(d, np.arange(9)) == p_value(d)


def test_copies_of_a_task_make_nothing_surer():
    d = np.random.default_rng(4).normal(0.5, 1.0, 8)
    twice = np.concatenate([d, d])
    assert p_value(twice, np.tile(np.arange(8), 2)) == pytest.approx(p_value(d), rel=0.2)
    assert p_value(twice) < p_value(d) / 2
