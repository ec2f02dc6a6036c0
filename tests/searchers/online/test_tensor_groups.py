"""Gradients that are remembered without a copy: the same numbers, and never wrong ones."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from searchers.online import SGD, Adam, RMSProp, Tower, level_state

SHAPES = [(3, 4), (4,), (4, 2)]
FRESH, IN_PLACE, GROWING = "set to None", "zeroed in place", "never zeroed"
modes = pytest.mark.parametrize("mode", [FRESH, IN_PLACE, GROWING])


class Run:
    """A training by autograd, in float64, whose gradients are handled in different ways."""

    def __init__(self, height: int = 3) -> None:
        generator = torch.Generator().manual_seed(0)
        start = [torch.randn(s, generator=generator, dtype=torch.float64) for s in SHAPES]
        self.inputs = torch.randn(60, 5, 3, generator=generator, dtype=torch.float64)
        self.params = [nn.Parameter(w) for w in start]
        self.tower = Tower(self.params, [SGD(0.01), SGD(1e-5), *[SGD(1e-9)] * (height - 2)])

    def backward(self, step: int, without: Sequence[int] = ()) -> None:
        a, b, c = (p.detach() if i in without else p for i, p in enumerate(self.params))
        (torch.tanh(self.inputs[step] @ a + b) @ c - 1).square().mean().backward()

    def steps(self, mode: str, steps: range, without: Sequence[int] = ()) -> list[float]:
        rates = []
        for step in steps:
            if mode != GROWING:
                self.tower.zero_grad(set_to_none=mode == FRESH)
            self.backward(step, without)
            self.tower.step()
            rates.append(self.tower.param_groups[0]["lr"])
        return rates

    @property
    def kept(self) -> list[bool]:
        """Of which parameters the state is the gradient itself."""
        return [self.tower.state[p]["direction"] is p.grad for p in self.params]

    @property
    def skipped(self) -> int:
        return self.tower.param_groups[0]["skipped"]

    def same(self, other: Run) -> bool:
        ours, theirs = self.tower.hyperparameters(), other.tower.hyperparameters()
        return ours == theirs and all(map(torch.equal, self.params, other.params))


def by_hand(mode: str, steps: int) -> tuple[list[Tensor], list[float]]:
    """SGD-HD with copies."""
    run = Run(2)
    lr, last, rates = 0.01, None, []
    for step in range(steps):
        if mode != GROWING:
            run.tower.zero_grad()
        run.backward(step)
        gradients = [p.grad.clone() for p in run.params if p.grad is not None]
        if last is not None:
            lr += 1e-5 * sum(float((g * u).sum()) for g, u in zip(gradients, last, strict=True))
        for p, g in zip(run.params, gradients, strict=True):
            p.data.sub_(g, alpha=lr)
        last = gradients
        rates.append(lr)
    return [p.detach() for p in run.params], rates


@modes
def test_it_is_hypergradient_descent_however_gradients_are_zeroed(mode: str) -> None:
    run = Run(2)
    weights, rates = by_hand(mode, 10)
    assert run.steps(mode, range(10)) == pytest.approx(rates, rel=1e-12)
    for found, expected in zip(run.params, weights, strict=True):
        torch.testing.assert_close(found.detach(), expected, rtol=1e-12, atol=1e-12)
    assert run.kept == [mode == FRESH] * 3
    assert run.skipped == 0


def test_the_first_gradient_is_copied_and_the_second_is_not() -> None:
    run = Run()
    run.steps(FRESH, range(1))
    assert run.kept == [False] * 3
    run.steps(FRESH, range(1, 2))
    assert run.kept == [True] * 3


@pytest.mark.parametrize("other", [IN_PLACE, GROWING])
def test_a_gradient_that_is_lost_costs_one_hyper_update_and_is_counted(other: str) -> None:
    """Switched to writing in place after gradients were kept: one left out, copies ever after."""
    run = Run()
    before = run.steps(FRESH, range(4))[-1]
    assert run.steps(other, range(4, 5)) == [before]
    assert run.skipped == 1
    assert math.isnan(run.tower.param_groups[0]["hypergradient"][0])
    rates = run.steps(other, range(5, 8))
    assert run.skipped == 1
    assert len({before, *rates}) == 4
    assert run.kept == [False] * 3
    run.steps(FRESH, range(8, 12))
    run.steps(IN_PLACE, range(12, 14))
    assert run.kept == [False] * 3
    assert run.skipped == 1, "copies lose nothing"


def test_gradients_that_are_first_zeroed_in_place_and_then_set_to_none_lose_nothing() -> None:
    run, expected = Run(), Run()
    rates = run.steps(IN_PLACE, range(3)) + run.steps(FRESH, range(3, 8))
    assert rates == expected.steps(FRESH, range(8))
    assert run.same(expected)
    assert run.skipped == 0


def test_gradients_may_be_accumulated_within_a_step() -> None:
    run, expected = Run(), Run()
    for step in range(6):
        for each, mode in ((run, True), (expected, False)):
            each.tower.zero_grad(set_to_none=mode)
            for micro in range(3):
                each.backward(3 * step + micro)
            each.tower.step()
    assert run.kept == [True] * 3
    assert run.same(expected)
    assert run.skipped == 0


def test_a_parameter_without_a_gradient_in_between() -> None:
    def train(run: Run, mode: str) -> list[float]:
        rates = run.steps(mode, range(4))
        for p in run.params:
            p.grad = None
        rates += run.steps(mode, range(4, 6), without=[1])
        return rates + run.steps(mode, range(6, 10))

    run, expected = Run(), Run()
    assert train(run, FRESH) == train(expected, IN_PLACE)
    assert run.same(expected)
    assert run.skipped == expected.skipped == 0


def test_a_gradient_that_lies_in_the_same_memory_again_is_copied() -> None:
    """Other tensor objects of one memory, with versions of their own."""
    p = nn.Parameter(torch.ones(2))
    tower = Tower([p], [SGD(0.1), SGD(1e-3)])
    memory = torch.zeros(2)
    for value in (1.0, 2.0, 3.0):
        p.grad = memory.data
        memory.data.fill_(value)
        tower.step()
    assert tower.param_groups[0]["hypergradient"] == [-2 * 2.0 * 3.0]
    assert tower.param_groups[0]["skipped"] == 0


def test_two_steps_with_one_gradient() -> None:
    run = Run(2)
    run.steps(FRESH, range(4))
    square = sum(float(p.grad.square().sum()) for p in run.params if p.grad is not None)
    run.tower.step()
    assert run.tower.param_groups[0]["hypergradient"] == pytest.approx([-square], rel=1e-12)
    assert run.skipped == 0


@pytest.mark.filterwarnings("ignore:Using backward")
def test_a_graph_of_the_gradient_is_not_kept() -> None:
    p = nn.Parameter(torch.ones(2))
    tower = Tower([p], [SGD(0.1), SGD(1e-3)])
    for _ in range(4):
        tower.zero_grad()
        p.square().sum().backward(create_graph=True)
        tower.step()
        assert not tower.state[p]["direction"].requires_grad
    assert tower.param_groups[0]["skipped"] == 0


def saved(run: Run) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save({"params": run.params, "tower": run.tower.state_dict()}, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@modes
@pytest.mark.parametrize("before", [1, 2, 5])
@pytest.mark.parametrize("copied", [False, True], ids=["file", "deepcopy"])
def test_training_goes_on_bit_for_bit_in_each_mode(mode: str, before: int, copied: bool) -> None:
    run, undisturbed = Run(), Run()
    run.steps(mode, range(before))
    if copied:
        other = copy.deepcopy(run)
    else:
        other, found = Run(), saved(run)
        for p, value in zip(other.params, found["params"], strict=True):
            p.data.copy_(value)
        other.tower.load_state_dict(found["tower"])
    for p, of in zip(other.params, run.params, strict=True):
        p.grad = None if of.grad is None else of.grad.clone()
    assert run.steps(mode, range(before, 9)) == other.steps(mode, range(before, 9))
    undisturbed.steps(mode, range(9))
    assert run.same(other)
    assert run.same(undisturbed)
    assert run.skipped == other.skipped == 0


def test_a_saved_state_does_not_follow_the_gradients() -> None:
    run = Run()
    run.steps(FRESH, range(4))
    state = run.tower.state_dict()["state"]
    before = copy.deepcopy(state)
    run.tower.zero_grad(set_to_none=False)
    assert all(torch.equal(state[i]["direction"], before[i]["direction"]) for i in range(3))
    run.backward(4)
    run.tower.step()
    assert run.skipped == 0, "the copies made for the state serve the next step"


def test_a_gradient_that_is_lost_before_a_save_is_lost_after_it() -> None:
    run, other = Run(), Run()
    run.steps(FRESH, range(4))
    run.tower.zero_grad(set_to_none=False)
    found = saved(run)
    other.tower.load_state_dict(found["tower"])
    for each in (run, other):
        each.backward(4)
        each.tower.step()
        assert each.skipped == 1


FIRST = st.floats(-1e3, 1e3)
BASES: list[Any] = [SGD(0.1, bounds=(0.0, 1.0)), Adam(learned=("lr", "beta1")), RMSProp()]


@settings(max_examples=60)
@given(
    base=st.sampled_from(BASES),
    rates=st.lists(st.floats(1e-9, 1e-2), min_size=1, max_size=9),
    steps=st.lists(st.tuples(FIRST, FIRST), min_size=1, max_size=6),
)
def test_plain_levels_go_the_short_way_to_the_same_numbers(
    base: Any, rates: list[float], steps: list[tuple[float, float]]
) -> None:
    above = [SGD(rate, bounds=(0.0, 1.0)) for rate in rates]
    levels = [base, *above[:-1], SGD(rates[-1], learned=())]
    adjust: list[Callable[..., Any]] = [level_state.adjusted, level_state._adjusted]
    found = []
    for way in adjust:
        states = level_state.build(levels)
        for gradient in steps:
            first = level_state.Hypergradient(list(gradient)[: len(base.learned)])
            states = way(levels, states, first, False) or states
        found.append(states)
    assert found[0] == found[1]
