from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchers.converters import (
    MOST_LISTED,
    fractional,
    from_fractions,
    from_library,
    to_configspace,
    to_fractions,
    to_optuna,
    to_tune,
)
from searchers.space import Categorical, Float, Int, Space, SpaceError, Vector
from tests.searchers.space_strategies import EXTREMES, LARGEST, spaces

optuna.logging.set_verbosity(optuna.logging.WARNING)

Draws = Callable[[Space, int], Iterable[dict[str, Any]]]


def optuna_draws(space: Space, count: int) -> Iterable[dict[str, Any]]:
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(sampler=sampler)
    trial = study.ask()
    frozen = study.get_trials(deepcopy=False)[trial.number]
    for _ in range(count):
        drawn = {
            name: sampler.sample_independent(study, frozen, name, distribution)
            for name, distribution in to_optuna(space).items()
        }
        yield from_fractions(space, drawn)


def configspace_draws(space: Space, count: int) -> Iterable[dict[str, Any]]:
    for drawn in to_configspace(space, seed=0).sample_configuration(count):
        yield from_fractions(space, dict(drawn))


def tune_draws(space: Space, count: int) -> Iterable[dict[str, Any]]:
    random.seed(0)  # tune.choice draws from it
    rng = np.random.RandomState(0)
    emitted = to_tune(space)
    for _ in range(count):
        drawn = {name: domain.sample(random_state=rng) for name, domain in emitted.items()}
        yield from_library(space, drawn)


every_library = pytest.mark.parametrize("draws", [optuna_draws, configspace_draws, tune_draws])


@every_library
@settings(max_examples=25)
@given(space=spaces)
@pytest.mark.slow
def test_samples_are_in_the_space_and_cover_it(draws: Draws, space: Space) -> None:
    configurations = list(draws(space, 300))
    for name, domain in space.scalars.items():
        values = {c[name] for c in configurations}
        if isinstance(domain, Int):
            assert values == set(range(domain.low, domain.high + 1))
        elif isinstance(domain, Categorical):
            assert values == set(domain.choices)
            assert all(any(v is c for c in domain.choices) for v in values)
        else:
            u = np.sort([domain.to_unit(v) for v in values])
            uniform = (np.arange(len(u)) + 0.5) / len(u)
            assert np.max(np.abs(u - uniform)) < 0.15  # Kolmogorov's distance; p < 1e-5


@given(spaces)
def test_optuna_and_configspace_have_fractions_and_the_same_whole_numbers_and_choices(
    space: Space,
) -> None:
    emitted, sorted_ = to_optuna(space), to_configspace(space, seed=1)
    assert list(emitted) == list(space.scalars)
    assert set(sorted_) == set(space.scalars)
    for name, domain in space.scalars.items():
        optunas: Any = emitted[name]
        configspaces: Any = sorted_[name]
        if isinstance(domain, Categorical):
            assert optunas.choices == configspaces.choices == domain.choices
            continue
        whole = isinstance(domain, Int)
        said = (domain.low, domain.high, domain.log) if whole else (0.0, 1.0, False)
        assert (optunas.low, optunas.high, optunas.log) == said
        assert optunas.step == (1 if whole else None)
        assert (configspaces.lower, configspaces.upper, configspaces.log) == said


@given(spaces, st.integers(0, 10**6))
def test_there_and_back_is_the_same(space: Space, seed: int) -> None:
    configuration = space.sample(np.random.default_rng(seed))
    back = from_fractions(space, to_fractions(space, configuration))
    assert space.to_unit(back) == pytest.approx(space.to_unit(configuration), abs=1e-9)


@pytest.mark.parametrize("name", EXTREMES)
def test_an_extreme_range_is_whole_in_its_fractions(name: str) -> None:
    """Both bounds and the middle, there and back, and draws in between."""
    space = Space({"x": EXTREMES[name]})
    for u in (0.0, 0.5, 1.0):
        point = space.from_unit(np.array([u]))
        there = to_fractions(space, point)
        back = from_fractions(space, there)
        assert space.to_unit(back) == pytest.approx(space.to_unit(point), abs=1e-9)
    for draws in (optuna_draws, configspace_draws):
        units = [float(space.to_unit(c)[0]) for c in draws(space, 40)]
        assert min(units) < 0.5 <= max(units)


def test_whole_numbers_are_fractions_where_they_are_too_many_to_list() -> None:
    assert not fractional(Int(1, MOST_LISTED))
    assert fractional(Int(0, MOST_LISTED))
    assert fractional(Int(1, LARGEST, log=True))
    assert not fractional(Categorical((0.5, 0.25)))


@given(spaces)
def test_tune_has_the_same_ranges(space: Space) -> None:
    emitted: dict[str, Any] = to_tune(space)
    assert list(emitted) == list(space.scalars)
    for name, domain in space.scalars.items():
        if isinstance(domain, Categorical):
            assert emitted[name].categories == list(domain.choices)
        else:
            beyond = 1 if isinstance(domain, Int) else 0
            assert (emitted[name].lower, emitted[name].upper - beyond) == (domain.low, domain.high)
            assert ("Log" in type(emitted[name].get_sampler()).__name__) == domain.log


@every_library
def test_a_log_range_is_logarithmic_and_a_linear_one_linear(draws: Draws) -> None:
    space = Space({"log": Float(1e-4, 1.0, log=True), "linear": Float(1e-4, 1.0)})
    values = list(draws(space, 1000))
    assert np.median([v["log"] for v in values]) == pytest.approx(1e-2, rel=0.4)
    assert np.median([v["linear"] for v in values]) == pytest.approx(0.5, abs=0.08)


def test_vectors_are_flattened() -> None:
    space = Space({"v": Vector(2, Float(0, 1)), "n": Int(1, 3)})
    names = ["v_0", "v_1", "n"]
    assert list(to_optuna(space)) == names
    assert list(to_tune(space)) == names
    assert sorted(to_configspace(space, 0)) == sorted(names)


def test_configspace_seeds() -> None:
    space = Space({"x": Float(0, 1)})
    one, same, other = (dict(to_configspace(space, s).sample_configuration()) for s in (1, 1, 2))
    assert one == same != other


@given(st.floats(1e-6, 1e3), st.floats(1.5, 1e3), st.booleans())
def test_rounding_is_clipped_and_mistakes_are_not(low: float, ratio: float, log: bool) -> None:
    high = low * ratio
    space = Space({"x": Float(low, high, log=log)})
    assert from_library(space, {"x": np.float64(low) - 1e-13}) == {"x": low}
    assert from_library(space, {"x": high * (1 + 1e-12)}) == {"x": high}
    for outside in (low * (1 - 1e-5), high * (1 + 1e-5), float("nan")):
        with pytest.raises(SpaceError, match="x is"):
            from_library(space, {"x": outside})


def test_unknown_and_missing_names_are_refused() -> None:
    space = Space({"x": Float(0, 1)})
    with pytest.raises(SpaceError, match="unknown: y"):
        from_library(space, {"x": 0.5, "y": 1})
    with pytest.raises(SpaceError, match="missing: x"):
        from_library(space, {})
