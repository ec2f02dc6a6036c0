"""Hyperband's brackets, simulated with trainings that take random times."""

from __future__ import annotations

import doctest
import heapq
import math
import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import searchers.black_box.brackets
from searchers.black_box.brackets import Brackets, RungJob, shapes
from searchers.black_box.hyperband import Hyperband
from searchers.errors import SearcherError
from searchers.protocols import Job
from searchers.testing.black_box import example_brief

budget_lists = st.lists(st.integers(1, 200), min_size=1, max_size=4, unique=True).map(
    lambda epochs: tuple(sorted(epochs))
)


@given(budget_lists, st.integers(2, 5))
def test_shapes_follow_li_et_al(budgets: tuple[int, ...], eta: int) -> None:
    s_max = len(budgets) - 1
    expected = []
    for s in range(s_max, -1, -1):
        first = math.ceil(Fraction(s_max + 1, s + 1) * eta**s)
        sizes = [max(1, first // eta**i) for i in range(s + 1)]
        expected.append(list(zip(sizes, budgets[s_max - s :], strict=True)))
    assert shapes(budgets, eta) == expected


def test_the_docstring_holds() -> None:
    assert doctest.testmod(searchers.black_box.brackets).failed == 0


def test_counts_follow_eta_and_epochs_the_budgets() -> None:
    assert shapes((2, 5, 40), eta=3) == [
        [(9, 2), (3, 5), (1, 40)],
        [(5, 5), (1, 40)],
        [(3, 40)],
    ]
    assert shapes((7,), eta=3) == [[(1, 7)]]
    assert shapes((1, 2, 4, 8), eta=2)[0] == [(8, 1), (4, 2), (2, 4), (1, 8)]


def simulate(
    budgets: tuple[int, ...], eta: int, width: int, jobs: int, rng: random.Random, levels: int
) -> tuple[Brackets, list[tuple[RungJob, float]]]:
    """``width`` slots, never one idle; durations and losses (of few ``levels``: ties) random."""
    brackets = Brackets(budgets, eta)
    running: list[tuple[float, int, RungJob]] = []
    told: list[tuple[RungJob, float]] = []
    now = 0.0
    for n in range(jobs):
        if len(running) == width:
            now, _, slot = heapq.heappop(running)
            told.append((slot, float(rng.randrange(levels))))
            brackets.record(*told[-1])
        slot = brackets.next()
        assert slot.epochs in budgets
        heapq.heappush(running, (now + rng.expovariate(1 / slot.epochs), n, slot))
    return brackets, told


@settings(max_examples=60)
@given(budget_lists, st.integers(2, 4), st.sampled_from([1, 2, 4, 9]), st.randoms(), st.data())
def test_every_finished_bracket_has_its_shape_and_promotes_the_best(
    budgets: tuple[int, ...], eta: int, width: int, rng: random.Random, data: st.DataObject
) -> None:
    round_ = shapes(budgets, eta)
    jobs = 3 * sum(size for shape in round_ for size, _ in shape) + 20
    levels = data.draw(st.sampled_from([1, 3, 10**9]))
    brackets, told = simulate(budgets, eta, width, jobs, rng, levels)

    assert len({slot for slot, _ in told}) == len(told)  # nothing runs twice
    loss = dict(told)
    assert len(brackets.complete) >= len(round_)  # and nothing hangs
    counts = Counter(
        tuple((rung.size, rung.epochs) for rung in bracket.rungs) for bracket in brackets.complete
    )
    assert set(counts) <= {tuple(shape) for shape in round_}
    for bracket in brackets.complete:
        for rung, following in zip(bracket.rungs, bracket.rungs[1:], strict=False):
            assert len(rung.members) == len(rung.losses) == rung.size
            by_loss = sorted(rung.members, key=lambda t: (loss[RungJob(t, rung.epochs)], t))
            assert following.members == by_loss[: following.size]
        last = bracket.rungs[-1]
        assert set(last.losses) == set(last.members)
        assert len(last.members) == last.size


@settings(max_examples=30)
@given(st.sampled_from([1, 2, 4]), st.randoms())
def test_brackets_finish_in_equal_numbers(width: int, rng: random.Random) -> None:
    """At any width the mix of budgets is Hyperband's: 9, 8 and 5 trainings a round, open
    brackets aside."""
    brackets, told = simulate((1, 3, 9), 3, width, 22 * 10, rng, 10**9)
    counts = Counter(bracket.rungs[0].size for bracket in brackets.complete)
    assert all(8 <= counts[size] <= 12 for size in (9, 5, 3))
    per_budget = Counter(slot.epochs for slot, _ in told)
    assert per_budget[9] == pytest.approx(50, abs=8)


def test_one_slot_goes_through_the_brackets_in_order() -> None:
    _, told = simulate((1, 3, 9), 3, 1, 45, random.Random(0), 10**9)
    epochs = [slot.epochs for slot, _ in told]
    assert epochs == 2 * ([1] * 9 + [3] * 3 + [9] + [3] * 5 + [9] + [9] * 3)


def test_a_waiting_rung_leaves_no_slot_idle() -> None:
    brackets = Brackets((1, 3, 9), 3)
    slots = [brackets.next() for _ in range(12)]
    assert slots == [RungJob(t, 1) for t in range(9)] + [RungJob(t, 3) for t in (9, 10, 11)]
    for slot in slots[:9]:
        brackets.record(slot, -float(slot.training))
    assert [brackets.next() for _ in range(4)] == [
        RungJob(8, 3),
        RungJob(7, 3),
        RungJob(6, 3),
        RungJob(12, 3),
    ]


def test_a_tie_goes_to_the_earlier_training_in_any_order_of_results() -> None:
    brackets = Brackets((1, 3), 3)
    slots = [brackets.next() for _ in range(3)]
    for slot in reversed(slots):
        brackets.record(slot, 0.5)
    assert brackets.next() == RungJob(0, 3)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_hyperband_continues_the_configurations_it_promotes(width: int) -> None:
    brief = example_brief(width=width)
    suggester = Hyperband().suggester(brief)
    rng = random.Random(width)
    out: list[Job] = []
    jobs: list[Job] = []
    for _ in range(66):
        while len(out) < width:
            job = suggester.ask()
            jobs.append(job)
            out.append(job)
        done = out.pop(rng.randrange(len(out)))
        suggester.tell(done, rng.random())
    configurations: dict[int, object] = {}
    for job in jobs:
        assert configurations.setdefault(job.training, job.configuration) == job.configuration
    assert list(configurations) == list(range(len(configurations)))
    assert [j.configuration for j in jobs[:2]] == list(brief.initial)
    assert sum(job.epochs > 1 and job.training < 9 for job in jobs) >= 4  # 3 at 3, 1 at 9
    distinct = {tuple(job.configuration.values()) for job in jobs}
    assert len(distinct) == len(configurations)


def test_all_initial_configurations_go_first_even_beyond_a_bracket() -> None:
    brief = example_brief()
    many = tuple(brief.initial[0] | {"momentum": n / 100} for n in range(20))
    suggester = Hyperband().suggester(replace(brief, initial=many, width=30))
    assert [suggester.ask().configuration for _ in range(20)] == list(many)


@pytest.mark.parametrize("eta", [1, 0, 2.5, True])
def test_a_bad_eta_is_one_line(eta: object) -> None:
    with pytest.raises(SearcherError, match="hyperband: eta is a whole number, 2 or more"):
        Hyperband(eta=eta)  # type: ignore[arg-type]
