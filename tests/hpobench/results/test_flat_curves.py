"""The flat curves say what the curves one by one say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.results.flat_curves import FlatCurves
from hpobench.results.paired import ends, finals
from hpobench.results.regret import step_curves
from hpobench.results.run import Results
from hpobench.results.schema import CLOCKS
from hpobench.statistics.aggregates import area_under
from hpobench.statistics.curves import StepCurve
from tests.hpobench.fake_run import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = write_run(
        tmp_path_factory.mktemp("run"),
        tasks=("digits", "fashion"),
        searchers=("fds", "random", "bohb"),
        seeds=(3, 1, 4, 5, 9),
        missing=["digits__bohb__s4"],
        failed=["fashion__random__s1"],
        without_reference=["fashion"],
    )
    return Results.load(folder)


def test_finals_are_those_of_each_searcher(run: Results) -> None:
    curves = FlatCurves.of(run, "seconds")
    for place, task in enumerate(run.tasks):
        expected = np.array([*finals(run, task).values()])
        assert np.array_equal(curves.finals(curves.values)[place], expected, equal_nan=True)
        normalised = np.array([*ends(run, task, "normalised_regret").values()])
        assert np.array_equal(curves.finals(curves.normalised)[place], normalised, equal_nan=True)
    assert np.isnan(curves.finals(curves.values)).sum() == 2
    assert curves.normalised_tasks().tolist() == [0]
    blocks, seeds = curves.blocks()
    assert blocks.shape == (10, 3)
    assert len(seeds) == 10


@pytest.mark.parametrize("clock", CLOCKS)
def test_areas_and_values_on_a_grid_are_those_of_each_curve(run: Results, clock: str) -> None:
    curves = FlatCurves.of(run, clock)  # type: ignore[arg-type]
    until = np.array([*run.task_ends(clock).values()])
    areas = curves.areas(curves.values, until)
    for t, task in enumerate(run.tasks):
        value = "test_loss" if run.references[task] is None else "regret"
        times = curves.times_of(t)
        grid = curves.on_grid(t, times)
        steps = set()
        for s, searcher in enumerate(run.searchers):
            each = step_curves(run.changes(task, searcher), clock, value)  # type: ignore[arg-type]
            for n, seed in enumerate(run.study["seeds"]):
                if seed not in each:
                    assert np.isnan(areas[t, s, n])
                    assert np.isnan(grid[s, n]).all()
                    continue
                assert areas[t, s, n] == pytest.approx(area_under(each[seed], 0.0, until[t]))
                assert np.array_equal(grid[s, n], each[seed].at(times))
                steps |= set(each[seed].times.tolist())
        assert times.tolist() == sorted(steps)


curve = st.lists(
    st.tuples(st.floats(0, 20, allow_subnormal=False), st.floats(-5, 5)), min_size=0, max_size=8
)


@given(st.lists(curve, min_size=1, max_size=5), st.floats(0.5, 30))
def test_an_area_is_that_of_the_step_curve(
    points: list[list[tuple[float, float]]], end: float
) -> None:
    """Steps at one time, at zero and after the end among them."""
    each = [[(0.0, 1.0), *sorted(steps, key=lambda step: step[0])] for steps in points]
    sizes = np.cumsum([0, *map(len, each)])
    times, values = np.array([step for steps in each for step in steps]).T
    place = (1, len(each), 1)
    flat = FlatCurves(times, values, values, sizes[:-1].reshape(place), sizes[1:].reshape(place))
    found = flat.areas(values, np.array([end])).ravel()
    for area, steps in zip(found, each, strict=True):
        expected = area_under(StepCurve(*np.array(steps).T), 0.0, end)
        assert area == pytest.approx(expected, abs=1e-9)


def test_a_run_without_cells_has_no_curves(tmp_path: Path) -> None:
    missing = [f"digits__{searcher}__s{seed}" for searcher in ("fds", "random") for seed in (0, 1)]
    results = Results.load(write_run(tmp_path, missing=missing))
    curves = FlatCurves.of(results, "steps")
    assert len(curves.blocks()[0]) == 0
    until = np.array([*results.task_ends("steps").values()])
    assert np.isnan(curves.areas(curves.normalised, until)).all()
    assert curves.times_of(0).tolist() == [0.0]
