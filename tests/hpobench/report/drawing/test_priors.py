"""What the page reads of a search space in `study.json`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.report.drawing.priors import priors_of
from searchers.schedule_bases import Linear
from searchers.space import Categorical, Float, Int, Space, Vector

ends = st.tuples(st.floats(1e-6, 1e3), st.floats(1.5, 1e3)).map(lambda e: (e[0], e[0] * e[1]))
numbers = st.builds(lambda e, log: Float(*e, log=log), ends, st.booleans())
wholes = st.builds(
    lambda low, more, log: Int(low, low + more, log), *[st.integers(1, 99)] * 2, st.booleans()
)
choices = st.sampled_from([Categorical(("relu", "tanh")), Categorical((False, True))])
scalars = numbers | wholes | choices
domains = scalars | st.builds(Vector, st.integers(1, 9), scalars)


@given(st.dictionaries(st.sampled_from("abcde"), domains, min_size=1))
def test_a_prior_is_what_its_space_says(found) -> None:
    space = Space(found)
    priors = priors_of({"space": space.describe()})
    assert [name for prior in priors for name in prior.names] == list(space.scalars)
    assert [prior.name for prior in priors] == list(found)
    rng = np.random.default_rng(0)
    drawn = space.sample(rng)
    for prior in priors:
        domain = space.scalars[prior.names[0]]
        if isinstance(domain, Categorical):
            assert prior.place(domain.choices).tolist() == [0, 1]
        else:
            assert (prior.low, prior.high) == pytest.approx((domain.low, domain.high), rel=1e-5)
            assert prior.place([prior.low, prior.high]).tolist() == [0, 1]
            if isinstance(domain, Float):
                value = drawn[prior.names[0]]
                place = domain.to_unit(value)
                assert prior.place([value]) == pytest.approx([place], abs=2e-4 + 1e-4 * place)


def test_other_bases_than_windows_are_told_apart() -> None:
    space = Space({"a": Vector(3, Float(1, 2), Linear()), "b": Float(0, 1)})
    first, second = priors_of({"space": space.describe()})
    assert (first.names, first.windows) == (("a_0", "a_1", "a_2"), False)
    assert (second.names, second.windows) == (("b",), True)
    (unknown,) = priors_of({"space": {"a": "whatever"}})
    assert unknown.choices == ()
