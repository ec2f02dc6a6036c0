import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hpobench.statistics.verdicts import (
    MOST_SEEDS,
    Difference,
    MoreSeeds,
    holm,
    paired,
    seeds_to_separate,
    verdicts,
)

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=20)
numbers = st.integers(0, 10_000)


def two(number, n=8):
    return np.random.default_rng(number).standard_normal((2, n))


@given(numbers, st.integers(2, 20))
def test_the_comparison_is_scipys_paired_t_test(number, n):
    a, b = two(number, n)
    found, expected = paired(a, b), stats.ttest_rel(a, b)
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.mean == pytest.approx(np.mean(a - b))
    assert found.n == n


@given(numbers, st.randoms(), st.floats(-100, 100), st.floats(0.01, 100))
def test_order_and_common_shifts_change_nothing_and_scale_scales(number, random, shift, scale):
    a, b = two(number)
    order = random.sample(range(8), 8)
    found = paired(a, b)
    moved = paired(shift + scale * a[order], shift + scale * b[order])
    for name in ("mean", "standard_error", "low", "high"):
        assert getattr(moved, name) == pytest.approx(scale * getattr(found, name), abs=1e-9)
    assert moved.p == pytest.approx(found.p, rel=1e-6)


@given(numbers)
def test_comparing_is_antisymmetric(number):
    a, b = two(number)
    one, other = paired(a, b), paired(b, a)
    assert (one.mean, one.low, one.high) == (-other.mean, -other.high, -other.low)
    assert (one.p, one.n) == (other.p, other.n)


@pytest.mark.filterwarnings("error")
def test_a_difference_is_not_known_from_one_pair_or_with_a_missing_value():
    assert paired([], []).n == 0
    assert math.isnan(paired([], []).mean)
    one = paired([2.0], [0.5])
    assert (one.mean, one.n) == (1.5, 1)
    assert math.isnan(one.p)
    assert np.isnan(paired([1, math.nan, 3], [0, 0, 1])[:5]).all()


def test_differences_that_do_not_vary():
    equal = paired([0.1, 0.7, 0.3], [0.1, 0.7, 0.3])
    assert equal == Difference(0.0, 0.0, 0.0, 0.0, 1.0, 3)
    always = paired([1.0, 2.0, 3.0], [0.5, 1.5, 2.5])
    assert always == Difference(0.5, 0.0, 0.5, 0.5, 0.0, 3)


def test_two_lists_of_seeds_must_be_of_one_length():
    with pytest.raises(ValueError, match="broadcast"):
        paired([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="same seeds"):
        verdicts({"a": [1, 2, 3], "b": [1, 2]})
    with pytest.raises(ValueError, match="not \\(seeds,\\)"):
        paired(np.ones((2, 3)), np.zeros((2, 3)))


@given(p_values)
def test_holm_is_monotone_and_between_the_raw_p_and_bonferronis(values):
    raw, adjusted = np.array(values), holm(values)
    order = np.argsort(raw, kind="stable")
    assert np.all(np.diff(adjusted[order]) >= 0)
    assert np.all(adjusted >= raw)
    assert np.all(adjusted <= np.minimum(len(raw) * raw, 1) + 1e-12)
    assert adjusted.min() == pytest.approx(min(len(raw) * raw.min(), 1))


@given(p_values, st.randoms())
def test_holm_does_not_depend_on_the_order(values, random):
    order = random.sample(range(len(values)), len(values))
    assert np.array_equal(holm(np.array(values)[order]), holm(values)[order])


@given(p_values)
def test_holm_rejects_what_the_procedure_rejects_step_by_step(values):
    m, rejected = len(values), set()
    for step, place in enumerate(np.argsort(values, kind="stable")):
        if values[place] * (m - step) > 0.05:
            break
        rejected.add(place)
    assert set(np.flatnonzero(holm(values) <= 0.05)) == rejected


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]).shape == (0,)


def test_what_is_not_known_stays_so_and_counts():
    adjusted = holm([math.nan, 0.01, 0.02])
    assert math.isnan(adjusted[0])
    assert adjusted[1:] == pytest.approx([0.03, 0.04])


def test_verdicts_name_the_better_one_of_each_pair_once():
    rng = np.random.default_rng(0)
    split = rng.standard_normal(10)
    values = {"bad": 5 + split, "good": split, "same": split}
    values = {name: v + 0.1 * rng.standard_normal(10) for name, v in values.items()}
    found = verdicts(values)
    assert [(v.first, v.second) for v in found] == list(itertools.combinations(values, 2))
    assert [v.better for v in found] == ["good", "same", None]
    assert found[0].difference == paired(values["bad"], values["good"])
    assert [v.p for v in found] == pytest.approx(holm([v.difference.p for v in found]).tolist())


@given(numbers)
def test_the_order_of_searchers_changes_no_verdict(number):
    effects = np.array([[0.0], [0.0], [2.0], [4.0]])
    values = effects + np.random.default_rng(number).standard_normal((4, 6))
    named = dict(zip("abcd", values, strict=True))
    forward = {frozenset((v.first, v.second)): v for v in verdicts(named)}
    for verdict in verdicts(dict(reversed(named.items()))):
        other = forward[frozenset((verdict.first, verdict.second))]
        assert verdict.better == other.better
        assert verdict.p == other.p
        assert verdict.difference.mean == -other.difference.mean


def test_only_seeds_that_both_have_are_compared_and_counted():
    rng = np.random.default_rng(1)
    a, b, c = rng.standard_normal((3, 8))
    a[[0, 1]], b[[1, 2]], c[1:] = math.nan, math.nan, math.nan
    of_pair = {(v.first, v.second): v for v in verdicts({"a": a, "b": b, "c": c})}
    assert of_pair["a", "b"].difference == paired(a[3:], b[3:])
    assert of_pair["a", "b"].difference.n == 5
    assert of_pair["a", "b"].p == pytest.approx(min(3 * of_pair["a", "b"].difference.p, 1))
    assert of_pair["a", "c"].difference.n == 0
    assert of_pair["b", "c"].difference.n == 1
    assert math.isnan(of_pair["b", "c"].p)
    assert of_pair["b", "c"].better is None


@pytest.mark.parametrize("draw", ["normal", "lognormal"])
def test_equal_searchers_are_seldom_told_apart(draw):
    rng = np.random.default_rng(2)
    studies = 300
    false = 0
    for _ in range(studies):
        values = dict(zip("abcdef", getattr(rng, draw)(size=(6, 5)), strict=True))
        false += any(verdict.better for verdict in verdicts(values))
    assert false / studies < 0.05 + 2 * math.sqrt(0.05 * 0.95 / studies)


def planted(effect, n):
    """n differences whose mean is so many of their standard deviations."""
    values = np.random.default_rng(3).standard_normal(n)
    return (values - values.mean()) / values.std(ddof=1) + effect


@pytest.mark.parametrize("pairs", [1, 15])
@pytest.mark.parametrize("effect", [0.4, 1.0])
def test_the_advised_number_of_seeds_has_the_power(effect, pairs):
    differences = planted(effect, 6)
    total = 6 + seeds_to_separate(paired(differences, np.zeros(6)), pairs=pairs).more
    rng = np.random.default_rng(4)
    studies = {n: effect + rng.standard_normal((4000, n)) for n in (total, total - 1)}
    power = {
        n: np.mean(stats.ttest_1samp(s, 0, axis=1).pvalue <= 0.05 / pairs)
        for n, s in studies.items()
    }
    assert 0.78 < power[total] < (0.9 if effect == 1.0 else 0.83)
    assert power[total - 1] < 0.82


@given(st.floats(0.05, 30), st.integers(2, 30), st.integers(1, 190))
def test_the_bounds_of_the_advice_lie_on_either_side(effect, n, pairs):
    advice = seeds_to_separate(paired(planted(effect, n), np.zeros(n)), pairs=pairs)
    fewest, more, most = (
        math.inf if count is None else count for count in (advice.fewest, advice.more, advice.most)
    )
    assert 0 <= fewest <= more <= most


@given(st.floats(0.2, 5), st.floats(0.01, 100), st.integers(3, 20))
def test_the_advice_does_not_depend_on_sign_or_unit(effect, scale, n):
    differences = planted(effect, n)
    advice = seeds_to_separate(paired(differences, np.zeros(n)))
    assert seeds_to_separate(paired(np.zeros(n), differences * scale)) == advice


def test_a_stronger_effect_needs_fewer_seeds_and_more_power_or_more_pairs_need_more():
    def more(effect, **settings):
        return seeds_to_separate(paired(planted(effect, 10), np.zeros(10)), **settings).more

    assert more(0.2) > more(0.5) > more(0.8) > more(2.0) == 0
    assert more(0.5, power=0.95) > more(0.5)
    assert more(0.5, pairs=15) > more(0.5)


def test_the_advice_where_there_is_no_effect_to_speak_of():
    none = MoreSeeds(None, None, None)
    assert seeds_to_separate(paired([1.0], [2.0])) is None
    assert seeds_to_separate(paired([1.0, 2.0], [1.0, 2.0])) == none
    assert seeds_to_separate(paired([1.0, 2.0], [0.5, 1.5])) == MoreSeeds(0, 0, 0)
    weak = seeds_to_separate(paired(planted(0.01, 10), np.zeros(10)))
    assert weak.more is None
    assert weak.most is None
    assert 0 < weak.fewest < MOST_SEEDS
    assert seeds_to_separate(paired(planted(1e9, 5), np.zeros(5))) == MoreSeeds(0, 0, 0)
