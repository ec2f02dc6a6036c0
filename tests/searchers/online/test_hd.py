"""Hypergradient descent: its rules, its orders, its bounds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from searchers.online import SGD, SGDHD, Adam, AdamHD, Multiplicative, Tower


def quadratic(make: Any, steps: int = 30, scale: float = 1.0) -> tuple[Tensor, list[float]]:
    """Training on ½ scale Σ curvature · w², in float64: the weights, and the learning rates."""
    curvature = torch.tensor([1.0, 0.3, 0.1], dtype=torch.float64) * scale
    w = nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    optimizer = make([w])
    rates = []
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * (curvature * w * w).sum()).backward()
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return w.detach(), rates


@pytest.mark.parametrize(
    ("momentum", "nesterov", "dampening"),
    [(0.0, False, 0.0), (0.9, False, 0.0), (0.9, False, 0.4), (0.9, True, 0.0)],
)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("multiplicative", [False, True])
def test_sgd_hd_by_the_papers_equations(
    momentum: float, nesterov: bool, dampening: float, weight_decay: float, multiplicative: bool
) -> None:
    curvature = torch.tensor([1.0, 0.3, 0.1], dtype=torch.float64)
    w = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    lr, beta, u, v, rates = 0.05, 0.01, None, None, []
    for _ in range(30):
        g = curvature * w + weight_decay * w
        if u is not None:
            dot = g @ u
            lr = lr * (1 + beta * dot / g.norm() / u.norm()) if multiplicative else lr + beta * dot
        v = g if v is None else momentum * v + (1 - dampening) * g
        u = g + momentum * v if nesterov else v
        w = w - lr * u
        rates.append(float(lr))
    found, seen = quadratic(
        lambda p: SGDHD(p, 0.05, 0.01, momentum, dampening, weight_decay, nesterov, multiplicative)
    )
    assert seen == pytest.approx(rates, rel=1e-12)
    torch.testing.assert_close(found, w, rtol=1e-12, atol=1e-12)


def test_adam_hd_by_the_papers_equations_over_all_tensors_at_once() -> None:
    """One inner product over both tensors, one change of the learning rate, then both move."""
    curvatures = [torch.tensor([1.0, 0.3]), torch.tensor([5.0])]
    start = [torch.tensor([1.0, -2.0]), torch.tensor([3.0])]
    w, lr, beta = [t.double() for t in start], 0.01, 1e-4
    m = s = u = [torch.zeros_like(t) for t in w]
    params = [nn.Parameter(t.double()) for t in start]
    optimizer = AdamHD(params, lr, beta)
    for step in range(1, 20):
        g = [c * t for c, t in zip(curvatures, w, strict=True)]
        lr += beta * float(sum((a * b).sum() for a, b in zip(g, u, strict=True)))
        m = [0.9 * a + 0.1 * b for a, b in zip(m, g, strict=True)]
        s = [0.999 * a + 0.001 * b * b for a, b in zip(s, g, strict=True)]
        u = [
            a / (1 - 0.9**step) / ((b / (1 - 0.999**step)).sqrt() + 1e-8)
            for a, b in zip(m, s, strict=True)
        ]
        w = [a - lr * b for a, b in zip(w, u, strict=True)]
        for p, c in zip(params, curvatures, strict=True):
            p.grad = c * p.detach()
        optimizer.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(lr, rel=1e-12)
    for p, expected in zip(params, w, strict=True):
        torch.testing.assert_close(p.detach(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("nesterov", [False, True])
def test_without_a_hyper_learning_rate_it_is_torchs_own(nesterov: bool) -> None:
    ours, _ = quadratic(lambda p: SGDHD(p, 0.1, 0.0, 0.9, nesterov=nesterov, weight_decay=0.1))
    theirs, _ = quadratic(
        lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=nesterov, weight_decay=0.1)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    ours, _ = quadratic(lambda p: AdamHD(p, 0.1, 0.0, weight_decay=0.1))
    theirs, _ = quadratic(lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.1))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_order_n_is_a_tower_of_sgd(order: int) -> None:
    rates = [10.0 ** -(2 + 2 * n) for n in range(order)]
    assert (
        quadratic(lambda p: SGDHD(p, 0.05, rates))[1]
        == quadratic(lambda p: Tower(p, [SGD(0.05, bounds=(0, float("inf"))), *map(SGD, rates)]))[1]
    )
    assert (
        quadratic(lambda p: AdamHD(p, 0.05, rates))[1]
        == quadratic(lambda p: Tower(p, [Adam(0.05, initial_square=0.0), *map(SGD, rates)]))[1]
    )


def test_second_order_descends() -> None:
    """β ← β − γ ∂f/∂β, by hand: ∂f/∂β at a step is −h(t) h(t − 1), where h = −⟨g, u⟩."""
    curvature, w = 0.5, torch.tensor([2.0], dtype=torch.float64)
    lr, beta, gamma, u, before = 0.1, 1e-3, 1e-4, torch.zeros(1, dtype=torch.float64), 0.0
    rates = []
    for _ in range(20):
        g = curvature * w
        h = -float(g @ u)
        beta -= gamma * (-h * before)
        lr -= beta * h
        w, u, before = w - lr * g, g, h
        rates.append(lr)
    p = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = SGDHD([p], 0.1, (1e-3, 1e-4))
    for expected in rates:
        p.grad = curvature * p.detach()
        optimizer.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-12)
    assert optimizer.hyperparameters()[0][1]["lr"] == pytest.approx(beta, rel=1e-12)
    assert beta > 1e-3, "gradients agree here, so the rate of the rate has grown"


@pytest.mark.parametrize("multiplicative", [False, True])
@settings(max_examples=30)
@given(low=st.floats(0.01, 0.05), width=st.floats(0.0, 0.1), hyper_lr=st.floats(1e-3, 0.9))
def test_a_learning_rate_stays_in_its_bounds(
    multiplicative: bool, low: float, width: float, hyper_lr: float
) -> None:
    bounds = (low, low + width)
    _, rates = quadratic(
        lambda p: SGDHD(p, low, hyper_lr, multiplicative=multiplicative, bounds=bounds)
    )
    assert all(low <= rate <= low + width for rate in rates)


def test_both_bounds_are_reached_and_left() -> None:
    p = nn.Parameter(torch.ones(1))
    optimizer = SGDHD([p], 0.5, 1.0, bounds=(0.25, 1.0))
    seen = []
    for gradient in (1.0, 1.0, -1.0, -0.5, 0.5, 0.5):
        p.grad = torch.tensor([gradient])
        optimizer.step()
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == [0.5, 1.0, 0.25, 0.75, 0.5, 0.75]


def test_a_learning_rate_is_not_negative_unless_bounds_allow_it() -> None:
    for bounds, expected in (({}, 0.0), ({"bounds": (-10, 10)}, -0.5)):
        p = nn.Parameter(torch.ones(1))
        optimizer = SGDHD([p], 0.5, 1.0, **bounds)
        for gradient in (1.0, -1.0):
            p.grad = torch.tensor([gradient])
            optimizer.step()
        assert optimizer.param_groups[0]["lr"] == expected


@settings(max_examples=30)
@given(scale=st.floats(1e-6, 1e6), beta=st.floats(0.001, 0.5))
def test_the_multiplicative_rule_does_not_see_the_losss_scale(scale: float, beta: float) -> None:
    """And moves by no more than a share β a step."""
    _, rates = quadratic(lambda p: SGDHD(p, 1e-9, beta, multiplicative=True), 5)
    _, scaled = quadratic(
        lambda p: SGDHD(p, 1e-9 / scale, beta, multiplicative=True), 5, scale=scale
    )
    assert [rate * scale for rate in scaled] == pytest.approx(rates, rel=1e-6)
    steps = [b / a for a, b in zip([1e-9, *rates], rates, strict=False)]
    assert all(1 - beta - 1e-9 <= step <= 1 + beta + 1e-9 for step in steps)


def test_the_multiplicative_rule_over_adam_and_at_a_gradient_of_zero() -> None:
    p = nn.Parameter(torch.ones(2))
    tower = Tower([p], [Adam(0.01, initial_square=0.0), Multiplicative(0.1)])
    for gradient, expected in (
        ((1.0, 1.0), 0.01),
        ((3.0, 3.0), 0.01 * 1.1),  # parallel to Adam's first direction (1, 1)
        ((0.0, 0.0), 0.01 * 1.1),
    ):
        p.grad = torch.tensor(gradient)
        tower.step()
        assert tower.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-6)
    assert tower.param_groups[0]["skipped"] == 0
