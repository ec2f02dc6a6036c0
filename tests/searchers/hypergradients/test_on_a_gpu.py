"""Every engine on a GPU against the same on a CPU, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from searchers.hypergradients.auto import Auto
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Binomial, Checkpointed, Graphs, Stored
from searchers.hypergradients.reversible import Reversible
from searchers.hypergradients.schedules import per_step
from searchers.update_rules import SGD, UPDATE_RULES, UpdateRule
from tests.searchers.hypergradients.small_problems import (
    CPU,
    GPU,
    dropout_net,
    normalised_net,
    plain_net,
    problem_of,
    varied,
)
from trainables.training_losses import InputNoise, LabelSmoothing

pytestmark = pytest.mark.gpu

STEPS = 6
ENGINES = [
    *(Graphs(), Stored(), Checkpointed(segment=4), Binomial(slots=2), Reversible(), Auto()),
    *(Forward(), Forward(chunk=5)),
]
GROUPS = {"bias": lambda name: name.endswith("bias")}


def ids(thing: object) -> str:
    return getattr(thing, "name", getattr(thing, "__name__", repr(thing)))


@pytest.mark.parametrize("engine", ENGINES, ids=ids)
@pytest.mark.parametrize("net", [plain_net, normalised_net], ids=ids)
def test_an_engine(engine: Engine, net: Callable[[], nn.Module]) -> None:
    agrees(engine, SGD(), net, "label_smoothing", LabelSmoothing())


@pytest.mark.parametrize("engine", [Stored(), Forward(chunk=5)], ids=ids)
@pytest.mark.parametrize("rule", UPDATE_RULES, ids=ids)
def test_an_update_rule(engine: Engine, rule: UpdateRule) -> None:
    agrees(engine, rule, plain_net, "noise", InputNoise())


def agrees(engine, rule: UpdateRule, net, name: str, objective) -> None:
    values = varied(rule, STEPS, (name,))
    values["learning_rate.bias"] = values["learning_rate"] * 0.7
    found = []
    for device in (CPU, GPU):
        problem = problem_of(net, objective, GROUPS, device)
        along = per_step(rule, values, problem)
        found.append(engine.hypergradient(problem, problem.draw(0), along))
    one, other = found
    assert other.trained.state.weights.device.type == GPU.type
    torch.testing.assert_close(
        other.trained.state.weights.cpu(), one.trained.state.weights, rtol=1e-8, atol=1e-10
    )
    torch.testing.assert_close(
        torch.from_numpy(other.by_coefficient.values()),
        torch.from_numpy(one.by_coefficient.values()),
        rtol=1e-6,
        atol=1e-9,
    )


def convolutional_net() -> nn.Module:
    """On 6 numbers seen as an image of 2 × 3."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)),
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d((1, 3)),
        nn.Flatten(),
        nn.Linear(8, 3),
    ).double()


@pytest.mark.parametrize("engine", [Graphs(), Forward(), Forward(chunk=5)], ids=ids)
def test_convolutions_pools_and_normalisation(engine: Engine) -> None:
    agrees(engine, SGD(), convolutional_net, "label_smoothing", LabelSmoothing())


class Recurrent(nn.Module):
    """cuDNN's kernels of these have no second derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.out = nn.LSTM(1, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.out(self.cells(inputs.unsqueeze(2))[0].mean(1))


def recurrent_net() -> nn.Module:
    return Recurrent().double()


@pytest.mark.parametrize("engine", [Graphs(), Stored()], ids=ids)
def test_a_recurrent_network(engine: Engine) -> None:
    agrees(engine, SGD(), recurrent_net, "label_smoothing", LabelSmoothing())


def test_dropout() -> None:
    """Its masks are a GPU's own, so engines are compared there."""
    problem = problem_of(dropout_net, device=GPU)
    along = per_step(SGD(), varied(SGD(), STEPS), problem)
    one, other = (
        torch.from_numpy(
            each.hypergradient(problem, problem.draw(0), along).by_coefficient.values()
        )
        for each in (Stored(), Forward(chunk=5))
    )
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_a_network_that_is_built_on_the_gpu_has_the_same_weights_for_everyone() -> None:
    before = torch.cuda.get_rng_state()
    problem = problem_of(lambda: nn.Linear(6, 3, device=GPU, dtype=torch.float64), device=GPU)
    one, other = (problem.draw(1).initial().vector for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one, problem.draw(2).initial().vector)
    assert torch.equal(before, torch.cuda.get_rng_state())


class Noisy(nn.Module):
    """Multiplies by noise from either device's random state."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.out = device, nn.Linear(6, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        noise = torch.rand(inputs.shape, device=self.device, dtype=inputs.dtype)
        return self.out(inputs * noise.to(inputs.device))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_a_network_draws_is_replayed(device: str) -> None:
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    problem = problem_of(lambda: Noisy(device).double(), device=GPU)
    along = per_step(SGD(), varied(SGD(), STEPS), problem)
    results = [e.hypergradient(problem, problem.draw(0), along) for e in (Graphs(), Stored())]
    one, other = (torch.from_numpy(result.by_coefficient.values()) for result in results)
    torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)
    after = torch.get_rng_state(), torch.cuda.get_rng_state()
    assert all(map(torch.equal, before, after))
