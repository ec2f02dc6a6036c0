import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hpobench.statistics.bands import _largest_t, pointwise_band, simultaneous_band

BANDS = [pointwise_band, simultaneous_band]


def curves(rng, seeds, points=25, kept=0.9):
    """Gaussian Markov curves around zero, of unit variance."""
    values = rng.standard_normal((seeds, points))
    for i in range(1, points):
        values[:, i] = kept * values[:, i - 1] + np.sqrt(1 - kept**2) * values[:, i]
    return values


samples = st.builds(
    lambda number, seeds, points, kept: curves(np.random.default_rng(number), seeds, points, kept),
    st.integers(0, 10_000),
    st.integers(5, 12),
    st.integers(1, 12),
    st.floats(-0.99, 0.999),
)


def reach(band):
    return (band.high - band.low) / 2


def same(band, other):
    for ends, others in zip(band, other, strict=True):
        assert ends == pytest.approx(others, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("band", BANDS)
@given(samples, st.randoms())
def test_the_order_of_seeds_changes_nothing(band, values, random):
    order = random.sample(range(len(values)), len(values))
    same(band(values[order]), band(values))


@pytest.mark.parametrize("band", BANDS)
def test_not_even_a_rounding_depends_on_the_order_of_seeds(band):
    values = curves(np.random.default_rng(0), 9)
    for ends, others in zip(band(values[::-1]), band(values), strict=True):
        assert np.array_equal(ends, others)


@pytest.mark.parametrize("band", BANDS)
@given(samples, st.floats(-100, 100), st.floats(0.01, 100))
def test_moving_and_scaling_the_values_moves_and_scales_the_band(band, values, shift, scale):
    expected = [shift + scale * ends for ends in band(values)]
    same(band(shift + scale * values), expected)


@pytest.mark.parametrize("band", BANDS)
@given(samples)
def test_turning_the_values_over_turns_the_band_over(band, values):
    mean, low, high = band(values)
    same(band(-values), (-mean, -high, -low))


@given(samples)
def test_the_simultaneous_band_contains_the_pointwise_one(values):
    alone, whole = pointwise_band(values), simultaneous_band(values)
    assert np.all(whole.low <= alone.low)
    assert np.all(whole.high >= alone.high)


@given(samples)
def test_a_simultaneous_band_reaches_at_most_as_far_as_bonferronis(values):
    points = values.shape[1]
    most = pointwise_band(values, 1 - 0.05 / points)
    assert np.all(reach(simultaneous_band(values)) <= reach(most) * (1 + 1e-12))


def test_a_pointwise_band_is_scipys_t_interval():
    values = curves(np.random.default_rng(1), 7)
    mean, low, high = pointwise_band(values, 0.9)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert low == pytest.approx(expected.low)
    assert high == pytest.approx(expected.high)
    assert mean == pytest.approx(values.mean(axis=0))


@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_over_columns_that_are_one_up_to_scale_both_bands_are_the_same(seeds):
    column = np.random.default_rng(2).standard_normal((seeds, 1))
    values = column * [[1.0, 1.0, 2.0, -1.0]] + [[0.0, 0.0, 5.0, 1.0]]
    same(simultaneous_band(values), pointwise_band(values))


def test_a_finer_grid_over_step_curves_changes_nothing():
    values = curves(np.random.default_rng(3), 6, 10)
    coarse, fine = simultaneous_band(values), simultaneous_band(np.repeat(values, 7, axis=1))
    same([ends[::7] for ends in fine], coarse)


def test_independent_columns_need_nearly_bonferronis_reach():
    values = np.random.default_rng(4).standard_normal((8, 20))
    alone, most = pointwise_band(values), pointwise_band(values, 1 - 0.05 / 20)
    assert np.all(reach(simultaneous_band(values)) > 0.9 * reach(most))
    assert np.all(reach(simultaneous_band(values)) > 1.5 * reach(alone))


@pytest.mark.parametrize("seeds", [5, 12])
def test_the_largest_t_is_distributed_as_that_of_curves_drawn_one_by_one(seeds):
    rng = np.random.default_rng(9)
    values = curves(rng, seeds * 4000, 21, 0.9).reshape(4000, seeds, 21)
    drawn = np.abs(stats.ttest_1samp(values, 0, axis=1).statistic).max(axis=1)
    levels = [0.1, 0.5, 0.9, 0.95]
    expected = np.quantile(drawn, levels)
    found = np.quantile(_largest_t(np.full(20, 1 - 0.9**2), seeds), levels)
    assert found == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("band", BANDS)
def test_there_is_no_band_below_five_seeds(band):
    values = curves(np.random.default_rng(5), 5)
    assert band(values) is not None
    assert band(values[:4]) is None
    assert band(values[:0]) is None


@pytest.mark.parametrize("band", BANDS)
def test_where_all_seeds_agree_a_band_has_no_width(band):
    values = curves(np.random.default_rng(6), 10)
    values[:, :3] = 0.1  # ten times 0.1 over ten is not 0.1
    agreed = band(values)
    assert np.array_equal(agreed.low[:3], agreed.high[:3])
    assert np.all(agreed.low[3:] < agreed.high[3:])
    same([ends[3:] for ends in agreed], band(values[:, 3:]))
    same(band(np.full((5, 2), 0.1)), [[0.1, 0.1]] * 3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("band", BANDS)
def test_where_a_value_is_missing_there_is_no_band(band):
    values = curves(np.random.default_rng(7), 6)
    values[2, 4:6] = np.nan
    low, high = band(values)[1:]
    assert np.isnan(low[4:6]).all()
    assert np.isnan(high[4:6]).all()
    known = np.delete(values, [4, 5], axis=1)
    same([np.delete(ends, [4, 5]) for ends in band(values)], band(known))


@pytest.mark.parametrize("band", BANDS)
def test_no_points_have_an_empty_band(band):
    assert [ends.shape for ends in band(np.empty((6, 0)))] == [(0,)] * 3


@pytest.mark.parametrize("band", BANDS)
def test_values_must_be_a_table(band):
    with pytest.raises(ValueError, match="seeds, points"):
        band([1.0, 2.0, 3.0, 4.0, 5.0])


@pytest.mark.parametrize("seeds", [5, 20])
def test_both_bands_cover_a_known_truth_as_often_as_they_say(seeds):
    rng = np.random.default_rng(8)
    studies = [curves(rng, seeds, 10, 0.8) for _ in range(300)]
    alone = [covers(pointwise_band(values)).mean() for values in studies]
    whole = [covers(simultaneous_band(values)).all() for values in studies]
    pointwise_of_whole = [covers(pointwise_band(values)).all() for values in studies]
    assert 0.925 < np.mean(alone) < 0.975
    assert 0.915 < np.mean(whole) < 0.985
    assert np.mean(pointwise_of_whole) < 0.9  # a test that the simultaneous one is needed


def covers(band):
    return (band.low <= 0) & (band.high >= 0)
