import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hpobench.statistics.profiles import performance_profile

cells = st.one_of(st.floats(-2, 3), st.just(math.nan))
tables = arrays(float, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=cells)
thresholds = st.lists(st.floats(-3, 4), min_size=1, max_size=20).map(sorted)


@given(tables, thresholds)
def test_a_profile_rises_with_the_threshold_and_counts_what_is_missing(values, taus):
    profile = performance_profile(values, taus)
    for line in (profile.share, profile.low, profile.high):
        assert np.all(np.diff(line) >= 0)
        assert np.all((line >= 0) & (line <= 1))
    assert np.all((profile.low <= profile.share) & (profile.share <= profile.high))
    np.testing.assert_allclose(profile.share, [np.mean(values <= tau) for tau in taus])
    there = 1 - np.isnan(values).sum() / values.size
    assert np.all(profile.share <= there + 1e-12)
    assert performance_profile(values, [math.inf]).share == pytest.approx(there)
    assert (profile.n, profile.missing) == (values.size, np.isnan(values).sum())


@given(tables, thresholds, st.randoms())
def test_a_missing_cell_never_helps(values, taus, random):
    poorer = values.copy()
    poorer[random.randrange(values.shape[0]), random.randrange(values.shape[1])] = math.nan
    one, other = (performance_profile(table, taus) for table in (values, poorer))
    assert np.all(other.share <= one.share)
    assert np.all(other.low <= one.low)


@pytest.mark.parametrize(("tasks", "seeds"), [(1, 5), (1, 20), (4, 5), (8, 10)])
def test_the_band_covers_the_share_of_many_seeds(tasks, seeds):
    rng = np.random.default_rng(tasks)
    scale = np.linspace(0.2, 1, tasks)[:, None]
    taus = np.array([0.02, 0.1, 0.5, 2.0])
    truth = (1 - np.exp(-taus / scale)).mean(axis=0)
    studies = 600
    covered = np.zeros(len(taus))
    for _ in range(studies):
        profile = performance_profile(scale * rng.exponential(size=(tasks, seeds)), taus)
        covered += (profile.low <= truth) & (truth <= profile.high)
    assert np.all(covered / studies > 0.95 - 2 * math.sqrt(0.05 * 0.95 / studies))


def test_no_cells_are_no_profile():
    with pytest.raises(ValueError, match="cell"):
        performance_profile(np.empty((0, 3)), [1.0])
