"""Hypergradients against finite differences and closed forms, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from searchers.protocols import Brief
from searchers.reverse import hypergradient
from searchers.schedules import Horizon
from searchers.space import Flat, Float, Space, Vector
from searchers.training import start, train
from searchers.update_rules import SGD, State
from trainables.network import Examples, NetworkProblem

SPACE = Space(
    {
        "learning_rate": Vector(3, Float(1e-3, 1.0, log=True)),
        "momentum": Float(0.0, 0.99),
        "weight_decay": Float(0.0, 0.1),
    }
)
FLAT: Flat = {
    "learning_rate_0": 0.3,
    "learning_rate_1": 0.2,
    "learning_rate_2": 0.1,
    "momentum": 0.8,
    "weight_decay": 0.01,
}


def plain_net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def normalised_net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)).double()


def problem_of(make_model) -> NetworkProblem:
    noise = torch.Generator().manual_seed(0)

    def examples(n: int) -> Examples:
        inputs = torch.randn(n, 6, generator=noise, dtype=torch.float64)
        return Examples(inputs, inputs[:, :3].argmax(1))

    return NetworkProblem(
        make_model, examples(40), examples(30), batch_size=8, seed=1, device=torch.device("cpu")
    )


def brief(*, compress: bool) -> Brief:
    return Brief(SPACE, (FLAT,), FLAT, (1, 3), compress, seed=1)


def final_loss(problem: NetworkProblem, horizon: Horizon, flat: Flat) -> float:
    draw = problem.draw(0)
    trained = train(problem, draw, horizon.values(SPACE, flat), start(draw), range(horizon.steps))
    return float(problem.validation_loss(trained.state.weights, trained.buffers))


def finite_differences(problem: NetworkProblem, horizon: Horizon, h: float = 1e-6) -> np.ndarray:
    slopes = []
    for name in SPACE.scalars:
        up, down = dict(FLAT), dict(FLAT)
        up[name] += h
        down[name] -= h
        slopes.append(
            (final_loss(problem, horizon, up) - final_loss(problem, horizon, down)) / (2 * h)
        )
    return np.array(slopes)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("epochs", [1, 3])
def test_agrees_with_finite_differences(epochs: int, compress: bool) -> None:
    problem = problem_of(plain_net)
    horizon = Horizon.of(brief(compress=compress), epochs, problem.steps_per_epoch)
    result = hypergradient(problem, problem.draw(0), horizon.values(SPACE, FLAT))
    exact = horizon.pull_back(SPACE, result.by_step)
    expected = finite_differences(problem, horizon)
    assert np.abs(exact - expected).max() < 1e-8 * max(1.0, np.abs(expected).max())
    assert np.abs(exact).max() > 1e-3
    if epochs == 1 and not compress:  # a truncated training never reaches the last window
        assert exact[1] == exact[2] == 0


def test_agrees_with_finite_differences_at_every_step() -> None:
    problem = problem_of(plain_net)
    horizon = Horizon.of(brief(compress=True), 1, problem.steps_per_epoch)
    values = horizon.values(SPACE, FLAT)
    result = hypergradient(problem, problem.draw(0), values)

    def loss(values) -> float:
        draw = problem.draw(0)
        trained = train(problem, draw, values, start(draw), range(horizon.steps))
        return float(problem.validation_loss(trained.state.weights, trained.buffers))

    for name in SGD.hyperparameters:
        for step in range(horizon.steps):
            h = np.zeros(horizon.steps)
            h[step] = 1e-6
            up, down = {**values, name: values[name] + h}, {**values, name: values[name] - h}
            assert result.by_step[name][step] == pytest.approx(
                (loss(up) - loss(down)) / 2e-6, abs=1e-8
            )


def test_batch_norm_is_exact_with_running_statistics_held_fixed() -> None:
    """Finite differences of the loss that the engine differentiates: statistics do not move."""
    problem = problem_of(normalised_net)
    horizon = Horizon.of(brief(compress=True), 1, problem.steps_per_epoch)
    result = hypergradient(problem, problem.draw(0), horizon.values(SPACE, FLAT))
    held = result.trained.buffers

    def loss(flat: Flat) -> float:
        draw = problem.draw(0)
        trained = train(
            problem, draw, horizon.values(SPACE, flat), start(draw), range(horizon.steps)
        )
        return float(problem.validation_loss(trained.state.weights, held))

    exact = horizon.pull_back(SPACE, result.by_step)
    for i, name in enumerate(SPACE.scalars):
        up, down = dict(FLAT), dict(FLAT)
        up[name] += 1e-6
        down[name] -= 1e-6
        assert exact[i] == pytest.approx((loss(up) - loss(down)) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("make_model", [plain_net, normalised_net])
def test_checkpoints_change_nothing(make_model) -> None:
    problem = problem_of(make_model)
    horizon = Horizon.of(brief(compress=True), 3, problem.steps_per_epoch)
    values = horizon.values(SPACE, FLAT)
    stored = hypergradient(problem, problem.draw(0), values)
    checkpointed = hypergradient(problem, problem.draw(0), values, trajectory_bytes=0)
    for name in SGD.hyperparameters:
        np.testing.assert_array_equal(stored.by_step[name], checkpointed.by_step[name])
    assert checkpointed.steps > stored.steps
    for name, buffer in stored.trained.buffers.items():
        assert torch.equal(buffer, checkpointed.trained.buffers[name])


def test_the_forward_sweep_is_the_plain_training() -> None:
    problem = problem_of(normalised_net)
    horizon = Horizon.of(brief(compress=True), 3, problem.steps_per_epoch)
    values, draw = horizon.values(SPACE, FLAT), problem.draw(0)
    plain = train(problem, draw, values, start(draw), range(horizon.steps))
    result = hypergradient(problem, problem.draw(0), values).trained
    assert torch.equal(plain.state.weights, result.state.weights)
    for name in plain.buffers:
        assert torch.equal(plain.buffers[name], result.buffers[name])


def test_sgd_is_torchs_sgd() -> None:
    problem = problem_of(plain_net)
    draw = problem.draw(0)
    trained = train(
        problem,
        draw,
        {
            "learning_rate": np.full(20, 0.2),
            "momentum": np.full(20, 0.9),
            "weight_decay": np.full(20, 0.05),
        },
        start(draw),
        range(20),
    )
    weights = draw.initial().vector.clone().requires_grad_()
    optimizer = torch.optim.SGD([weights], lr=0.2, momentum=0.9, weight_decay=0.05)
    for step in range(20):
        optimizer.zero_grad()
        problem.training_loss(weights, {}, draw.batch(step)).backward()
        optimizer.step()
    torch.testing.assert_close(trained.state.weights, weights.detach(), rtol=1e-12, atol=1e-13)


def test_one_step_of_a_quadratic_by_hand() -> None:
    """w' = w − α(g + λw) with v = 0: dL/dα, dL/dμ and dL/dλ are known."""
    before = SGD.init(torch.tensor([2.0, -1.0], dtype=torch.float64))
    gradient = torch.tensor([0.5, 3.0], dtype=torch.float64)
    at = {"learning_rate": 0.1, "momentum": 0.7, "weight_decay": 0.2}
    after = SGD.update(before, gradient, at)
    torch.testing.assert_close(after.velocity, gradient + 0.2 * before.weights)
    adjoint = State(torch.tensor([1.0, 2.0], dtype=torch.float64), torch.zeros(2).double())
    by_gradient, by_state, by = SGD.pull_back(before, after, adjoint, at)
    assert float(by["learning_rate"]) == pytest.approx(-(1.0 * 0.9 + 2.0 * 2.8))
    assert float(by["momentum"]) == 0
    assert float(by["weight_decay"]) == pytest.approx(-0.1 * (1.0 * 2.0 + 2.0 * -1.0))
    torch.testing.assert_close(by_gradient, -0.1 * adjoint.weights)
    torch.testing.assert_close(by_state.weights, (1 - 0.1 * 0.2) * adjoint.weights)
