"""Many Hessian-vector products at once are the ones that double backward gives one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from searchers.hypergradients.tangents.products import Folded


class Residual(nn.Module):
    """Batch normalisation, a strided shortcut, a mean over space."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
        self.shortcut = nn.Conv2d(2, 4, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        active = torch.relu(self.norm(x))
        return (self.conv(active) + self.shortcut(active)).mean((2, 3))


class Unusual(nn.Module):
    """Operators that nobody wrote a rule for."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(72), nn.Linear(72, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.gelu(self.norm(x.flatten(1)))
        return nn.functional.softplus(torch.einsum("bi,oi->bo", y, self.linear.weight.sin()))


NETS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(72, 5), nn.Tanh(), nn.Linear(5, 4)),
    "lenet": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 2, 2), nn.ReLU(),
        nn.Flatten(), nn.Linear(2, 4),
    ),
    "overlapping pools": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, dilation=1), nn.MaxPool2d(3, 1), nn.Flatten(),
        nn.Linear(48, 4),
    ),
    "groups": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 4)
    ),
    "in place": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(48, 4)
    ),
    "residual": Residual,
    "batch norm": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(72, 6), nn.BatchNorm1d(6), nn.Sigmoid(), nn.Linear(6, 4)
    ),
    "dropout": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(72, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 4)
    ),
    "unusual": Unusual,
}  # fmt: skip


class Problem:
    """A network's loss as a function of its flat weights; counts what it writes into buffers."""

    def __init__(self, name: str):
        torch.manual_seed(0)
        self.model = NETS[name]().double()
        self.shapes = {n: p.shape for n, p in self.model.named_parameters()}
        self.vector = torch.cat([p.detach().reshape(-1) for p in self.model.parameters()])
        self.inputs = torch.randn(7, 2, 6, 6, dtype=torch.float64)
        self.labels = torch.randint(4, (7,))

    def loss(self, vector: Tensor, ridge: Tensor | None = None) -> Tensor:
        torch.manual_seed(5)  # dropout
        parts = vector.split([shape.numel() for shape in self.shapes.values()])
        pairs = zip(self.shapes.items(), parts, strict=True)
        weights = {name: part.view(shape) for (name, shape), part in pairs}
        buffers = dict(self.model.named_buffers())
        logits = functional_call(self.model, {**weights, **buffers}, (self.inputs,))
        loss = cross_entropy(logits, self.labels, label_smoothing=0.1)
        return loss if ridge is None else loss + ridge.exp() * vector.square().sum()


def one_by_one(loss, vector: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    leaf = vector.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True)
    products = [torch.autograd.grad(slope, leaf, d, retain_graph=True)[0] for d in directions]
    return slope.detach(), torch.stack(products)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("name", NETS)
def test_products_are_those_of_double_backward(name: str, count: int) -> None:
    problem = Problem(name)
    directions = torch.randn(count, len(problem.vector), dtype=torch.float64)
    expected = one_by_one(problem.loss, problem.vector, directions)
    found = Folded()(problem.loss, (problem.vector,), (directions,))
    for want, got in zip(expected, found, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("still", [True, False])
def test_the_mixed_derivative_by_another_input(still: bool) -> None:
    problem, ridge = Problem("mlp"), torch.tensor(-1.0, dtype=torch.float64)
    count, size = 3, len(problem.vector)
    directions = None if still else torch.randn(count, size, dtype=torch.float64)
    rates = torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64)
    inputs = (problem.vector, ridge)
    _, found = Folded()(problem.loss, inputs, (directions, rates))
    expected = torch.outer(rates, 2 * ridge.exp() * problem.vector)
    if directions is not None:
        at_rest = one_by_one(lambda v: problem.loss(v, ridge), problem.vector, directions)
        expected = expected + at_rest[1]
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)


def test_running_statistics_move_once_and_as_they_would() -> None:
    ours, plain = Problem("residual"), Problem("residual")
    plain.loss(plain.vector)
    Folded()(ours.loss, (ours.vector,), (torch.ones(3, len(ours.vector)),))
    for moved, expected in zip(ours.model.buffers(), plain.model.buffers(), strict=True):
        assert torch.equal(moved, expected)


def test_zero_tangents_give_zeros_also_where_a_root_is_zero() -> None:
    def loss(vector: Tensor) -> Tensor:
        return (vector.square() + 1).sqrt().sum()

    vector = torch.zeros(4, dtype=torch.float64)
    _, found = Folded()(loss, (vector,), (torch.zeros(2, 4).double(),))
    assert torch.equal(found, torch.zeros(2, 4).double())


def test_a_gradient_that_does_not_change_has_no_tangents() -> None:
    weights = torch.arange(3.0)
    slope, found = Folded()(lambda v: v @ weights, (weights,), (torch.ones(2, 3),))
    assert torch.equal(slope, weights)
    assert torch.equal(found, torch.zeros(2, 3))
