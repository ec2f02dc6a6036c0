"""Hessian-vector products and mixed derivatives of networks, against torch's own two ways."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from searchers.errors import SearcherError
from searchers.hypergradients.tangents import rules_of_convolution
from searchers.hypergradients.tangents.products import Folded, OneByOne, _timed, fastest
from tests.searchers.hypergradients.tangents.double_backward import (
    DOUBLE,
    NETS,
    OPERATORS,
    A,
    Net,
    agrees,
    built,
    by_double_backward,
    hastened_net,
    normal,
    normalised_net,
    relu_net,
    small_lenet,
    tanh_net,
)
from trainables.models import lenet


@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("net", NETS)
def test_networks_agree_with_double_backward(net: Callable[[], Net], count: int) -> None:
    loss = net()
    agrees(loss, (loss.vector,), (normal(count, len(loss.vector), seed=1),))


@pytest.mark.parametrize("net", [tanh_net, relu_net])
def test_networks_agree_with_forward_over_reverse(net: Callable[[], Net]) -> None:
    loss = net()
    tangents = normal(3, len(loss.vector), seed=1)
    _, products = Folded()(loss, (loss.vector,), (tangents,))
    for tangent, product in zip(tangents, products, strict=True):
        _, right = torch.func.jvp(torch.func.grad(loss), (loss.vector,), (tangent,))
        torch.testing.assert_close(product, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("way", [Folded(), Folded(2), Folded(100), OneByOne()])
def test_every_way_agrees(way) -> None:
    loss = relu_net()
    agrees(loss, (loss.vector,), (normal(5, len(loss.vector), seed=1),), way)


def test_patches_of_one_image_at_a_time(monkeypatch) -> None:
    monkeypatch.setattr(rules_of_convolution, "CACHED", 1)
    loss = relu_net()
    agrees(loss, (loss.vector,), (normal(5, len(loss.vector), seed=1),))


def test_lenet_in_single_precision() -> None:
    net = Net(built(lambda: lenet((1, 28, 28), 10)), normal(8, 1, 28, 28), torch.float32)
    tangents = normal(5, len(net.vector), seed=1).float()
    gradient, products = Folded()(net, (net.vector,), (tangents,))
    right = by_double_backward(net, (net.vector,), (tangents,))
    assert products.dtype == torch.float32
    assert torch.equal(gradient, right[0])
    assert (products - right[1]).abs().max() < 1e-5 * right[1].abs().max()


@pytest.mark.parametrize("way", [Folded(2), OneByOne()])
@pytest.mark.parametrize("net", [normalised_net, hastened_net])
def test_running_statistics_move_once(net: Callable[[], Net], way) -> None:
    once, loss = net(), net()
    once(once.vector)
    before = {name: b.clone() for name, b in loss.buffers.items()}
    way(loss, (loss.vector,), (normal(5, len(loss.vector)),))
    assert loss.calls == 1
    for name, buffer in loss.buffers.items():
        assert torch.equal(buffer, once.buffers[name])
        assert not torch.equal(buffer, before[name])


def smoothed(vector: Tensor, smoothing: Tensor, ridge: Tensor) -> Tensor:
    net = relu_net()
    logs = net.logits(vector).log_softmax(1)
    hit = logs.gather(1, net.labels[:, None]).mean()
    return -(1 - smoothing) * hit - smoothing * logs.mean() + ridge.exp() * vector.square().sum()


@pytest.mark.parametrize(
    "moving", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 1, 1)]
)
@pytest.mark.parametrize("way", [Folded(), OneByOne()])
def test_hyperparameters_of_the_loss(moving: tuple[int, ...], way) -> None:
    vector = relu_net().vector
    inputs = vector, torch.tensor(0.1, dtype=DOUBLE), torch.tensor(-3.0, dtype=DOUBLE)
    tangents = normal(4, len(vector)), normal(4, seed=1), normal(4, seed=2)
    chosen = tuple(t if moves else None for t, moves in zip(tangents, moving, strict=True))
    agrees(smoothed, inputs, chosen, way)


def test_a_vector_of_hyperparameters_in_another_precision() -> None:
    def loss(vector: Tensor, weights: Tensor) -> Tensor:
        losses = F.cross_entropy(net.logits(vector), net.labels, reduction="none")
        return (weights.to(losses.dtype).softmax(0) * losses).sum()

    net = Net(built(small_lenet), normal(4, 1, 12, 12), torch.float32)
    inputs = net.vector, normal(4)
    tangents = normal(3, len(net.vector), seed=1).float(), normal(3, 4, seed=2)
    _, products = Folded()(loss, inputs, tangents)
    _, right = by_double_backward(loss, inputs, tangents)
    assert products.dtype == torch.float32
    assert (products - right).abs().max() < 1e-5 * right.abs().max()


def test_dropout_has_one_mask() -> None:
    def loss(vector: Tensor) -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(7)
            return net(vector)

    layers = [nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.4), nn.Linear(8, 3)]
    net = Net(built(lambda: nn.Sequential(*layers)), normal(7, 6))
    agrees(loss, (net.vector,), (normal(3, len(net.vector)),))


def test_dropout_as_a_gpu_has_it() -> None:
    """To the last digits of float64, though its mask holds bools."""

    def loss(vector: Tensor) -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(7)
            dropped, _ = torch.native_dropout(vector.view(4, 6).tanh(), 0.4, True)
        return dropped.pow(3).sum()

    agrees(loss, (normal(24),), (normal(3, 24, seed=1),))


@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("batch_first", [True, False])
def test_a_recurrent_network(batch_first: bool, count: int) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.GRU(3, 4, batch_first=batch_first)
            self.out = nn.Linear(4, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.out(self.cells(inputs)[0].mean(1 if batch_first else 0))

    loss = Net(built(Recurrent), normal(5, 5, 3))
    vector, tangents = loss.vector, normal(count, len(loss.vector), seed=1)
    _, products = Folded()(loss, (vector,), (tangents,))
    expected = by_double_backward(loss, (vector,), (tangents,))[1]
    torch.testing.assert_close(products, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("net", NETS)
def test_tangents_of_zero_give_zero(net: Callable[[], Net]) -> None:
    loss = net()
    _, products = Folded()(loss, (loss.vector,), (torch.zeros(2, len(loss.vector)),))
    assert products.abs().max() < 1e-15


def test_the_tangents_are_left_as_they_were() -> None:
    vector, tangents = normal(6), normal(3, 6, seed=1)
    before = tangents.clone()
    _, products = Folded()(OPERATORS["quadratic"], (vector,), (tangents,))
    products += 1
    Folded()(lambda w: F.relu(w).pow(3).sum(), (vector,), (tangents,))
    assert torch.equal(tangents, before)


def test_an_operator_that_nothing_follows_is_named() -> None:
    def loss(w: Tensor) -> Tensor:
        return (torch.bernoulli(w.sigmoid()) * w).sum() + F.rrelu(w, training=True).sum()

    with pytest.raises(SearcherError, match=r"no tangents through aten\.rrelu"):
        Folded()(loss, (normal(6),), (normal(2, 6),))


def test_the_fastest_way_is_one_of_them_and_keeps_to_the_memory() -> None:
    loss = relu_net()
    assert isinstance(fastest(loss, loss.vector, 9), (Folded, OneByOne))
    assert fastest(loss, loss.vector, 9, memory=1) in (Folded(1), OneByOne())


@pytest.mark.parametrize(("device", "runs"), [("cpu", 1), ("meta", 2)])
def test_a_probe_does_not_count_what_a_gpu_does_once(device: str, runs: int, monkeypatch) -> None:
    """A made-up one, whose first run of anything takes ten seconds, and each later one a second."""
    now = [0.0]

    def work() -> float:
        now[0] += 1.0 if now[0] else 10.0
        return now[0]

    clock = "searchers.hypergradients.tangents.products.clock"
    monkeypatch.setattr(clock, lambda device: now[0])
    seconds, result = _timed(torch.zeros(2, device=device), work)
    assert (seconds, result) == ((10.0, 10.0) if runs == 1 else (1.0, 11.0))


def test_one_by_one_is_no_choice_where_it_differs() -> None:
    def loss(w: Tensor) -> Tensor:
        return (w**2).sum() / (w * A).detach().norm()

    assert isinstance(fastest(loss, normal(6), 1), Folded)
