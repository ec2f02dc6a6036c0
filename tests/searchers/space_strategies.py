"""Random search spaces, for property tests."""

from __future__ import annotations

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
