"""What follows from why an attempt ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.running.faults import ATTEMPTS, DOUBTFUL, MACHINES, Cause, Verdict, judge

AGAIN = Verdict("void", "again")
GIVEN_UP = Verdict("void", "interrupted")
COUNTS = Verdict("failed", "failed")


@pytest.mark.parametrize(
    ("cause", "earlier", "verdict"),
    [
        ("worker lost", [], AGAIN),
        ("worker lost", ["worker lost"], AGAIN),
        ("worker lost", ["worker lost", "node lost"], GIVEN_UP),
        ("node lost", ["pre-empted"], AGAIN),
        ("pre-empted", ["out of memory", "scheduler stall"], GIVEN_UP),
        ("scheduler stall", [], AGAIN),
        ("damaged file", [], AGAIN),
        ("damaged file", ["worker lost", "worker lost"], GIVEN_UP),
        # resumed after it was given up: three more attempts
        ("worker lost", ["worker lost"] * 3, AGAIN),
        ("worker lost", ["worker lost"] * 5, GIVEN_UP),
        # the third in a row is the configuration's doing
        ("out of memory", [], AGAIN),
        ("out of memory", ["out of memory"], AGAIN),
        ("out of memory", ["out of memory"] * 2, COUNTS),
        ("out of memory", ["out of memory", "worker lost"], GIVEN_UP),
        ("out of memory", ["worker lost", "out of memory", "out of memory"], COUNTS),
        ("training stall", ["training stall"] * 2, COUNTS),
        ("training stall", ["training stall", "out of memory"], GIVEN_UP),
        ("scheduler stall", ["scheduler stall"] * 2, GIVEN_UP),
        ("searcher error", [], COUNTS),
        ("searcher error", ["worker lost"], COUNTS),
        ("diverged", [], COUNTS),
    ],
)
def test_what_follows(cause: Cause, earlier: list[Cause], verdict: Verdict) -> None:
    assert judge(cause, earlier) == verdict


@given(st.lists(st.sampled_from(sorted(MACHINES)), max_size=12))
def test_the_machines_get_three_attempts_and_never_count_unless_in_doubt(
    causes: list[Cause],
) -> None:
    voids: list[Cause] = []
    for cause in causes:
        verdict = judge(cause, voids)
        if verdict == COUNTS:
            assert cause in DOUBTFUL
            assert [*voids, cause][-ATTEMPTS:] == [cause] * ATTEMPTS
            return
        voids.append(cause)
        assert verdict == (GIVEN_UP if len(voids) % ATTEMPTS == 0 else AGAIN)
