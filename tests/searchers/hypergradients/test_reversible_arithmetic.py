"""Multiplication by a ratio, exactly reversible: laws over random ratios, values and lengths."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from searchers.errors import SearcherError
from searchers.hypergradients.reversible_arithmetic import (
    BLOCK,
    LARGEST,
    LARGEST_DENOMINATOR,
    InformationBuffer,
    OutOfRange,
    as_ratio,
    check_range,
    to_integers,
)

extremes = st.sampled_from([0, 1, -1, LARGEST - 1, 1 - LARGEST, 2**32, -(2**32), 2**49 - 1])
whole_numbers = st.integers(1 - LARGEST, LARGEST - 1) | st.integers(-2000, 2000) | extremes
vectors = st.lists(whole_numbers, min_size=1, max_size=40)
denominators = st.integers(1, 1000) | st.just(LARGEST_DENOMINATOR)
ratios = denominators.flatmap(lambda d: st.integers(1, d).map(lambda n: Fraction(n, d)))


def tensor(values: list[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@settings(max_examples=200)
@given(vectors, st.lists(ratios, min_size=1, max_size=40), st.randoms(use_true_random=False))
@pytest.mark.slow
def test_everything_comes_back_bit_for_bit(values, steps, random):
    """Through multiplications and additions, values, words and spilled words are undone."""
    buffer, v = InformationBuffer(len(values)), tensor(values)
    before, added = [], []
    for ratio in steps:
        before.append((v.clone(), buffer.word.clone(), buffer.bound, len(buffer.spilled)))
        buffer.multiply(v, ratio)
        room = [LARGEST - 1 - abs(int(x)) for x in v]
        increment = tensor([random.randint(-max(r, 0), max(r, 0)) for r in room])
        added.append(increment)
        v = v + increment
    for (old, word, bound, spilled), increment in zip(
        reversed(before), reversed(added), strict=True
    ):
        v.sub_(increment)
        buffer.undo(v)
        assert torch.equal(v, old)
        assert torch.equal(buffer.word, word)
        assert (buffer.bound, len(buffer.spilled)) == (bound, spilled)
    assert buffer.empty


@settings(max_examples=200)
@given(vectors, st.lists(ratios, min_size=1, max_size=40))
@pytest.mark.slow
def test_it_is_whole_number_arithmetic(values, steps):
    """Float64 agrees with Python's integers at every step, whatever the size and the sign."""
    buffer, v = InformationBuffer(len(values)), tensor(values)
    expected, words = list(values), [0] * len(values)
    for ratio in steps:
        n, d = ratio.numerator, ratio.denominator
        if buffer.bound * d + d - 1 >= LARGEST:
            words = [word >> 32 for word in words]
        buffer.multiply(v, ratio)
        if n != d:
            for i, (x, word) in enumerate(zip(expected, words, strict=True)):
                q, r = divmod(x, d)
                words[i], s = divmod(word * d + r, n)
                expected[i] = q * n + s
        assert [int(x) for x in v] == expected
        assert [int(x) for x in buffer.word] == words
        assert max(words) <= buffer.bound < LARGEST


@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
def test_long_vectors_are_whole_number_arithmetic_too(size):
    stream = torch.Generator().manual_seed(size)
    values = torch.randint(1 - LARGEST, LARGEST, (size,), generator=stream)
    buffer, v = InformationBuffer(size), values.double()
    expected, words = values.clone(), torch.zeros(size, dtype=torch.int64)
    for _ in range(20):
        buffer.multiply(v, Fraction(49, 50))
        words = words * 50 + expected % 50
        expected = expected // 50 * 49 + words % 49
        words = words // 49
        assert torch.equal(v.long(), expected)
        assert torch.equal(buffer.word.long(), words)
    for _ in range(20):
        buffer.undo(v)
    assert torch.equal(v.long(), values)
    assert buffer.empty


@settings(max_examples=200)
@given(vectors, ratios)
def test_the_product_is_within_the_numerator_of_the_ratio(values, ratio):
    product = tensor(values)
    InformationBuffer(len(values)).multiply(product, ratio)
    for x, y in zip(values, product, strict=True):
        assert abs(int(y) - x * ratio) <= ratio.numerator


@pytest.mark.parametrize(("momentum", "steps"), [(0.9, 1000), (0.98, 3000), (0.5, 300), (1, 50)])
def test_it_holds_little_more_than_the_lost_information(momentum, steps):
    ratio = as_ratio(momentum)
    buffer = InformationBuffer(1)
    v = tensor([12345])
    for _ in range(steps):
        buffer.multiply(v, ratio)
    lost = steps * math.log2(1 / ratio)
    start = math.log2(ratio.denominator)  # what filling an empty word costs, once
    assert 64 <= buffer.bits() <= lost + 64 + start + 32


def test_at_a_momentum_of_0_9_it_grows_by_less_than_a_fifth_of_a_bit_a_step():
    buffer, v = InformationBuffer(3), tensor([2**40, -(2**40), 7])
    for step in range(5000):
        buffer.multiply(v, as_ratio(0.9))
        v.add_((step * 7919) % 104729)
    assert buffer.bits() / 3 / 5000 <= 0.165
    for step in reversed(range(5000)):
        v.sub_((step * 7919) % 104729)
        buffer.undo(v)
    assert v.tolist() == [2**40, -(2**40), 7]
    assert buffer.empty


def test_spills_do_not_depend_on_what_the_words_hold():
    small, large = InformationBuffer(1), InformationBuffer(1)
    v, u = tensor([0]), tensor([LARGEST - 1])
    for _ in range(700):
        small.multiply(v, Fraction(9, 10))
        large.multiply(u, Fraction(9, 10))
        assert len(small.spilled) == len(large.spilled)
    assert small.spilled


@given(st.floats(0.001, 1), st.integers(1, 5000))
def test_a_ratio_is_the_nearest(momentum, largest):
    if momentum * largest <= 0.5:
        with pytest.raises(SearcherError, match="checkpointed"):
            as_ratio(momentum, largest)
        return
    ratio = as_ratio(momentum, largest)
    assert ratio.denominator <= largest
    nearest = min(abs(momentum - round(momentum * d) / d) for d in range(1, largest + 1))
    assert abs(float(ratio) - momentum) <= nearest + 1e-15


def test_known_ratios():
    assert as_ratio(0.9) == Fraction(9, 10)
    assert as_ratio(0.98) == Fraction(49, 50)
    assert as_ratio(1) == 1


@pytest.mark.parametrize("momentum", [0, 1e-5, -0.1, 1.01, math.nan, math.inf])
def test_a_momentum_that_cannot_be_reversed_is_refused(momentum):
    with pytest.raises(SearcherError, match="use the checkpointed engine") as refusal:
        as_ratio(momentum)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("largest", [0, LARGEST_DENOMINATOR + 1])
def test_a_denominator_that_cannot_be_worked_with_is_refused(largest):
    with pytest.raises(SearcherError, match="choose one from 1 to 65536"):
        as_ratio(0.9, largest)


@pytest.mark.parametrize("value", [1024.0, -1024.0, 1e30, math.inf, -math.inf, math.nan])
def test_what_does_not_fit_is_refused(value):
    with pytest.raises(OutOfRange, match=r"left the range .* ±1024"):
        to_integers(torch.tensor([0.5, value, -3.0]), 40)


def test_the_range_is_of_each_number_not_of_their_norm():
    many = torch.full((10_000,), float(LARGEST - 1), dtype=torch.float64)
    check_range(many, 40, "w")
    many[77] = -float(LARGEST)
    with pytest.raises(OutOfRange, match="left the range"):
        check_range(many, 40, "w")


@given(st.lists(st.floats(-900, 900, width=32), min_size=1, max_size=20))
def test_integers_are_the_nearest(values):
    integers = to_integers(torch.tensor(values), 40)
    assert integers.dtype == torch.float64
    for x, i in zip(values, integers.tolist(), strict=True):
        assert i == round(Fraction(x) * 2**40)
