"""Searchers that need no results: none at all, random, and the grid."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
from hypothesis import given

from searchers.black_box.baselines import Default, DefaultCosine
from searchers.black_box.grid import GridSearch, levels, step_schedule
from searchers.black_box.in_order import InOrder
from searchers.black_box.random_search import RandomSearch
from searchers.errors import SearcherError
from searchers.protocols import Brief
from searchers.space import Categorical, Flat, Float, Int, Nested, Space, Vector
from searchers.testing.black_box import example_brief
from tests.searchers.space_strategies import floats, ints


def configurations(suggester: InOrder, most: int = 10_000) -> list[Flat]:
    jobs = list(islice(iter(suggester.ask, None), most))
    assert [job.training for job in jobs] == list(range(len(jobs)))
    return [job.configuration for job in jobs]


def brief_of(space: Space, default: Nested, seed: int = 0) -> Brief:
    flat = space.flatten(default)
    return Brief(space, (flat,), flat, budgets=(1, 9), compress=True, seed=seed)


SCHEDULE = Space(
    {
        "learning_rate": Vector(8, Float(1e-3, 3.0, log=True)),
        "momentum": Float(0.0, 0.99),
        "weight_decay": Float(1e-6, 3e-3, log=True),
    }
)
PRACTICE: Nested = {"learning_rate": (0.055,) * 8, "momentum": 0.9, "weight_decay": 1e-5}


def test_default_is_one_full_training_and_then_nothing() -> None:
    suggester = Default().suggester(brief_of(SCHEDULE, PRACTICE))
    job = suggester.ask()
    assert job is not None
    assert (job.training, job.epochs) == (0, 9)
    assert SCHEDULE.nest(job.configuration) == PRACTICE
    assert suggester.ask() is None
    suggester.tell(job, 1.0)
    assert suggester.ask() is None


def test_default_cosine_is_sampled_mid_window() -> None:
    (flat,) = configurations(DefaultCosine().suggester(brief_of(SCHEDULE, PRACTICE)))
    nested = SCHEDULE.nest(SCHEDULE.check(flat))
    rates = np.array(nested["learning_rate"])
    expected = 0.055 * (1 + np.cos(np.pi * np.arange(1, 16, 2) / 16)) / 2
    assert rates == pytest.approx(np.maximum(expected, 1e-3))
    assert rates[-1] == 1e-3  # 0.00053 is below the range
    assert (nested["momentum"], nested["weight_decay"]) == (0.9, 1e-5)


def test_default_cosine_spends_half_of_the_default_s_learning_rate() -> None:
    space = Space({"learning_rate": Vector(7, Float(0.0, 3.0))})
    (flat,) = configurations(
        DefaultCosine().suggester(brief_of(space, {"learning_rate": (0.4,) * 7}))
    )
    assert sum(map(float, flat.values())) == pytest.approx(0.2 * 7)
    assert flat["learning_rate_3"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("space", "default"),
    [
        (Space({"learning_rate": Float(0, 1)}), {"learning_rate": 0.5}),
        (Space({"rate": Vector(2, Float(0, 1))}), {"rate": (0.5, 0.5)}),
        (Space({"learning_rate": Vector(1, Int(0, 1))}), {"learning_rate": (1,)}),
    ],
)
def test_default_cosine_needs_a_schedule(space: Space, default: Nested) -> None:
    with pytest.raises(SearcherError, match="default_cosine needs a schedule") as error:
        DefaultCosine().suggester(brief_of(space, default))
    assert "\n" not in str(error.value)


def test_random_search_draws_the_prior() -> None:
    found = configurations(RandomSearch().suggester(brief_of(SCHEDULE, PRACTICE)), 801)
    assert SCHEDULE.nest(found[0]) == PRACTICE
    units = np.array([SCHEDULE.to_unit(flat) for flat in found[1:]])
    for q in (0.1, 0.5, 0.9):
        assert np.mean(units < q, axis=0) == pytest.approx(np.full(10, q), abs=0.075)
    assert np.abs(np.corrcoef(units.T) - np.eye(10)).max() < 0.2


def test_the_grid_has_every_combination_once() -> None:
    brief = brief_of(SCHEDULE, PRACTICE)
    grid = GridSearch(learning_rates=4, momenta=3, weight_decays=2)
    found = configurations(grid.suggester(brief))
    assert SCHEDULE.nest(found[0]) == PRACTICE
    keys = {tuple(SCHEDULE.check(flat).values()) for flat in found}
    assert len(keys) == len(found) == 1 + 4 * 2 * 3 * 2
    assert len({flat["momentum"] for flat in found[1:]}) == 3
    assert len({flat["weight_decay"] for flat in found[1:]}) == 2
    assert len({flat["learning_rate_0"] for flat in found[1:]}) == 4


def test_grid_schedules_are_tied_or_stepped() -> None:
    found = GridSearch(learning_rates=3, momenta=1, weight_decays=1).points(SCHEDULE)
    schedules = [SCHEDULE.nest(flat)["learning_rate"] for flat in found]
    first = [1e-3 * 3000 ** ((k + 0.5) / 3) for k in range(3)]
    expected = []
    for rate in first:
        expected.append([rate] * 8)
        expected.append([max(rate / d, 1e-3) for d in (1, 1, 1, 1, 10, 10, 100, 100)])
    assert np.array(schedules) == pytest.approx(np.array(expected))


@pytest.mark.parametrize(
    ("length", "steps"), [(1, [0]), (2, [0, 1]), (4, [0, 0, 1, 2]), (7, [0, 0, 0, 0, 1, 1, 2])]
)
def test_steps_fall_at_the_half_and_at_three_quarters(length: int, steps: list[int]) -> None:
    schedule = step_schedule(Float(0.0, 1.0), 1.0, length, decay=4.0)
    assert schedule == tuple(4.0**-step for step in steps)


def test_schedules_that_the_range_flattens_come_once() -> None:
    space = Space({"learning_rate": Vector(1, Float(0.1, 1.0, log=True))})
    found = configurations(
        GridSearch(learning_rates=5).suggester(brief_of(space, {"learning_rate": (0.2,)}))
    )
    assert len(found) == 1 + 5  # with one window, stepped is tied


def test_a_grid_cut_short_is_not_a_corner() -> None:
    found = configurations(GridSearch().suggester(brief_of(SCHEDULE, PRACTICE)), 31)[1:]
    for name in ("learning_rate_0", "momentum", "weight_decay"):
        domain = SCHEDULE.scalars[name]
        units = [domain.to_unit(flat[name]) for flat in found]
        assert 0.25 < np.mean(units) < 0.75
        assert len(set(units)) >= 3


def test_grid_orders_differ_by_seed_but_not_the_grid() -> None:
    one, other = (
        configurations(GridSearch(2, 2, 2).suggester(brief_of(SCHEDULE, PRACTICE, seed)))
        for seed in (1, 2)
    )
    assert one != other
    assert sorted(map(str, one)) == sorted(map(str, other))


def test_a_grid_over_other_names_is_full_factorial() -> None:
    brief = example_brief()
    names = ["width", "depth", "act", "v"]
    domains = (Float(0, 1), Int(1, 2), Categorical(("a", "b")), Vector(2, Int(1, 3)))
    space = Space(dict(zip(names, domains, strict=True)))
    found = GridSearch(others=3).points(space)
    assert len(found) == 3 * 2 * 2 * 3
    assert {flat["depth"] for flat in found} == {1, 2}
    assert all(flat["v_0"] == flat["v_1"] for flat in found)
    assert len(configurations(GridSearch().suggester(brief))) == len(
        GridSearch().points(brief.space)
    ) + len(brief.initial)


@given(floats())
def test_levels_stand_in_the_middle_of_equal_parts(domain: Float) -> None:
    units = [domain.to_unit(level) for level in levels(domain, 4)]
    assert units == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8], abs=1e-6)


@given(ints(widest=9))
def test_whole_levels_are_distinct_and_in_range(domain: Int) -> None:
    found = levels(domain, 4)
    assert len(set(found)) == len(found) <= 4
    assert all(domain.problem_with(level) is None for level in found)
    if not domain.log:
        assert len(found) == min(4, domain.high - domain.low + 1)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"learning_rates": 0}, "grid: learning_rates, how many levels, is a whole number"),
        ({"others": 2.5}, "others, how many levels, is a whole number, 1 or more"),
        ({"decay": 1.0}, "decay, which divides, is a number above 1"),
        ({"decay": math.nan}, "decay, which divides"),
        ({"decay": math.inf}, "decay, which divides"),
    ],
)
def test_bad_settings_are_one_line(settings: dict[str, float], says: str) -> None:
    with pytest.raises(SearcherError, match=says):
        GridSearch(**settings)  # type: ignore[arg-type]


def test_a_grid_that_never_ends_is_refused() -> None:
    space = Space({f"x{i}": Float(0, 1) for i in range(30)})
    with pytest.raises(SearcherError, match="grid: 205,891,132,094,649 points for 30 domains"):
        GridSearch().points(space)


def test_a_job_is_a_copy() -> None:
    brief = brief_of(SCHEDULE, PRACTICE)
    job = RandomSearch().suggester(brief).ask()
    assert job is not None
    job.configuration["momentum"] = 0.1
    assert brief.initial[0]["momentum"] == 0.9
