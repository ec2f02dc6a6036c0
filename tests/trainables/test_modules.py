"""Modules that would not train as by their own loop are refused; the others train as by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.nn.utils import parametrizations, weight_norm

from searchers.hypergradients import Auto, Forward, Graphs, Stored, per_step
from searchers.hypergradients.training import start, train
from searchers.update_rules import SGD
from trainables import Examples, NetworkProblem, TaskError

CPU = torch.device("cpu")


def examples(count: int, seed: int, dtype: torch.dtype = torch.float32) -> Examples:
    inputs = torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))
    return Examples(inputs.to(dtype), (inputs[:, 0] > 0).long())


def problem_of(make: Callable[[], nn.Module], dtype: torch.dtype = torch.float32) -> NetworkProblem:
    train_, validation = examples(40, 0, dtype), examples(20, 1, dtype)
    return NetworkProblem(make, train_, validation, batch_size=10, seed=0, device=CPU)


class Net(nn.Module):
    """A linear layer, and whatever a test adds to it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 2)
        self.scale: Any = 1.0

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs) * self.scale


class Replacing(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(5))

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * inputs.detach().mean(0)
        return self.linear(inputs - self.mean)


class Writing(Replacing):
    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.mean.lerp_(inputs.detach().mean(0), 0.1)
            return self.linear(inputs - inputs.mean(0))
        return self.linear(inputs - self.mean)


class Listed(Net):
    def __init__(self) -> None:
        super().__init__()
        self.weights = [self.linear.weight]

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weights[0].T


class Features(Net):
    def __init__(self) -> None:
        super().__init__()
        self.mixing = torch.randn(5, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs @ self.mixing)


class Constant(Net):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.tensor(2.0)


class Missing(Net):
    def __init__(self) -> None:
        super().__init__()
        self.missing = torch.tensor([float("nan"), 1.0])


SAME = Net()


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (Replacing, r"in place of the buffer mean: write into it"),
        (Listed, r"reaches a parameter by weights\[0\], too"),
        (Features, r"mixing of the model is another tensor each time .* register_buffer"),
        (lambda: SAME, r"the same module each time, .* copy.deepcopy"),
        (lambda: nn.Sequential(SAME), r"or parts of it: .* copy.deepcopy"),
        (lambda: nn.LazyLinear(2), r"weight of the model has no shape yet: in make_model"),
    ],
)
def test_what_would_not_train_as_by_its_own_loop_is_refused(
    make: Callable[[], nn.Module], line: str
) -> None:
    with pytest.raises(TaskError, match=line) as caught:
        problem_of(make)
    assert "\n" not in str(caught.value)
    assert all(p.device == CPU for p in SAME.parameters())  # a user's own module stays whole


def test_a_buffer_that_is_written_into_moves_and_constants_and_shared_buffers_are_fine() -> None:
    problem = problem_of(Writing)
    vector, buffers = problem.draw(0).initial()
    problem.training_loss(vector, buffers, problem.draw(0).batch(0))
    assert buffers["mean"].abs().max() > 0
    problem_of(Constant)
    problem_of(Missing)

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = Writing(), Writing()
            self.second.mean = self.first.mean

        def forward(self, inputs: Tensor) -> Tensor:
            return self.first(inputs) + self.second(inputs)

    problem_of(Shared)


def test_a_module_that_its_own_loop_could_train_is_trained_alike() -> None:
    """Against the plain loop, with a buffer that each step moves."""
    problem = problem_of(Writing)
    draw = problem.draw(0)
    trained = train(
        problem,
        draw,
        per_step(SGD(), {"learning_rate": np.full(12, 0.1)}, problem),
        start(draw, SGD()),
        range(12),
    )
    module = Writing()
    vector, _ = draw.initial()
    nn.utils.vector_to_parameters(vector.clone(), module.parameters())
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    for step in range(12):
        batch = draw.batch(step)
        optimizer.zero_grad()
        cross_entropy(module(batch.inputs), batch.labels).backward()
        optimizer.step()
    expected = nn.utils.parameters_to_vector(module.parameters()).detach()
    torch.testing.assert_close(trained.state.weights, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(trained.buffers["mean"], module.mean)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("normed", [parametrizations.weight_norm, weight_norm])
@pytest.mark.parametrize("dim", [0, 1])
def test_hypergradients_through_normalised_weights_are_those_of_differences(
    normed: Callable[..., nn.Module], dim: int
) -> None:
    """torch's own operator has a wrong second derivative."""

    def make() -> nn.Module:
        layers = normed(nn.Linear(5, 8), dim=dim), nn.Tanh(), normed(nn.Linear(8, 2), dim=dim)
        return nn.Sequential(*layers).double()

    problem, steps, rule = problem_of(make, torch.float64), 12, SGD()

    def validation(rate: float) -> float:
        along = per_step(rule, {"learning_rate": np.full(steps, rate)})
        draw = problem.draw(0)
        trained = train(problem, draw, along, start(draw, rule), range(steps))
        return float(problem.validation_loss(trained.state.weights, trained.buffers))

    difference = (validation(0.3 + 1e-6) - validation(0.3 - 1e-6)) / 2e-6
    along = per_step(rule, {"learning_rate": np.full(steps, 0.3)})
    for engine in (Graphs(), Stored(), Auto(), Forward()):
        found = engine.hypergradient(problem, problem.draw(0), along).by_coefficient.values()
        assert found.sum() == pytest.approx(difference, rel=1e-6)


def test_losses_of_a_bfloat16_network_are_measured_in_float32() -> None:
    def make() -> nn.Module:
        return nn.Linear(5, 2, dtype=torch.bfloat16)

    problem = problem_of(make, torch.bfloat16)
    weights = problem.draw(0).initial()
    held = problem.validation_examples
    logits = problem._forward(*weights, held.inputs, training=False).double()
    exact = -(logits.log_softmax(1) * one_hot(held.labels, 2)).sum(1).mean()
    assert problem.validation(weights).loss == pytest.approx(float(exact), rel=1e-6)
    assert float(problem.validation_loss(*weights)) == pytest.approx(float(exact), rel=1e-6)
