import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.statistics.times import Times, crossover, median_time, speed_up

moments = st.floats(0.01, 1e4)


def measured(times):
    return Times(np.array(times), np.array(times))


def cut(times, end):
    """As seen by who stops watching at ``end``."""
    return Times.until([float(t) if t <= end else None for t in times], end)


@st.composite
def pairs(draw, least=1):
    """Two searchers' censored times over the same seeds."""
    n = draw(st.integers(least, 12))
    both = [np.array(draw(st.lists(moments, min_size=n, max_size=n))) for _ in range(2)]
    return tuple(cut(times, draw(moments)) for times in both)


def ends(result):
    interval = result.interval or (math.nan, math.nan)
    return np.array([interval[0], result.at_least, result.at_most, interval[1]])


@given(pairs())
def test_swapping_the_searchers_inverts_the_speed_up(pair):
    slow, fast = pair
    one, other = speed_up(slow, fast), speed_up(fast, slow)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(ends(one), 1 / ends(other)[::-1], rtol=1e-9)
    assert (one.slow_censored, one.fast_censored) == (other.fast_censored, other.slow_censored)


@given(pairs(), st.floats(0.01, 100))
def test_a_slower_clock_multiplies_the_speed_up(pair, c):
    slow, fast = pair
    scaled = Times(slow.low * c, slow.high * c)
    np.testing.assert_allclose(
        ends(speed_up(scaled, fast)), ends(speed_up(slow, fast)) * c, rtol=1e-9
    )


@given(st.lists(st.tuples(moments, moments), min_size=1, max_size=12), moments, moments)
def test_more_censoring_never_narrows_anything(times, one_end, other_end):
    slow, fast = np.array(times).T
    early, late = sorted((one_end, other_end))
    pairs_of_ends = [
        [ends(speed_up(cut(slow, end), cut(fast, end))) for end in (late, early)],
        [ends(median_time(cut(slow, end))) for end in (late, early)],
    ]
    for few, many in pairs_of_ends:
        tolerance = 1 + 1e-9
        assert not np.any(many[:2] > few[:2] * tolerance)
        assert not np.any(many[2:] * tolerance < few[2:])


@given(pairs())
def test_the_estimate_lies_inside_its_interval(pair):
    for result in (speed_up(*pair), median_time(pair[0])):
        assert result.at_least <= result.at_most
        assert (result.interval is None) == (result.n < 6)
        if result.interval:
            assert result.interval[0] <= result.at_least
            assert result.at_most <= result.interval[1]


def test_the_speed_up_of_known_pairs():
    fast = measured([1.0, 2.0, 5.0, 7.0, 8.0, 9.0, 3.0])
    assert ends(speed_up(measured(14 * fast.low), fast)) == pytest.approx([14] * 4)
    # By hand: of six pairs the interval runs from the least ratio to the greatest, at 96.9 %.
    ratios = np.array([2.0, 3.0, 4.0, 6.0, 9.0, 16.0])
    result = speed_up(measured(ratios), measured(np.ones(6)))
    assert result.interval == pytest.approx((2, 16))
    walsh = sorted(np.log(a * b) / 2 for i, a in enumerate(ratios) for b in ratios[i:])
    assert result.at_least == pytest.approx(np.exp(walsh[10]))


def test_a_target_that_was_never_reached_bounds_the_speed_up():
    fast = measured([1.0] * 8)
    slow = Times.until([None] * 8, end=10.0)
    result = speed_up(slow, fast)
    assert (result.at_least, result.at_most) == (pytest.approx(10), math.inf)
    assert result.interval == (pytest.approx(10), math.inf)
    assert (result.slow_censored, result.fast_censored, result.n) == (8, 0, 8)
    neither = speed_up(slow, slow)
    assert ends(neither).tolist() == [0, 0, math.inf, math.inf]
    few = speed_up(cut([1, 2, 3], 10), cut([1, 2, 30], 10))
    assert few.interval is None


def test_a_cell_that_was_never_measured_takes_part():
    slow = measured([2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    one_missing = Times(np.r_[np.ones(6), 0.0], np.r_[np.ones(6), math.inf])
    result = speed_up(slow, one_missing)
    assert (result.at_least, result.at_most, result.fast_censored) == (2, 2, 1)
    assert result.interval == (0, math.inf)


def test_two_that_are_there_at_once_are_equally_soon():
    nought = measured(np.zeros(7))
    assert ends(speed_up(nought, nought)).tolist() == [1, 1, 1, 1]
    assert speed_up(measured(np.ones(7)), nought).at_least == math.inf


def test_times_that_make_no_sense_are_refused():
    for low, high in (([1.0], [0.5]), ([-1.0], [1.0]), ([math.nan], [1.0]), ([math.inf],) * 2):
        with pytest.raises(ValueError, match="intervals"):
            Times(np.array(low), np.array(high))
    with pytest.raises(ValueError, match="seeds"):
        Times(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="seeds"):
        Times(np.array([]), np.array([]))
    with pytest.raises(ValueError, match="pairs"):
        speed_up(measured([1.0]), measured([1.0, 2.0]))


@pytest.mark.slow
@pytest.mark.parametrize("n", [6, 10, 20])
@pytest.mark.parametrize("censored", [0.0, 0.2, 0.5])
@pytest.mark.parametrize(("ratio", "spreads"), [(4.0, (0.8, 0.8)), (1.0, (1.2, 0.3))])
def test_the_speed_up_interval_covers_the_truth(n, censored, ratio, spreads):
    """And it still says something: it shuts out no speed-up at all where there is a large one."""
    rng = np.random.default_rng(n)
    studies = 700
    shared = rng.normal(0, 0.3, (studies, n))
    slow = ratio * np.exp(spreads[0] * rng.standard_normal((studies, n)) + shared)
    fast = np.exp(spreads[1] * rng.standard_normal((studies, n)) + shared)
    end = float(np.quantile([slow, fast], 1 - censored)) if censored else 1e9
    intervals = [
        speed_up(cut(a, end), cut(b, end)).interval for a, b in zip(slow, fast, strict=True)
    ]
    low, high = np.array(intervals).T
    covered = np.mean((low <= ratio) & (ratio <= high))
    assert covered > 0.95 - 3 * math.sqrt(0.95 * 0.05 / studies)
    if censored == 0:
        assert covered < 0.99
    if ratio > 1 and n >= 10 and censored < 0.5:
        assert np.mean(low > 1) > 0.6


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ([3.0, 1.0, 2.0], 2.0),
        ([3.0, None, 2.0], 3.0),
        ([3.0, None, None], math.inf),
        ([3.0, None], 3.0),
        ([None], math.inf),
    ],
)
def test_the_median_time_counts_the_censored(times, median):
    assert median_time(Times.until(times, end=0.0)).at_most == median


@given(st.lists(st.one_of(moments, st.none()), min_size=1, max_size=12))
def test_at_the_median_time_half_of_the_seeds_had_reached_the_target(times):
    result = median_time(Times.until(times, end=2e4))
    median, reached = result.at_most, [time for time in times if time is not None]
    if math.isinf(median):
        assert 2 * len(reached) < len(times)
        assert result.at_least == 2e4
    else:
        assert 2 * sum(time <= median for time in reached) >= len(times)
        assert 2 * sum(time < median for time in reached) < len(times)
        assert result.at_least == median
    assert result.censored == len(times) - len(reached)


@pytest.mark.parametrize("n", [6, 10, 20])
def test_the_median_times_interval_covers_the_truth(n):
    rng = np.random.default_rng(n)
    drawn = rng.exponential(size=(1000, n))
    truth = math.log(2)
    for end in (1e9, 1.0):
        low, high = np.array([median_time(cut(times, end)).interval for times in drawn]).T
        assert np.mean((low <= truth) & (truth <= high)) > 0.93


POINTS = np.linspace(0.01, 1, 100)


def planted(rng, n, when=0.4, slope=4.0, steadiness=0.98):
    """Two searchers' regret, whose means cross ``when``."""
    noise = rng.standard_normal((n, len(POINTS)))
    for i in range(1, len(POINTS)):
        step = math.sqrt(1 - steadiness**2) * noise[:, i]
        noise[:, i] = steadiness * noise[:, i - 1] + step
    return 5 + slope * (when - POINTS) + noise, np.full((n, len(POINTS)), 5.0)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_a_planted_crossover_lies_inside_its_interval(n):
    rng = np.random.default_rng(n)
    found = [crossover(POINTS, *planted(rng, n)) for _ in range(400)]
    crossings = [c for c in found if c is not None]
    assert len(crossings) > 390
    after = POINTS[np.flatnonzero(POINTS > 0.4 + 1e-9)[0]]
    covered = np.mean([c.interval[0] <= after <= c.interval[1] for c in crossings])
    assert covered > 0.92
    assert all(c.interval[0] <= c.time <= c.interval[1] for c in crossings)
    if n == 20:
        assert np.median([c.interval[1] - c.interval[0] for c in crossings]) < 0.5


def test_the_crossover_of_exact_curves():
    a = np.array([[3.0, 3, 1, 1, 0]] * 5) + 0.01 * np.arange(5)[:, None] * np.array(
        [1, -1, 1, 1, 1]
    )
    b = np.array([[2.0, 2, 2, 2, 2]] * 5)
    assert crossover([0, 1, 2, 3, 4], a, b) == (2, (2, 2), 5)
    assert crossover([0, 1, 2, 3, 4], b, a) is None
    assert crossover([0, 1, 2, 3, 4], b, b) is None
    assert crossover([0, 1, 2, 3, 4], a - 3, b) == (0, (0, 0), 5)
    assert crossover([0, 1, 2, 3, 4], a[:4], b[:4]) == (2, None, 4)


def test_a_crossover_that_is_not_certain_has_no_latest_time():
    rng = np.random.default_rng(3)
    a = rng.standard_normal((6, 4))
    a += -0.05 - a.mean(axis=0) + np.array([0.3, 0.2, 0, 0])
    assert crossover([0, 1, 2, 3], a, np.zeros((6, 4))) == (2, (0, math.inf), 6)


def test_a_missing_curve_makes_the_crossover_unknown():
    a, b = np.zeros((6, 3)), np.ones((6, 3))
    a[0, 0] = math.nan
    assert crossover([0, 1, 2], a, b).time == 1
    a[0, 2] = math.nan
    assert math.isnan(crossover([0, 1, 2], a, b).time)
    with pytest.raises(ValueError, match="seeds"):
        crossover([0, 1, 2], a, b[:5])
