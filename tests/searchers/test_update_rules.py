"""Update rules against torch.optim, and their derivatives against autograd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from searchers.errors import SearcherError
from searchers.hypergradients.derivatives import direction, pull_back, push_forward
from searchers.update_rules import (
    SGD,
    UPDATE_RULES,
    AdaGrad,
    Adam,
    AdamW,
    Maclaurin,
    RMSProp,
    State,
    UpdateRule,
    check_rule,
)
from tests.searchers.hypergradients.small_problems import USUAL, plain_net, problem_of

RULES = (*UPDATE_RULES, SGD(clamp=0.5, name="clamped"))


def torchs(rule: UpdateRule, weights: torch.Tensor, at: dict[str, float]) -> torch.optim.Optimizer:
    lr, wd = at["learning_rate"], at["weight_decay"]
    if isinstance(rule, SGD):
        nesterov, damping = rule.nesterov, 0.0 if rule.nesterov else at["dampening"]
        return torch.optim.SGD([weights], lr, at["momentum"], damping, wd, nesterov=nesterov)
    if isinstance(rule, Adam):
        kind = torch.optim.AdamW if rule.decoupled else torch.optim.Adam
        betas = at["beta1"], at["beta2"]
        return kind([weights], lr, betas, at["eps"], wd)
    if isinstance(rule, RMSProp):
        return torch.optim.RMSprop([weights], lr, at["alpha"], at["eps"], wd, at["momentum"])
    return torch.optim.Adagrad([weights], lr, at["decay"], wd, 0.0, at["eps"])


@pytest.mark.parametrize(
    "rule",
    [SGD(), SGD(nesterov=True), Adam(), AdamW(), RMSProp(), AdaGrad()],
    ids=lambda r: r.name,
)
def test_steps_are_those_of_torch(rule: UpdateRule) -> None:
    problem = problem_of(plain_net)
    draw, at = problem.draw(0), {name: USUAL[name] for name in rule.defaults}
    if isinstance(rule, SGD) and rule.nesterov:
        at["dampening"] = 0.0
    state = rule.init(draw.initial().vector)
    weights = draw.initial().vector.clone().requires_grad_()
    optimizer = torchs(rule, weights, at)
    for step in range(30):
        optimizer.zero_grad()
        problem.training_loss(weights, {}, draw.batch(step)).backward()
        assert weights.grad is not None
        state = rule.update(state, weights.grad.clone(), at, step)
        optimizer.step()
        torch.testing.assert_close(state.weights, weights.detach(), rtol=1e-12, atol=1e-13)


def test_maclaurins_step_by_hand() -> None:
    at = {"learning_rate": 0.5, "momentum": 0.75, "weight_decay": 0.0}
    state = State(torch.tensor([1.0]).double(), (torch.tensor([2.0]).double(),))
    after = Maclaurin().update(state, torch.tensor([4.0]).double(), at, 3)
    assert float(after.memory[0]) == 0.75 * 2 - 0.25 * 4
    assert float(after.weights) == 1 + 0.5 * 0.5


def random_state(rule: UpdateRule, seed: int) -> tuple[State, torch.Tensor]:
    """Positive memories; the last weight has never had a gradient."""
    stream = torch.Generator().manual_seed(seed)
    draws = torch.rand(5, 7, generator=stream, dtype=torch.float64) + 0.1
    memory = [draws[i + 2].clone() for i in range(len(rule.init(draws[0]).memory))]
    gradient = draws[1] - 0.6
    for tensor in (*memory, gradient):
        tensor[-1] = 0
    return State(draws[0] - 0.5, tuple(memory)), gradient


def flat_update(rule, state: State, gradient, at, step: int, names: list[str]):
    """The update as a function of one vector: state, gradient, hyperparameters; and that vector."""
    parts = [state.weights, *state.memory, gradient]
    vector = torch.cat([*parts, torch.tensor([at[n] for n in names], dtype=torch.float64)])
    size = len(gradient)

    def function(whole: torch.Tensor) -> torch.Tensor:
        *tensors, slope = [whole[i * size : (i + 1) * size] for i in range(len(parts))]
        values = {n: whole[len(parts) * size + i] for i, n in enumerate(names)}
        after = rule.update(State(tensors[0], tuple(tensors[1:])), slope, {**at, **values}, step)
        return torch.cat([after.weights, *after.memory])

    return function, vector


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
@pytest.mark.parametrize("step", [0, 4])
@given(seed=st.integers(0, 1000))
def test_pull_back_and_push_forward_are_the_jacobian(rule: UpdateRule, step: int, seed) -> None:
    """⟨J ẋ, λ⟩ = ⟨ẋ, Jᵀ λ⟩, and both are autograd's Jacobian where that exists."""
    names = list(rule.defaults)
    at = {name: USUAL[name] for name in names}
    state, gradient = random_state(rule, seed)
    function, vector = flat_update(rule, state, gradient, at, step, names)
    jacobian = torch.autograd.functional.jacobian(function, vector)
    assert jacobian.isfinite().all()  # also at the weight without gradients
    stream = torch.Generator().manual_seed(seed + 1)
    after = rule.update(state, gradient, at, step)
    count, size = 1 + len(state.memory), len(gradient)

    covector = torch.randn(count * size, generator=stream, dtype=torch.float64)
    adjoint = State(covector[:size], tuple(covector[size:].view(count - 1, size)))
    pulled = pull_back(rule, state, gradient, after, adjoint, at, step, names)
    by = [pulled.by_hyperparameter[n].reshape(1) for n in names]
    found = torch.cat([pulled.by_state.weights, *pulled.by_state.memory, pulled.by_gradient, *by])
    torch.testing.assert_close(found, jacobian.T @ covector, rtol=1e-10, atol=1e-12)

    tangents = torch.randn(3, len(vector), generator=stream, dtype=torch.float64)
    moving = [tangents[:, i * size : (i + 1) * size].clone() for i in range(count + 1)]
    rates = {n: tangents[:, (count + 1) * size + i] for i, n in enumerate(names)}
    pushed = push_forward(
        rule, state, gradient, State(moving[0], tuple(moving[1:-1])), moving[-1], at, rates, step
    )
    moved = torch.cat([pushed.weights, *pushed.memory], dim=1)
    torch.testing.assert_close(moved, tangents @ jacobian.T, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_tangents_of_hyperparameters_may_lie_on_the_cpu(rule: UpdateRule) -> None:
    """As a schedule has them; the weights are wherever the training is."""
    weights = torch.zeros(4, device="meta")
    state, names = rule.init(weights), list(rule.defaults)
    tangent = State(weights.new_zeros(3, 4), tuple(weights.new_zeros(3, 4) for _ in state.memory))
    rates = {name: torch.ones(3, dtype=torch.float64) for name in names}
    at, change = {name: USUAL[name] for name in names}, weights.new_zeros(3, 4)
    pushed = push_forward(rule, state, weights, tangent, change, at, rates, 1)
    assert {part.device.type for part in (pushed.weights, *pushed.memory)} == {"meta"}


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_value_for_each_weight_is_the_same_value_for_all(rule: UpdateRule) -> None:
    names = list(rule.defaults)
    at = {name: USUAL[name] for name in names}
    state, gradient = random_state(rule, 1)
    many = {name: torch.full_like(gradient, value) for name, value in at.items()}
    after, alike = rule.update(state, gradient, at, 2), rule.update(state, gradient, many, 2)
    torch.testing.assert_close(after.weights, alike.weights)
    adjoint = State(gradient + 1, tuple(m + 0.3 for m in state.memory))
    one = pull_back(rule, state, gradient, after, adjoint, at, 2, names)
    each = pull_back(rule, state, gradient, alike, adjoint, many, 2, names)
    for name in names:
        assert each.by_hyperparameter[name].shape == gradient.shape
        torch.testing.assert_close(
            each.by_hyperparameter[name].sum(), one.by_hyperparameter[name].to(gradient.dtype)
        )


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_direction_is_the_derivative_by_the_learning_rate(rule: UpdateRule) -> None:
    at = {name: USUAL[name] for name in rule.defaults}
    state, gradient = random_state(rule, 5)
    after = rule.update(state, gradient, at, 3)
    more = {**at, "learning_rate": at["learning_rate"] + 1e-3}
    expected = (state.weights - rule.update(state, gradient, more, 3).weights) - (
        state.weights - after.weights
    )
    found = direction(rule, state, gradient, after, at, 3)
    torch.testing.assert_close(found, expected / 1e-3, rtol=1e-6, atol=1e-9)


@dataclass(frozen=True)
class Own:
    """A rule of one's own, spoilt by ``step``."""

    spoilt: Callable[[State, Tensor], State]
    name: str = "own"
    defaults: ClassVar[dict[str, float]] = {"learning_rate": 0.1}

    def init(self, weights: Tensor) -> State:
        return State(weights, (torch.zeros_like(weights),))

    def update(self, state: State, gradient: Tensor, at, step: int) -> State:
        return self.spoilt(state, gradient)


def right(state: State, g: Tensor) -> State:
    v = 0.9 * state.memory[0] + g
    return State(state.weights - 0.1 * v, (v,))


def writing(state: State, g: Tensor) -> State:
    v = state.memory[0].detach().mul_(0.9) + g
    return State(state.weights - 0.1 * v, (v,))


def writing_into_a_leaf(state: State, g: Tensor) -> State:
    v = state.memory[0].mul_(0.9).add_(g)
    return State(state.weights - 0.1 * v, (v,))


@torch.no_grad()
def without_a_derivative(state: State, g: Tensor) -> State:
    return right(state, g)


@pytest.mark.parametrize(
    ("spoilt", "line"),
    [
        (writing, "writes into its state or gradient"),
        (writing_into_a_leaf, "its first step fails"),
        (without_a_derivative, "no derivative"),
        (lambda state, g: None, "returns a State"),
        (lambda state, g: State(state.weights - g, (3,)), "returns a State of tensors"),
        (lambda state, g: State((state.weights - g).sum(), state.memory), "becomes one of"),
        (lambda state, g: State(state.weights - g), "becomes one of"),
    ],
)
def test_a_rule_that_is_no_pure_function_is_refused(spoilt, line: str) -> None:
    check_rule(Own(right), Own(right).init(torch.zeros(3)))
    with pytest.raises(SearcherError, match=line) as caught:
        check_rule(Own(spoilt), Own(right).init(torch.zeros(3)))
    assert "\n" not in str(caught.value)
