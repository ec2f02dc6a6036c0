"""Networks with weights that are held, shared or absent, and losses that are not what they seem."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from searchers.errors import SearcherError
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Binomial, Graphs, Stored
from searchers.hypergradients.schedules import per_step
from searchers.update_rules import SGD
from trainables import network
from trainables.network import Examples, NetworkProblem
from trainables.task import TaskError

CPU = torch.device("cpu")
UNREPEATED = itertools.count(1.0)


def examples(count: int = 24, width: int = 4) -> Examples:
    stream = torch.Generator().manual_seed(count)
    inputs = torch.randn(count, width, generator=stream)
    return Examples(inputs, torch.randint(4, (count,), generator=stream))


def problem(make: Callable[[], nn.Module], objective=None) -> NetworkProblem:
    return NetworkProblem(
        make, examples(24), examples(20), batch_size=8, seed=0, device=CPU, objective=objective
    )


def differentiated(inner: NetworkProblem, engine: Engine) -> np.ndarray:
    along = per_step(SGD(), {"learning_rate": np.full(6, 0.1)}, inner)
    return engine.hypergradient(inner, inner.draw(0), along).by_coefficient.values()


def agree(inner: NetworkProblem) -> None:
    right = differentiated(inner, Stored())
    assert np.abs(right).max() > 1e-6
    for engine in (Graphs(), Binomial(2), Forward()):
        np.testing.assert_allclose(differentiated(inner, engine), right, rtol=1e-4, atol=1e-7)


class Half(nn.Module):
    """Its first layer stays as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 4)
        self.first.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(self.first(inputs).tanh())


def test_a_frozen_layer_is_held() -> None:
    inner = problem(Half)
    weights = inner.draw(0).initial()
    assert len(weights.vector) == 5 * 4 + 4
    along = per_step(SGD(), {"learning_rate": np.full(6, 0.1)}, inner)
    trained = Stored().hypergradient(inner, inner.draw(0), along).trained
    assert torch.equal(trained.buffers["first.weight"], weights.buffers["first.weight"])
    other = problem(Half).draw(1).initial().buffers["first.weight"]
    assert not torch.equal(other, weights.buffers["first.weight"])
    agree(inner)


class Rotated(nn.Module):
    """Turns its features by complex factors, which it trains or not."""

    def __init__(self, *, trained: bool) -> None:
        super().__init__()
        self.last = nn.Linear(4, 4)
        turn = torch.polar(torch.ones(2), torch.tensor([0.3, 1.1]))
        self.turn = nn.Parameter(turn) if trained else nn.Buffer(turn)

    def forward(self, inputs: Tensor) -> Tensor:
        pairs = torch.view_as_complex(self.last(inputs).unflatten(-1, (2, 2)))
        return torch.view_as_real(pairs * self.turn).flatten(-2)


def test_complex_weights_are_refused_when_a_task_is_built() -> None:
    with pytest.raises(TaskError, match=r"^turn of the model is torch.complex64: .*view_as_real"):
        problem(lambda: Rotated(trained=True))


def test_complex_buffers_are_followed_in_reverse_mode_and_refused_forward() -> None:
    inner = problem(lambda: Rotated(trained=False))
    right = differentiated(inner, Stored())
    np.testing.assert_allclose(differentiated(inner, Graphs()), right, rtol=1e-4, atol=1e-7)
    with pytest.raises(SearcherError, match="no tangents of complex numbers"):
        differentiated(inner, Forward())


class Mixed(nn.Module):
    """Two types of weights, as where a part of a model was loaded in less precision."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 5, dtype=torch.float64), nn.Linear(5, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        assert self.first.weight.dtype == torch.float64
        assert self.last.weight.dtype == torch.float32
        return self.last(self.first(inputs.double()).tanh().float())


def test_weights_of_mixed_types_keep_theirs() -> None:
    inner = problem(Mixed)
    assert inner.draw(0).initial().vector.dtype == torch.float64
    agree(inner)


class Pair(nn.Linear):
    """Gives its logits twice."""

    def __init__(self) -> None:
        super().__init__(4, 4)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(inputs), super().forward(inputs)


class Tied(nn.Module):
    """The same matrix on the way in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)
        self.last.weight = self.first.weight

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(self.first(inputs).tanh())


def test_shared_weights_stay_shared() -> None:
    inner = problem(Tied)
    weights, batch = inner.draw(0).initial(), inner.draw(0).batch(0)
    assert len(weights.vector) == 16 + 4 + 4
    matrix, a, b = weights.vector[:16].view(4, 4), weights.vector[16:20], weights.vector[20:]
    logits = (batch.inputs @ matrix.T + a).tanh() @ matrix.T + b
    loss = inner.training_loss(weights.vector, weights.buffers, batch)
    torch.testing.assert_close(loss, cross_entropy(logits, batch.labels))
    agree(inner)


class Attentive(nn.Module):
    """torch's fused attention, which has no second derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(1, 8), nn.Linear(8, 4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.into(inputs.unsqueeze(2))
        return self.out(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1))


def test_attention_is_differentiated_twice() -> None:
    agree(problem(Attentive))


class Recurrent(nn.Module):
    """On a GPU its cells are cuDNN's, which have no second derivative."""

    enabled: ClassVar[list[bool]] = []

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.out = nn.GRU(1, 3, batch_first=True), nn.Linear(3, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        self.enabled.append(torch.backends.cudnn.enabled)
        return self.out(self.cells(inputs.unsqueeze(2))[0].mean(1))


@pytest.mark.parametrize("on_a_gpu", [True, False])
def test_recurrent_cells_are_differentiated_twice(
    on_a_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["AddmmBackward0", "CudnnRnnBackward0" if on_a_gpu else "TanhBackward0"]
    monkeypatch.setattr(network, "_operators", lambda loss: iter(names))
    inner = problem(Recurrent)
    Recurrent.enabled.clear()
    agree(inner)
    assert set(Recurrent.enabled) == {not on_a_gpu}
    assert torch.backends.cudnn.enabled


class Noisy:
    """Cross-entropy of inputs with noise from torch's global random state."""

    hyperparameters: ClassVar[dict[str, float]] = {}

    def __call__(self, forward, vector, batch, theta) -> Tensor:
        noise = torch.randn(batch.inputs.shape)
        return cross_entropy(forward(batch.inputs + noise), batch.labels)


def test_what_a_loss_draws_is_replayed() -> None:
    before = torch.get_rng_state()
    agree(problem(Half, Noisy()))
    assert torch.equal(before, torch.get_rng_state())


class Unrepeatable(Noisy):
    """Draws from a random state that nobody sets back."""

    def __call__(self, forward, vector, batch, theta) -> Tensor:
        return cross_entropy(forward(batch.inputs), batch.labels) * next(UNREPEATED)


class Many(Noisy):
    """One loss an example."""

    def __call__(self, forward, vector, batch, theta) -> Tensor:
        return cross_entropy(forward(batch.inputs), batch.labels, reduction="none")


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (lambda: problem(Half, Many()), r"scalar tensor of floats, not shape \(8,\)"),
        (lambda: problem(Half, Unrepeatable()), "differs from call to call"),
        (lambda: problem(nn.Identity), "nothing to train"),
        (
            lambda: problem(lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))),
            "depends on buffers that it moves itself",
        ),
        (
            lambda: Examples(torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64)),
            "3 inputs have 2 labels",
        ),
        (
            lambda: Examples(torch.zeros(3, 2), torch.zeros(3, 1)),
            r"labels are torch.float32 of shape \(3, 1\): .*searchers.InnerProblem",
        ),
        (
            lambda: Examples(torch.zeros(3, 2), torch.zeros(3, 5, dtype=torch.int64)),
            r"labels are torch.int64 of shape \(3, 5\): an example has one class label",
        ),
        (
            lambda: NetworkProblem(
                Half, Examples(torch.zeros(3, 4), torch.tensor([0, -100, 1])), examples(),
                batch_size=1, seed=0, device=CPU,
            ),
            "a label is -100, and the network gives 4 logits: number classes from 0",
        ),
        (
            lambda: problem(lambda: nn.Linear(4, 1)),
            "a label is 3, and the network gives 1 logits",
        ),
        (
            lambda: problem(lambda: nn.Sequential(nn.Linear(4, 8), nn.Unflatten(1, (4, 2)))),
            r"of 2 examples the network gives \(2, 4, 2\): it has to be a logit for each class",
        ),
        (
            lambda: problem(lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))),
            r"of 2 examples the network gives \(2,\): it has to be a logit",
        ),
        (lambda: problem(lambda: Pair()), "the network gives tuple: it has to be a logit"),
        (
            lambda: NetworkProblem(
                Half, examples(), examples(0), batch_size=8, seed=0, device=CPU
            ),
            "no validation examples",
        ),
        (
            lambda: NetworkProblem(
                Half, examples(), examples(), batch_size=-1, seed=0, device=CPU
            ),
            "batch_size is a whole number, 1 or more, not -1",
        ),
        (
            lambda: NetworkProblem(
                lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)),
                examples(), examples(), batch_size=1, seed=0, device=CPU,
            ),
            "more than 1 value a channel",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_one_line(broken: Callable[[], object], line: str) -> None:
    with pytest.raises(TaskError, match=line) as caught:
        broken()
    assert "\n" not in str(caught.value)
