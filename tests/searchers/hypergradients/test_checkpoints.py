"""Plans visit every step once on the way back and keep no more than they may."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from searchers.hypergradients.checkpoints import (
    Advance,
    Plan,
    binomial,
    lightest_segment,
    segments,
)


def followed(plan: Plan) -> tuple[list[int], int, int, int]:
    """Steps gone back through, in order; steps advanced over; most states, most graphs at once."""
    kept, back, advanced, states, graphs = {0}, [], 0, 1, 0
    for action in plan:
        assert action.begin in kept
        assert action.begin < action.end
        if isinstance(action, Advance):
            kept |= set(action.keep)
            advanced += action.end - action.begin
            states = max(states, len(kept))
        else:
            kept.remove(action.begin)
            back += reversed(range(action.begin, action.end))
            graphs = max(graphs, action.end - action.begin)
    assert not kept
    return back, advanced, states, graphs


@given(st.integers(1, 300), st.integers(1, 300))
def test_segments(steps: int, length: int) -> None:
    back, advanced, states, graphs = followed(segments(steps, length))
    assert back == list(reversed(range(steps)))
    assert advanced < steps
    assert graphs == min(length, steps)
    assert states == math.ceil(steps / length)


@given(st.integers(1, 300), st.integers(1, 8), st.integers(1, 5))
def test_binomial(steps: int, slots: int, length: int) -> None:
    back, _, states, graphs = followed(binomial(0, steps, slots, length))
    assert back == list(reversed(range(steps)))
    assert graphs <= length
    assert states <= slots + 1


def test_binomial_repeats_as_little_as_can_be() -> None:
    """Griewank's bound: (c + r choose c) steps with c checkpoints and r repetitions of any step."""
    for slots in (2, 3, 5):
        for repeats in (2, 3):
            steps = math.comb(slots + repeats, slots)
            _, advanced, *_ = followed(binomial(0, steps, slots))
            # The fewest forward steps, Griewank & Walther (2000), equation 3
            fewest = repeats * steps - math.comb(slots + repeats, repeats - 1)
            assert advanced == fewest, (slots, repeats)


@given(st.integers(1, 100_000), st.integers(1, 10**6), st.integers(1, 10**7))
def test_the_lightest_segment_grows_as_the_root(steps: int, state: int, graph: int) -> None:
    length = lightest_segment(steps, state, graph)
    assert 1 <= length <= steps

    def memory(each: int) -> float:
        return steps / each * state + each * graph

    for other in (length - 1, length + 1, 1, steps):
        if 1 <= other <= steps:
            assert memory(length) <= 1.5 * memory(other)
