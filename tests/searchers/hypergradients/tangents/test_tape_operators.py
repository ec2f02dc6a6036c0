"""Operators one by one: out of place, in place, and those that are refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from searchers.errors import SearcherError
from searchers.hypergradients.tangents.products import Folded
from tests.searchers.hypergradients.tangents.double_backward import (
    DOUBLE,
    OPERATORS,
    A,
    Loss,
    agrees,
    normal,
)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str) -> None:
    if name == "linear":  # its gradient does not move
        gradient, products = Folded()(OPERATORS[name], (normal(6),), (normal(2, 6),))
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
    _, products = Folded()(IntoAScratch.apply, (vector,), (tangents,))
    torch.testing.assert_close(products, tangents * (2 * A + 6 * A * vector))


REFUSED: dict[str, Loss] = {
    "aten._linalg_det": lambda w: torch.linalg.det(w[:4].view(2, 2)) ** 2,
    "aten._linalg_solve_ex": lambda w: torch.linalg.solve(w[:4].view(2, 2), w[4:]).sum(),
    "aten.scatter_reduce": lambda w: w.scatter_reduce(
        0, torch.tensor([0, 0, 1, 1, 2, 2]), w * A, "prod"
    ).sum(),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_torch_differentiates_wrongly_is_refused(what: str) -> None:
    with pytest.raises(SearcherError, match=f"no tangents .*{what}"):
        Folded()(REFUSED[what], (normal(6),), (normal(2, 6),))


TURN = torch.polar(torch.ones(3, dtype=DOUBLE), normal(3, seed=2))


def rotary_positions(w: Tensor) -> Tensor:
    turned = torch.view_as_complex((w * A).unflatten(-1, (3, 2))) * TURN
    return (torch.view_as_real(turned) ** 3).sum()


def complex_only_in_a_view(w: Tensor) -> Tensor:
    return (torch.view_as_complex(w.view(3, 2)) * TURN).real.pow(3).sum()


def written_as_reals_and_read_as_complex(w: Tensor) -> Tensor:
    z = torch.zeros(3, dtype=TURN.dtype)
    torch.view_as_real(z).copy_((w**2).view(3, 2))
    return (z * TURN).abs().pow(3).sum()


def written_into_the_parts_of_complex_numbers(w: Tensor) -> Tensor:
    z = torch.zeros(3, dtype=TURN.dtype)
    z.real.copy_(w[:3] ** 2)
    z.imag.copy_(w[3:] ** 3)
    return torch.view_as_real(z).pow(3).sum()


def an_imaginary_part_of_a_conjugate(w: Tensor) -> Tensor:
    return torch.view_as_complex((w**2).view(3, 2)).conj().imag.pow(3).sum()


COMPLEX: list[Loss] = [
    rotary_positions,
    complex_only_in_a_view,
    written_as_reals_and_read_as_complex,
    written_into_the_parts_of_complex_numbers,
    an_imaginary_part_of_a_conjugate,
    lambda w: torch.fft.rfft(w.tanh()).abs().pow(2).sum(),
    lambda w: torch.fft.fft(w).real.pow(3).sum(),
    lambda w: torch.complex(w[:3], w[3:]).abs().pow(3).sum(),
    lambda w: torch.polar(w[:3] ** 2, w[3:]).real.pow(3).sum(),
    lambda w: (w[:3] * TURN).abs().pow(3).sum(),
    lambda w: torch.linalg.eigvals(torch.outer(w, w) + torch.diag(A)).abs().sum(),
]


@pytest.mark.parametrize("loss", COMPLEX)
def test_complex_numbers_are_refused_by_themselves_and_in_views(loss: Loss) -> None:
    with pytest.raises(SearcherError, match=r"no tangents of complex numbers .*: use reverse mode"):
        Folded()(loss, (normal(6),), (normal(2, 6),))


def test_complex_numbers_that_stay_may_be_read() -> None:
    agrees(
        lambda w: ((w[:3] ** 3) * (TURN * TURN).real).pow(3).sum(), (normal(6),), (normal(2, 6),)
    )


@pytest.mark.parametrize(
    "loss",
    [
        lambda w: torch._neg_view(w**2).pow(3).sum(),
        lambda w: ((w**2).view(torch.int64).view(DOUBLE) * w).sum(),
        lambda w: ((w**2).view(torch.float32).double().sum() * w).sum(),
    ],
)
def test_memory_that_is_read_as_other_numbers_is_refused(loss: Loss) -> None:
    with pytest.raises(SearcherError, match="no tangents of numbers that are read as others"):
        Folded()(loss, (normal(6),), (normal(2, 6),))


def nested(w: Tensor) -> Tensor:
    parts = torch.nested.as_nested_tensor([(w**2)[:2], (w**2)[2:]])
    return torch.nested.to_padded_tensor(parts, 0.0).pow(3).sum()


@pytest.mark.parametrize(
    "loss",
    [
        lambda w: torch.sparse.mm(torch.diag(w**2).to_sparse(), w[:, None]).sum(),
        lambda w: (torch.eye(6, dtype=DOUBLE).to_sparse_csr() @ (w**2)[:, None]).pow(2).sum(),
        lambda w: torch.sparse.mm(torch.eye(6, dtype=DOUBLE).to_sparse(), w[:, None]).pow(3).sum(),
        nested,
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:The PyTorch API of nested tensors")
def test_tensors_of_several_storages_are_refused(loss: Loss) -> None:
    with pytest.raises(SearcherError, match="no tangents of sparse or nested tensors"):
        Folded()(loss, (normal(6),), (normal(2, 6),))


def test_a_sparse_constant_may_become_a_dense_one() -> None:
    matrix = torch.diag(A).to_sparse()
    agrees(lambda w: (matrix.to_dense() @ w**2).pow(2).sum(), (normal(6),), (normal(2, 6),))


def test_class_weights_that_move_are_refused() -> None:
    def loss(w: Tensor, a: Tensor) -> Tensor:
        return F.cross_entropy(w.view(2, 3), torch.tensor([0, 2]), weight=a.exp())

    with pytest.raises(SearcherError, match="no tangents through class weights"):
        Folded()(loss, (normal(6), normal(3)), (normal(2, 6), normal(2, 3)))


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
    _, products = Folded()(loss, (vector,), (tangents,))
    torch.testing.assert_close(mean, 0.1 * vector)
    torch.testing.assert_close(products, 6 * vector * tangents)


def test_what_is_detached_moves_as_finite_differences_do() -> None:
    def loss(w: Tensor) -> Tensor:
        return (w**2).sum() / (w * A).detach().norm()

    def slope(w: Tensor) -> Tensor:
        leaf = w.clone().requires_grad_()
        return torch.autograd.grad(loss(leaf), leaf)[0]

    vector, tangent = normal(6), normal(1, 6, seed=1)
    _, products = Folded()(loss, (vector,), (tangent,))
    right = (slope(vector + 1e-6 * tangent[0]) - slope(vector - 1e-6 * tangent[0])) / 2e-6
    torch.testing.assert_close(products[0], right, rtol=1e-7, atol=1e-8)
