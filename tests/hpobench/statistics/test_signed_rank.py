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
