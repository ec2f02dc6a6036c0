from __future__ import annotations

import doctest
import json
import math
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import searchers.space
from searchers.space import Categorical, Float, Int, Scalar, Space, SpaceError, Vector
from tests.searchers.space_strategies import categoricals, floats, ints, scalars, spaces

units = st.floats(0, 1)
points = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(spaces, points)
def test_flat_to_nested_and_back(space: Space, rng: np.random.Generator) -> None:
    flat = space.sample(rng)
    assert space.flatten(space.nest(flat)) == flat
    assert list(flat) == list(space.scalars)
    assert len(flat) == len(space)


@given(spaces, points)
def test_a_sample_is_checked_json_unchanged(space: Space, rng: np.random.Generator) -> None:
    flat = space.sample(rng)
    checked = space.check(json.loads(json.dumps(flat)))
    assert checked == flat
    assert [type(v) for v in checked.values()] == [type(v) for v in flat.values()]


@given(spaces, points)
def test_flat_to_unit_and_back(space: Space, rng: np.random.Generator) -> None:
    flat = space.sample(rng)
    u = space.to_unit(flat)
    assert u.shape == (len(space),)
    assert np.all((u >= -1e-9) & (u <= 1 + 1e-9))
    again = space.from_unit(u)
    for name, value in flat.items():
        if isinstance(space.scalars[name], Float):
            assert again[name] == pytest.approx(value, rel=1e-9, abs=1e-9)
        else:
            assert again[name] == value


@given(floats(), units)
def test_float_unit_round_trip(domain: Float, u: float) -> None:
    assert domain.to_unit(domain.from_unit(u)) == pytest.approx(u, abs=1e-6)


@given(scalars, units)
def test_from_unit_never_leaves_the_range(domain: Scalar, u: float) -> None:
    assert domain.problem_with(domain.from_unit(u)) is None


@given(floats())
def test_float_ends_and_middle(domain: Float) -> None:
    assert domain.from_unit(0.0) == pytest.approx(domain.low)
    assert domain.from_unit(1.0) == pytest.approx(domain.high)
    middle = math.sqrt(domain.low * domain.high) if domain.log else (domain.low + domain.high) / 2
    assert domain.from_unit(0.5) == pytest.approx(middle)


@given(floats(), st.floats(0.05, 0.95))
def test_unit_slope_is_the_derivative(domain: Float, u: float) -> None:
    step = 1e-6
    numeric = (domain.from_unit(u + step) - domain.from_unit(u - step)) / (2 * step)
    assert domain.unit_slope(domain.from_unit(u)) == pytest.approx(numeric, rel=1e-4)


def even(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) / count


@given(ints(widest=9).filter(lambda d: not d.log))
def test_linear_ints_are_uniform(domain: Int) -> None:
    values = range(domain.low, domain.high + 1)
    counts = Counter(domain.from_unit(u) for u in even(100 * len(values)))
    assert set(counts) == set(values)
    assert max(counts.values()) - min(counts.values()) <= 2


@pytest.mark.slow
@given(ints(widest=9).filter(lambda d: d.log))
def test_log_ints_have_the_mass_of_their_interval(domain: Int) -> None:
    counts = Counter(domain.from_unit(u) for u in even(10_000))
    whole = math.log((domain.high + 0.5) / (domain.low - 0.5))
    for value in range(domain.low, domain.high + 1):
        mass = math.log((value + 0.5) / (value - 0.5)) / whole
        assert counts[value] / 10_000 == pytest.approx(mass, abs=3e-4)


@given(categoricals)
def test_choices_are_uniform(domain: Categorical) -> None:
    counts = Counter(domain.from_unit(u) for u in even(100 * len(domain.choices)))
    assert counts == dict.fromkeys(domain.choices, 100)


def test_samples_of_a_log_range_are_uniform_in_the_logarithm() -> None:
    space = Space({"x": Float(1e-4, 1.0, log=True), "y": Float(0.0, 1.0)})
    rng = np.random.default_rng(0)
    samples = [space.sample(rng) for _ in range(4000)]
    assert np.median([s["x"] for s in samples]) == pytest.approx(1e-2, rel=0.2)
    assert np.median([s["y"] for s in samples]) == pytest.approx(0.5, abs=0.03)


def test_equal_generators_give_equal_samples() -> None:
    space = Space({"x": Float(0, 1), "c": Categorical(("a", "b", "c"))})
    one, two = np.random.default_rng(5), np.random.default_rng(5)
    assert [space.sample(one) for _ in range(5)] == [space.sample(two) for _ in range(5)]


def test_check_gives_plain_python_values_in_the_space_s_order() -> None:
    space = Space(
        {"x": Float(0, 1), "n": Int(1, 5), "c": Categorical(("a", "b")), "b": Categorical((0, 1))}
    )
    given_ = {"b": np.True_, "c": np.str_("b"), "n": np.int64(3), "x": np.float32(0.5)}
    checked = space.check(given_)
    assert checked == {"x": 0.5, "n": 3, "c": "b", "b": 1}
    assert list(checked) == ["x", "n", "c", "b"]
    assert [type(v) for v in checked.values()] == [float, int, str, int]


def test_the_largest_whole_numbers_are_as_wide_as_the_others() -> None:
    two = Int(2**52 - 2, 2**52 - 1)
    assert [two.to_unit(number) for number in (two.low, two.high)] == [0.25, 0.75]
    assert [two.from_unit(u) for u in (0.2, 0.8)] == [two.low, two.high]


def test_whole_bounds_of_a_float_still_give_floats() -> None:
    assert all(type(Float(0, 1).from_unit(u)) is float for u in (-0.1, 0.0, 0.5, 1.0, 1.1))


def test_a_space_pickles() -> None:
    space = Space({"x": Vector(2, Float(0, 1))})
    assert pickle.loads(pickle.dumps(space)) == space
    assert list(pickle.loads(pickle.dumps(space)).scalars) == ["x_0", "x_1"]


def test_describe_says_the_prior() -> None:
    space = Space(
        {
            "learning_rate": Vector(7, Float(1e-3, 3.0, log=True)),
            "batch": Int(1, 9),
            "act": Categorical(("relu", "tanh")),
        }
    )
    assert space.describe() == {
        "learning_rate": "7 × log 0.001 … 3",
        "batch": "whole numbers, linear 1 … 9",
        "act": "one of relu, tanh",
    }


def test_the_docstring_holds() -> None:
    assert doctest.testmod(searchers.space).failed == 0


SPACE = Space({"x": Float(0, 1), "v": Vector(2, Int(1, 3)), "c": Categorical(("a", "b"))})
FINE = {"x": 0.5, "v_0": 1, "v_1": 3, "c": "a"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x": 1.1}, r"x is 1.1, outside \[0, 1\]"),
        ({"x": float("nan")}, "x is nan, outside"),
        ({"x": "0.5"}, "x is '0.5', not a number"),
        ({"x": True}, "x is True, not a number"),
        ({"x": np.zeros((30, 30))}, "x is array"),
        ({"v_1": 4}, r"v_1 is 4, outside \[1, 3\]"),
        ({"v_1": 2.0}, "v_1 is 2.0, not a whole number"),
        ({"c": "d"}, r"c is 'd', not one of \('a', 'b'\)"),
        ({"c": np.zeros((30, 30))}, "c is array"),
        ({"c": ["a"]}, r"c is \['a'\]"),
        ({"y": 1}, "unknown: y; this space has x, v_0, v_1, c"),
        ({7: 1, "z": 2}, "unknown: 7, z"),
    ],
)
def test_a_bad_configuration_is_one_line(change: dict[Any, Any], says: str) -> None:
    with pytest.raises(SpaceError, match=says) as error:
        SPACE.check({**FINE, **change})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("nested", "says"),
    [
        ({"x": 0.5, "c": "a"}, "missing: v"),
        ({"x": 0.5, "v": (1,), "c": "a"}, r"v needs 2 values, not \(1,\)"),
        ({"x": 0.5, "v": 1, "c": "a"}, "v needs 2 values, not 1"),
        ({"x": 0.5, "v": np.ones((40, 40)), "c": "a"}, "v needs 2 values, not array"),
        ({"x": 0.5, "v": (1, 9), "c": "a"}, "v_1 is 9, outside"),
    ],
)
def test_a_bad_nested_configuration_is_one_line(nested: dict[str, Any], says: str) -> None:
    with pytest.raises(SpaceError, match=says) as error:
        SPACE.flatten(nested)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Float(1, 1), "not below"),
        (lambda: Float(0, math.inf), "finite"),
        (lambda: Float(0, 1, log=True), "a log range starts above 0, not at 0"),
        (lambda: Float("0", 1), "finite numbers"),  # type: ignore[arg-type]
        (lambda: Float(-1e308, 1.7e308), "too wide"),
        (lambda: Float(1e10, math.nextafter(1e10, 2e10), log=True), "too narrow"),
        (lambda: Int(1, 2.5), "whole bounds"),  # type: ignore[arg-type]
        (lambda: Int(0, 5, log=True), "above 0"),
        (lambda: Int(0, 2**52), "below"),
        (lambda: Int(-(2**52), 0), "below"),
        (lambda: Categorical(("a",)), "at least two"),
        (lambda: Categorical((1, True)), "twice"),
        (lambda: Categorical((1.0, math.nan)), "finite"),
        (lambda: Categorical((1, None)), "strings, numbers or booleans"),  # type: ignore[arg-type]
        (lambda: Vector(0, Float(0, 1)), "at least 1"),
        (lambda: Vector(2, Vector(2, Float(0, 1))), "holds"),  # type: ignore[arg-type]
        (lambda: Space({}), "at least one domain"),
        (lambda: Space({"a b": Float(0, 1)}), "identifier"),
        (lambda: Space({"a": (0, 1)}), "a: expected Float"),  # type: ignore[dict-item]
        (lambda: Space({"a": Vector(2, Float(0, 1)), "a_1": Int(0, 1)}), "a_1: two domains"),
    ],
)
def test_a_bad_domain_is_one_line(build: Any, says: str) -> None:
    with pytest.raises(SpaceError, match=says) as error:
        build()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("of", [np.float64, np.float32, torch.tensor], ids=["f64", "f32", "torch"])
def test_numbers_of_other_libraries_are_bounds_choices_and_values(of: Any) -> None:
    whole = np.int64 if of is not torch.tensor else torch.tensor
    meant = Space(
        {
            "x": Vector(3, Float(0.25, 4.0, log=True)),
            "n": Int(2, 5),
            "c": Categorical((1, 0.5, "a")),
        }
    )
    made = Space(
        {
            "x": Vector(whole(3), Float(of(0.25), of(4.0), log=np.bool_(True))),
            "n": Int(whole(2), whole(5)),
            "c": Categorical((whole(1), of(0.5), np.str_("a"))),
        }
    )
    assert repr(made) == repr(meant)
    for several in (np.full(3, 0.5), torch.full((3,), 0.5), [of(0.5)] * 3):
        flat = made.flatten({"x": several, "n": whole(3), "c": of(0.5)})
        assert flat == {"x_0": 0.5, "x_1": 0.5, "x_2": 0.5, "n": 3, "c": 0.5}
        assert {type(value) for value in flat.values()} == {float, int}
