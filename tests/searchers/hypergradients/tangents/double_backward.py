"""Networks and operators, and the products that reverse over reverse gives of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from searchers.hypergradients.tangents.products import Folded, Products
from trainables.batch_norm import patch_batch_norm

DOUBLE = torch.float64
FOLDED = Folded()
Loss = Callable[..., Tensor]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=DOUBLE)


class Net:
    """A module as a loss of its flat weights, with buffers of its own."""

    def __init__(self, module: nn.Module, inputs: Tensor, dtype: torch.dtype = DOUBLE):
        self.module = module.to(dtype).train()
        self.inputs = inputs.to(dtype)
        self.labels = torch.arange(len(inputs)) % 3
        self.buffers = {name: b.detach().clone() for name, b in module.named_buffers()}
        self.calls = 0

    @property
    def vector(self) -> Tensor:
        return torch.cat([p.detach().reshape(-1) for p in self.module.parameters()])

    def logits(self, vector: Tensor) -> Tensor:
        self.calls += 1
        state, begin = dict(self.buffers), 0
        for name, parameter in self.module.named_parameters():
            part = vector[begin : begin + parameter.numel()]
            state[name] = part.view(parameter.shape)
            begin += parameter.numel()
        return functional_call(self.module, state, (self.inputs,))

    def __call__(self, vector: Tensor) -> Tensor:
        return F.cross_entropy(self.logits(vector), self.labels)


def built(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


def tanh_net() -> Net:
    layers = [nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3)]
    return Net(built(lambda: nn.Sequential(*layers)), normal(7, 6))


def small_lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


def relu_net() -> Net:
    return Net(built(small_lenet), normal(4, 1, 12, 12))


def normalised() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.Conv2d(4, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4, affine=False),
        nn.Softplus(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.BatchNorm1d(4, track_running_stats=False),
        nn.Linear(4, 3),
    )


def normalised_net() -> Net:
    return Net(built(normalised), normal(5, 2, 8, 8))


def hastened_net() -> Net:
    return Net(patch_batch_norm(built(normalised)), normal(5, 2, 8, 8))


def grouped_net() -> Net:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(2, 4, 3, groups=2),
            nn.GroupNorm(2, 4),
            nn.ConvTranspose2d(4, 2, 2),
            nn.GELU(),
            nn.Conv2d(2, 3, 3, dilation=2),
            nn.Flatten(),
            nn.LayerNorm(27),
            nn.Linear(27, 3),
        )

    return Net(built(make), normal(4, 2, 8, 8))


NETS = (tanh_net, relu_net, normalised_net, hastened_net, grouped_net)


def by_double_backward(
    loss: Loss, inputs: tuple[Tensor, ...], tangents: tuple[Tensor | None, ...]
) -> tuple[Tensor, Tensor]:
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    slopes = torch.autograd.grad(loss(*leaves), leaves, create_graph=True)
    count = next(len(t) for t in tangents if t is not None)
    products = []
    for k in range(count):
        pairs = zip(slopes, tangents, strict=True)
        along = sum((slope * t[k]).sum() for slope, t in pairs if t is not None)
        products.append(torch.autograd.grad(along, leaves[0], retain_graph=True)[0])
    return slopes[0].detach(), torch.stack(products)


def agrees(
    loss: Loss,
    inputs: tuple[Tensor, ...],
    tangents: tuple[Tensor | None, ...],
    way: Products = FOLDED,
) -> None:
    expected = by_double_backward(loss, inputs, tangents)
    for found, right in zip(way(loss, inputs, tangents), expected, strict=True):
        assert found.shape == right.shape
        scale = max(1.0, float(right.abs().max()))
        torch.testing.assert_close(found, right, rtol=0, atol=1e-12 * scale)


A = normal(6, seed=5)


OPERATORS: dict[str, Loss] = {
    "cross entropy, smoothed": lambda w: F.cross_entropy(
        w.view(2, 3) ** 2, torch.tensor([0, 2]), label_smoothing=0.1
    ),
    "cross entropy, weighted": lambda w: F.cross_entropy(
        w.view(2, 3) ** 2, torch.tensor([0, 2]), weight=A[:3].abs()
    ),
    "mean squared error": lambda w: F.mse_loss(w.tanh(), A),
    "binary cross entropy": lambda w: F.binary_cross_entropy_with_logits(w * w, (A > 0).double()),
    "softmax": lambda w: (w.view(2, 3) ** 2).softmax(0).square().sum(),
    "logsumexp": lambda w: (w.view(2, 3) @ w.view(3, 2)).logsumexp(0).sum(),
    "einsum": lambda w: torch.einsum("ij,kj->ik", w.view(2, 3), w.view(2, 3).sin()).square().sum(),
    "addmm": lambda w: (
        torch.addmm(w[:3], w.view(2, 3), w.view(3, 2) @ w.view(2, 3), alpha=2, beta=3)
        .square()
        .sum()
    ),
    "addmm, a number for a bias": lambda w: (
        torch.addmm(w[0] ** 2, w.view(2, 3), w.view(3, 2)).square().sum()
    ),
    "trace": lambda w: (w[:4].view(2, 2).trace() * w.sum()) ** 2,
    "baddbmm": lambda w: (
        torch.baddbmm(w.view(1, 2, 3), w[:4].view(1, 2, 2), w.view(1, 2, 3)).square().sum()
    ),
    "matrix times vector": lambda w: (w[:4].view(2, 2).tanh() @ w[4:]).square().sum() * (w @ A),
    "norm": lambda w: torch.linalg.vector_norm(w * A) ** 3,
    "division": lambda w: (w / (1 + w.roll(1) ** 2)).square().sum() / (1 + w[0] ** 2),
    "subtraction": lambda w: (torch.sub(w, w.flip(0), alpha=3) ** 3).sum() + ((1 - w) ** 3).sum(),
    "where": lambda w: torch.where(w > 0, w**2, w**3).sum() * w.sum(),
    "maximum": lambda w: (w.view(2, 3).amax(1) ** 3).sum() + w.view(2, 3).max(0).values.prod(),
    "clamp": lambda w: w.clamp(-0.5, 0.5).square().sum() * w.sum(),
    "cat and stack": lambda w: (
        torch.cat([w[:2] ** 2, A, torch.stack([w[2], w[3] ** 2])]).square().sum()
    ),
    "cumulative sum": lambda w: (w.cumsum(0) ** 3).sum(),
    "unfold": lambda w: (w.unfold(0, 3, 1) ** 3).sum(),
    "diagonal": lambda w: (w[:4].view(2, 2).diagonal() ** 3).sum() + w.sum() ** 2,
    "embedding": lambda w: (F.embedding(torch.tensor([0, 1, 1]), w.view(2, 3)) ** 3).sum(),
    "average pooling": lambda w: F.avg_pool2d(w[:4].view(1, 1, 2, 2) ** 2, 2).square().sum(),
    "a convolution of one dimension": lambda w: (
        F.conv1d(w.view(1, 1, 6), w[:2].view(1, 1, 2)).tanh().square().sum()
    ),
    "native dropout": lambda w: torch.native_dropout(w * w, 0.0, True)[0].square().sum(),
    "linear": lambda w: w @ A,
    "quadratic": lambda w: 0.5 * w @ w,
}
