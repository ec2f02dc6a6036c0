"""Hessian-vector products and mixed derivatives, against torch's own two ways to get them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from searchers.errors import SearcherError
from searchers.hypergradients.tangents import rules_of_convolution
from searchers.hypergradients.tangents.products import Folded, OneByOne, fastest, gradient_tangents
from searchers.hypergradients.tangents.shadows import Region, Shadows
from trainables.batch_norm import hasten
from trainables.models import lenet

DOUBLE = torch.float64
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
    return Net(hasten(built(normalised)), normal(5, 2, 8, 8))


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
    way=gradient_tangents,
) -> None:
    expected = by_double_backward(loss, inputs, tangents)
    for found, right in zip(way(loss, inputs, tangents), expected, strict=True):
        assert found.shape == right.shape
        scale = max(1.0, float(right.abs().max()))
        torch.testing.assert_close(found, right, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("net", NETS)
def test_networks_agree_with_double_backward(net: Callable[[], Net], count: int) -> None:
    loss = net()
    agrees(loss, (loss.vector,), (normal(count, len(loss.vector), seed=1),))


@pytest.mark.parametrize("net", [tanh_net, relu_net])
def test_networks_agree_with_forward_over_reverse(net: Callable[[], Net]) -> None:
    loss = net()
    tangents = normal(3, len(loss.vector), seed=1)
    _, products = gradient_tangents(loss, (loss.vector,), (tangents,))
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
    gradient, products = gradient_tangents(net, (net.vector,), (tangents,))
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
    _, products = gradient_tangents(loss, inputs, tangents)
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


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str) -> None:
    if name == "linear":  # its gradient does not move
        gradient, products = gradient_tangents(OPERATORS[name], (normal(6),), (normal(2, 6),))
        assert torch.equal(gradient, A)
        assert not products.any()
        return
    for count in (1, 2, 3):
        agrees(OPERATORS[name], (normal(6),), (normal(count, 6, seed=1),))


def in_place_on_a_view(w: Tensor) -> Tensor:
    h = w * A
    h[:3].tanh_()
    return (h**3).sum()


def in_place_across_a_transpose(w: Tensor) -> Tensor:
    h = (w * A).view(2, 3)
    h.t()[1:].relu_()
    return (h**3).sum()


def in_place_after_it_was_read(w: Tensor) -> Tensor:
    h = w * A
    before = h.sum() + h.expm1().sum()  # autograd keeps its result, a rule its argument
    h.mul_(w)
    h += w**2
    h -= 1
    return (h**2).sum() * before


def written_into_zeros(w: Tensor) -> Tensor:
    h = torch.zeros(6, dtype=DOUBLE)
    h[:3] = w[:3] ** 2
    h[torch.tensor([3, 5])] = w[3:5].sin()
    return (h**3).sum()


def random_then_written(w: Tensor) -> Tensor:
    h = w**2
    with torch.random.fork_rng():
        torch.manual_seed(3)
        h[:3].normal_()
    return (h**3).sum()


def overwritten(w: Tensor) -> Tensor:
    h = w**2
    h[:2].zero_()
    h[2:4].fill_(3.0)
    return (h**3).sum()


def in_place_on_parts_of_a_copied_tensor(w: Tensor) -> Tensor:
    h = w * 1.0
    h[:4] *= 2.0
    c = h.clone()
    h[4:8] *= 3.0
    return (c**3 + h**2).sum()


def in_place_power(w: Tensor) -> Tensor:
    return ((w * A).pow_(2) * torch.linalg.vector_norm(w, ord=3)).sum()


def in_place_view(w: Tensor) -> Tensor:
    return ((w * A).view(2, 3).t_().unsqueeze_(0).squeeze_(0) @ w[:2]).pow(2).sum()


class IntoAScratch(torch.autograd.Function):
    """A backward pass that writes into memory which it has used before."""

    scratch = torch.zeros(6, dtype=DOUBLE)

    @staticmethod
    def forward(ctx, w: Tensor) -> Tensor:
        ctx.save_for_backward(w)
        return w.pow(3).sum()

    @staticmethod
    def backward(ctx, upstream: Tensor) -> Tensor:
        (w,) = ctx.saved_tensors
        scratch = IntoAScratch.scratch
        torch.mul(A, 2.0, out=scratch)
        first = scratch * w
        torch.mul(A, 3.0, out=scratch)
        return upstream * (first + scratch * w**2)


def test_memory_that_is_written_by_name_after_it_was_read() -> None:
    vector, tangents = normal(6), normal(3, 6, seed=1)
    _, products = gradient_tangents(IntoAScratch.apply, (vector,), (tangents,))
    torch.testing.assert_close(products, tangents * (2 * A + 6 * A * vector))


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
    _, products = gradient_tangents(loss, (vector,), (tangents,))
    expected = by_double_backward(loss, (vector,), (tangents,))[1]
    torch.testing.assert_close(products, expected, rtol=0, atol=1e-9)


REFUSED: dict[str, Loss] = {
    "complex numbers": lambda w: torch.fft.rfft(w.tanh()).abs().pow(2).sum(),
    "aten._linalg_det": lambda w: torch.linalg.det(w[:4].view(2, 2)) ** 2,
    "aten._linalg_solve_ex": lambda w: torch.linalg.solve(w[:4].view(2, 2), w[4:]).sum(),
    "aten.scatter_reduce": lambda w: w.scatter_reduce(
        0, torch.tensor([0, 0, 1, 1, 2, 2]), w * A, "prod"
    ).sum(),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_torch_differentiates_wrongly_is_refused(what: str) -> None:
    with pytest.raises(SearcherError, match=f"no tangents .*{what}"):
        gradient_tangents(REFUSED[what], (normal(6),), (normal(2, 6),))


def test_class_weights_that_move_are_refused() -> None:
    def loss(w: Tensor, a: Tensor) -> Tensor:
        return F.cross_entropy(w.view(2, 3), torch.tensor([0, 2]), weight=a.exp())

    with pytest.raises(SearcherError, match="no tangents through class weights"):
        gradient_tangents(loss, (normal(6), normal(3)), (normal(2, 6), normal(2, 3)))


@pytest.mark.parametrize(
    "loss",
    [
        in_place_on_parts_of_a_copied_tensor,
        in_place_power,
        in_place_view,
        in_place_on_a_view,
        in_place_across_a_transpose,
        in_place_after_it_was_read,
        written_into_zeros,
        overwritten,
        random_then_written,
    ],
)
def test_what_is_written_in_place(loss: Loss) -> None:
    agrees(loss, (normal(6),), (normal(3, 6, seed=1),))


def test_a_loss_that_writes_into_its_own_buffer() -> None:
    def loss(w: Tensor) -> Tensor:
        mean.mul_(0.9).add_(w.detach(), alpha=0.1)
        return (w**3).sum()

    mean = torch.zeros(6, dtype=DOUBLE)
    vector, tangents = normal(6), normal(3, 6, seed=1)
    _, products = gradient_tangents(loss, (vector,), (tangents,))
    torch.testing.assert_close(mean, 0.1 * vector)
    torch.testing.assert_close(products, 6 * vector * tangents)


def test_what_is_detached_moves_as_finite_differences_do() -> None:
    def loss(w: Tensor) -> Tensor:
        return (w**2).sum() / (w * A).detach().norm()

    def slope(w: Tensor) -> Tensor:
        leaf = w.clone().requires_grad_()
        return torch.autograd.grad(loss(leaf), leaf)[0]

    vector, tangent = normal(6), normal(1, 6, seed=1)
    _, products = gradient_tangents(loss, (vector,), (tangent,))
    right = (slope(vector + 1e-6 * tangent[0]) - slope(vector - 1e-6 * tangent[0])) / 2e-6
    torch.testing.assert_close(products[0], right, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("net", NETS)
def test_tangents_of_zero_give_zero(net: Callable[[], Net]) -> None:
    loss = net()
    _, products = gradient_tangents(loss, (loss.vector,), (torch.zeros(2, len(loss.vector)),))
    assert products.abs().max() < 1e-15


def test_the_tangents_are_left_as_they_were() -> None:
    vector, tangents = normal(6), normal(3, 6, seed=1)
    before = tangents.clone()
    _, products = gradient_tangents(OPERATORS["quadratic"], (vector,), (tangents,))
    products += 1
    gradient_tangents(lambda w: F.relu(w).pow(3).sum(), (vector,), (tangents,))
    assert torch.equal(tangents, before)


def test_an_operator_that_nothing_follows_is_named() -> None:
    def loss(w: Tensor) -> Tensor:
        return (torch.bernoulli(w.sigmoid()) * w).sum() + F.rrelu(w, training=True).sum()

    with pytest.raises(SearcherError, match=r"no tangents through aten\.rrelu"):
        gradient_tangents(loss, (normal(6),), (normal(2, 6),))


def test_the_fastest_way_is_one_of_them_and_keeps_to_the_memory() -> None:
    loss = relu_net()
    assert isinstance(fastest(loss, loss.vector, 9), (Folded, OneByOne))
    assert fastest(loss, loss.vector, 9, memory=1) in (Folded(1), OneByOne())


def test_one_by_one_is_no_choice_where_it_differs() -> None:
    def loss(w: Tensor) -> Tensor:
        return (w**2).sum() / (w * A).detach().norm()

    assert isinstance(fastest(loss, normal(6), 1), Folded)


VIEWS: list[Callable[[Tensor], Tensor]] = [
    lambda x: x.transpose(0, 1),
    lambda x: x[1:],
    lambda x: x[:, ::2],
    lambda x: x[0],
    lambda x: x.flatten(),
    lambda x: x.unfold(0, 2, 1),
    lambda x: x.unsqueeze(0).expand(3, *x.shape),
    lambda x: x.diagonal(),
    lambda x: x[..., -1],
]


@settings(max_examples=150)
@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    seed=st.integers(0, 1000),
    chosen=st.lists(st.sampled_from(VIEWS), max_size=4),
    write=st.booleans(),
)
def test_a_view_sees_its_tangents(shape: list[int], seed: int, chosen: list, write: bool) -> None:
    """Wherever K lies among the dimensions in memory, a view of a tensor has a view's tangents."""
    order = torch.randperm(len(shape) + 1, generator=seeded(seed)).tolist()
    whole = [3, *shape]
    tangents = normal(*[whole[d] for d in order]).permute(
        [order.index(d) for d in range(len(order))]
    )
    base = torch.arange(torch.Size(shape).numel()).view(shape)

    view, seen = base, tangents
    for one in chosen:
        try:
            view, seen = one(view), torch.func.vmap(one)(seen)
        except (IndexError, RuntimeError):  # this view is not for this shape
            break
        if not view.numel():
            return
    if view.untyped_storage().data_ptr() != base.untyped_storage().data_ptr():
        return

    def region(tensor: Tensor) -> Region:
        place = tensor.size(), tensor.stride(), tensor.storage_offset()
        return Region(0, *place, base.numel(), DOUBLE)

    shadows = Shadows([(region(base), tangents)])
    assert torch.equal(shadows.read(region(view)), seen)
    if write and not torch._debug_has_internal_overlap(view):
        kept = tangents.clone()
        shadows.overwrite(region(view), 2 * seen)
        changed = torch.isin(base, view.reshape(-1))
        expected = torch.where(changed, 2 * kept, kept)
        assert torch.equal(shadows.read(region(base)), expected)
        assert torch.equal(tangents, kept)
