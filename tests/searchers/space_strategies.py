"""Random search spaces, for property tests, and ranges at the edge of what floats hold."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from searchers.space import Categorical, Float, Int, Space, Vector

NAMES = ("learning_rate", "momentum", "weight_decay", "batch_size", "zeta", "alpha")


@st.composite
def floats(draw: st.DrawFn) -> Float:
    if draw(st.booleans()):
        low = 10 ** draw(st.floats(-6, 2))
        return Float(low, low * 10 ** draw(st.floats(0.1, 6)), log=True)
    low = draw(st.floats(-1e3, 1e3))
    return Float(low, low + draw(st.floats(1e-3, 1e4)))


@st.composite
def ints(draw: st.DrawFn, widest: int = 5) -> Int:
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -50, 50))
    return Int(low, low + draw(st.integers(1, widest)), log=log)


choices = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-10, 10),
    st.text("abc 'ü\n", max_size=3),
)
categoricals = st.lists(choices, min_size=2, max_size=4, unique=True).map(
    lambda values: Categorical(tuple(values))
)
scalars = st.one_of(floats(), ints(), categoricals)
domains = st.one_of(scalars, st.builds(Vector, st.integers(1, 3), scalars))
spaces = st.dictionaries(st.sampled_from(NAMES), domains, min_size=1, max_size=4).map(Space)

LARGEST = 2**52 - 1

EXTREMES: dict[str, Float | Int | Categorical] = {
    "small": Float(1e-12, 1e-1, log=True),
    "tiny": Float(1e-300, 1e-290, log=True),
    "least": Float(5e-324, 1e-300, log=True),
    "wide": Float(1e-12, 1e12, log=True),
    "widest": Float(1e-307, 1e307, log=True),
    "narrow": Float(1.0, math.nextafter(1.0, 2.0)),
    "narrow_log": Float(2.0, 2.0 + 1e-14, log=True),
    "narrowest": Float(0.0, 5e-324),
    "far": Float(-1e10, math.nextafter(-1e10, 0.0)),
    "huge": Float(-8e307, 8e307),
    "fine": Float(0.0, 1e-300),
    "whole": Int(-LARGEST, LARGEST),
    "whole_log": Int(1, LARGEST, log=True),
    "whole_far": Int(LARGEST - 1, LARGEST),
    "two_log": Int(1, 2, log=True),
    "choices": Categorical((1e300, -1e300, 5e-324, "x", True)),
}
"""By name: ranges that a space accepts and other libraries' own words for them would not hold."""
