"""Settings that make no sense are refused when they are given, in one line."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from searchers import (
    BOHB,
    FDS,
    HD,
    RMD,
    TPE,
    AdamDescent,
    BayesianOptimization,
    FDSPublished,
    GradientDescent,
    Greedy,
    GridSearch,
    Hyperband,
    SignDescent,
)
from searchers.errors import SearcherError
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Binomial, Checkpointed, Stored
from searchers.hypergradients.reversible import Reversible
from searchers.settings import not_finite, plain
from searchers.update_rules import SGD

NONSENSE: list[tuple[Callable[[], object], str]] = [
    (lambda: FDS(engine="stored"), "engine is Auto"),
    (lambda: FDS(engine=Stored), "engine is Auto"),
    (lambda: FDS(outer="sgd"), "outer is SignDescent"),
    (lambda: FDS(warm_steps=1.5), "warm_steps is a whole number, 0 or more, not 1.5"),
    (lambda: FDS(tolerance=-1), "tolerance is a number above 1"),
    (lambda: FDS(tolerance=float("nan")), "tolerance is a number above 1"),
    (lambda: FDS(draws=9), "most_draws is a whole number, 9 or more, not 8"),
    (lambda: RMD(outer=None), "outer is AdamDescent"),
    (lambda: Greedy(horizon=2.5), "horizon is a whole number"),
    (lambda: HD(additive_beta=(-1, 1)), "lowest additive_beta"),
    (lambda: HD(additive_beta=(1, 0.1)), "lowest additive_beta"),
    (lambda: FDSPublished(clamp=0), "clamp is a number above 0"),
    (lambda: Auto(memory=-5), "memory, in bytes, is a whole number"),
    (lambda: Checkpointed(segment=2.5), "segment, .* is a whole number"),
    (lambda: Binomial(1.5), "slots, .* is a whole number"),
    (lambda: Forward(chunk=2.5), "chunk, .* is a whole number"),
    (lambda: Forward(clamp=-1), "clamp is a number above 0"),
    (lambda: Reversible(fraction_bits=20.5), "1 to 49 fraction bits"),
    (lambda: SGD(clamp=-1.0), "clamp is a number above 0"),
    (lambda: SignDescent(step=0), "an outer step, .* above 0, at most 1"),
    (lambda: AdamDescent(step=1.5), "an outer step"),
    (lambda: GradientDescent(step=float("nan")), "an outer step"),
    (lambda: AdamDescent(betas=0.9), "the betas of Adam are two numbers"),
    (lambda: HD(additive_beta=1e-3), "additive_beta are two numbers"),
    (lambda: HD(multiplicative_beta=(1e-3, math.inf)), "multiplicative_beta are two numbers"),
    (lambda: BOHB(bandwidth_factor=math.inf), "bohb: bandwidth_factor is a number above 0"),
    (lambda: BOHB(candidates=0), "bohb: candidates is a whole number, 1 or more"),
    (lambda: BOHB(random_fraction=math.nan), "random_fraction is in"),
    (lambda: BOHB(top_percent="15"), "top_percent is in"),
]


PLAIN = [
    (
        BOHB(eta=4, top_percent=20, random_fraction=0.25),
        lambda of: BOHB(of(4), None, of(20), 64, of(0.25)),
    ),
    (GridSearch(5, decay=4.0), lambda of: GridSearch(of(5), decay=of(4.0))),
    (Hyperband(4), lambda of: Hyperband(of(4))),
    (TPE(5, 12), lambda of: TPE(of(5), of(12))),
    (BayesianOptimization(7), lambda of: BayesianOptimization(of(7))),
    (
        FDS(SignDescent(0.25), engine=Forward(clamp=2.0, chunk=3), warm_steps=2),
        lambda of: FDS(
            SignDescent(of(0.25)), engine=Forward(clamp=of(2.0), chunk=of(3)), warm_steps=of(2)
        ),
    ),
    (HD((0.25, 0.5)), lambda of: HD((of(0.25), of(0.5)))),
    (RMD(AdamDescent(0.5, (0.5, 0.75))), lambda of: RMD(AdamDescent(of(0.5), [of(0.5), of(0.75)]))),
    (Greedy(3, engine=Checkpointed(4)), lambda of: Greedy(of(3), engine=Checkpointed(of(4)))),
    (FDSPublished(clamp=2.0), lambda of: FDSPublished(clamp=of(2.0))),
    (SGD(clamp=2.0), lambda of: SGD(clamp=of(2.0))),
]
"""What is set, and the same from another library's numbers."""


@pytest.mark.parametrize(("make", "line"), NONSENSE)
def test_nonsense_is_refused(make: Callable[[], object], line: str) -> None:
    with pytest.raises(SearcherError, match=line) as caught:
        make()
    assert "\n" not in str(caught.value)


def of_numpy(value: float) -> Any:
    return np.int64(value) if isinstance(value, int) else np.float32(value)


@pytest.mark.parametrize("of", [of_numpy, torch.tensor, np.array], ids=["numpy", "torch", "array"])
@pytest.mark.parametrize(("meant", "make"), PLAIN)
def test_numbers_of_other_libraries_are_settings(
    meant: object, make: Callable[[Any], object], of: Callable[[float], Any]
) -> None:
    made = make(of)
    assert repr(made).replace("[", "(").replace("]", ")") == repr(meant)  # each a plain one
    assert pickle.loads(pickle.dumps(made)) == made


def test_a_tensor_that_is_given_as_a_setting_stays_its_givers() -> None:
    clamp = torch.tensor(2.0)
    rule = SGD(clamp=clamp)
    clamp.fill_(3.0)
    assert rule.clamp == 2.0


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (np.int8(3), 3),
        (np.float16(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array([3]), 3),
        (torch.tensor([0.5], dtype=torch.bfloat16, requires_grad=True), 0.5),
        (Fraction(1, 2), 0.5),
        ((np.int64(1), [torch.tensor(2)]), (1, [2])),
        (True, True),
        ("3", "3"),
        (None, None),
    ],
)
def test_plain(value: object, becomes: object) -> None:
    found = plain(value)
    assert found == becomes
    assert type(found) is type(becomes)


@pytest.mark.parametrize("value", [np.arange(2), torch.ones(2, 2), object(), {"a": np.int64(1)}])
def test_what_is_no_number_stays_what_it_is(value: object) -> None:
    assert plain(value) is value


def test_a_setting_or_a_part_that_is_not_finite_is_named() -> None:
    @dataclass(frozen=True)
    class Part:
        step: Any = 1.0

    @dataclass(frozen=True)
    class Own:
        part: Part
        several: tuple[float, ...] = (1.0,)

    assert not_finite(Own(Part())) is None
    assert not_finite(Own(Part(torch.tensor(math.inf)))) == "part.step"
    assert not_finite(Own(Part(), (1.0, math.nan))) == "several"
