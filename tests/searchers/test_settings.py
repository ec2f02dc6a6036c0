"""Settings that make no sense are refused when they are given, in one line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from searchers import FDS, HD, RMD, AdamDescent, FDSPublished, GradientDescent, Greedy, SignDescent
from searchers.errors import SearcherError
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Binomial, Checkpointed, Stored
from searchers.hypergradients.reversible import Reversible
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
]


@pytest.mark.parametrize(("make", "line"), NONSENSE)
def test_nonsense_is_refused(make: Callable[[], object], line: str) -> None:
    with pytest.raises(SearcherError, match=line) as caught:
        make()
    assert "\n" not in str(caught.value)
