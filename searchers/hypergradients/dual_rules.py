"""What the operators of usual networks, and of their backward passes, do to K tangents.

Products are bilinear, so a tangent of one factor needs the other's primal alone, and all K go
through one call: folded into the batch, or (one batch, K different kernels) into the channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from searchers.hypergradients.dual import Dual, dual, primal_of, rule, tangent_of

aten = torch.ops.aten


def added(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second


def count_of(*tangents: Tensor | None) -> int:
    return next(len(tangent) for tangent in tangents if tangent is not None)


def against(tangent: Tensor, dims: int) -> Tensor:
    """(K, *shape) as it broadcasts against ``dims`` dimensions."""
    missing = dims + 1 - tangent.dim()
    return tangent.view(len(tangent), *[1] * missing, *tangent.shape[1:]) if missing else tangent


# Structure


@rule(aten.view.default, aten._unsafe_view.default, aten.reshape.default)
def _view(func: Any, x: Dual, shape: list[int]) -> Dual:
    primal = func(x.primal, shape)
    return Dual(primal, x.tangent.reshape(len(x.tangent), *primal.shape))


@rule(aten.t.default)
def _transposed(func: Any, x: Dual) -> Dual:
    return Dual(func(x.primal), x.tangent.transpose(1, 2) if x.dim() == 2 else x.tangent)


@rule(aten.detach.default, aten.alias.default, aten.clone.default)
def _same(func: Any, x: Dual, **how: Any) -> Dual:
    return Dual(func(x.primal, **how), x.tangent)


@rule(aten.expand.default)
def _expanded(func: Any, x: Dual, shape: list[int]) -> Dual:
    primal = func(x.primal, shape)
    return Dual(primal, against(x.tangent, primal.dim()).expand(-1, *primal.shape))


@rule(aten.split_with_sizes.default)
def _split(func: Any, x: Dual, sizes: list[int], dim: int = 0) -> list[Dual]:
    tangents = x.tangent.split(list(sizes), dim % x.dim() + 1)
    return [Dual(*part) for part in zip(func(x.primal, sizes, dim), tangents, strict=True)]


@rule(aten.cat.default)
def _joined(func: Any, parts: list[Tensor], dim: int = 0) -> Dual:
    count = count_of(*map(tangent_of, parts))
    tangents = [
        x.tangent if isinstance(x, Dual) else x.new_zeros(()).expand(count, *x.shape) for x in parts
    ]
    primal = func([primal_of(x) for x in parts], dim)
    return Dual(primal, torch.cat(tangents, dim % parts[0].dim() + 1))


@rule(
    aten.empty_like.default,
    aten.zeros_like.default,
    aten.ones_like.default,
    aten.new_zeros.default,
    aten.new_ones.default,
    aten.new_empty.default,
)
def _fresh(func: Any, x: Dual, *args: Any, **how: Any) -> Tensor:
    return func(x.primal, *args, **how)


# Arithmetic


@rule(aten.add.Tensor)
def _add(func: Any, a: Any, b: Any, alpha: float = 1) -> Dual:
    primal = func(primal_of(a), primal_of(b), alpha=alpha)
    left, right = (
        None if t is None else against(t, primal.dim()) for t in (tangent_of(a), tangent_of(b))
    )
    if right is not None:
        tangent = right * alpha if left is None else torch.add(left, right, alpha=alpha)
    else:
        assert left is not None
        tangent = left
    return Dual(primal, tangent.expand(-1, *primal.shape))


@rule(aten.mul.Tensor)
def _mul(func: Any, a: Any, b: Any) -> Dual:
    primal = func(primal_of(a), primal_of(b))
    parts = [
        None if t is None else against(t, primal.dim()) * primal_of(other)
        for t, other in ((tangent_of(a), b), (tangent_of(b), a))
    ]
    tangent = added(*parts)
    assert tangent is not None
    return Dual(primal, tangent)


@rule(aten.sum.dim_IntList, aten.mean.dim)
def _reduced(func: Any, x: Dual, dims: list[int], keepdim: bool = False, **how: Any) -> Dual:
    chosen = dims if dims else range(x.dim())
    behind = [d % x.dim() + 1 for d in chosen]
    primal = func(x.primal, dims, keepdim, **how)
    return Dual(primal, func(x.tangent, behind, keepdim, **how))


@rule(aten.relu.default)
def _relu(func: Any, x: Dual) -> Dual:
    primal = func(x.primal)
    return Dual(primal, aten.threshold_backward(x.tangent, primal, 0))


@rule(aten.threshold_backward.default)
def _relu_backward(func: Any, upstream: Any, outputs: Any, threshold: float) -> Tensor:
    mask = primal_of(outputs)
    tangent = tangent_of(upstream)
    changed = None if tangent is None else func(tangent, mask, threshold)
    return dual(func(primal_of(upstream), mask, threshold), changed)


@rule(aten.tanh.default)
def _tanh(func: Any, x: Dual) -> Dual:
    primal = func(x.primal)
    return Dual(primal, aten.tanh_backward(x.tangent, primal))


@rule(aten.tanh_backward.default)
def _tanh_backward(func: Any, upstream: Any, outputs: Any) -> Dual:
    up, out = primal_of(upstream), primal_of(outputs)
    by_up, by_out = tangent_of(upstream), tangent_of(outputs)
    tangent = added(
        None if by_up is None else func(by_up, out),
        None if by_out is None else by_out * (-2 * up * out),
    )
    assert tangent is not None
    return Dual(func(up, out), tangent)


# Matrix products


def _left_product(tangent: Tensor, right: Tensor) -> Tensor:
    """(K, m, n) @ (n, p), whichever of K and m is the outer one in memory."""
    count, m, n = tangent.shape
    if tangent.stride(1) == count * tangent.stride(0):
        return (tangent.transpose(0, 1).reshape(-1, n) @ right).view(m, count, -1).transpose(0, 1)
    return (tangent.reshape(-1, n) @ right).view(count, m, -1)


def _right_product(left: Tensor, tangent: Tensor) -> Tensor:
    """(m, n) @ (K, n, p), K behind m in memory."""
    count, n, p = tangent.shape
    wide = tangent.transpose(0, 1).reshape(n, count * p)
    return (left @ wide).view(-1, count, p).transpose(0, 1)


def _products(a: Any, b: Any) -> Tensor | None:
    by_a, by_b = tangent_of(a), tangent_of(b)
    return added(
        None if by_a is None else _left_product(by_a, primal_of(b)),
        None if by_b is None else _right_product(primal_of(a), by_b),
    )


@rule(aten.mm.default)
def _mm(func: Any, a: Any, b: Any) -> Tensor:
    return dual(func(primal_of(a), primal_of(b)), _products(a, b))


@rule(aten.addmm.default)
def _addmm(func: Any, bias: Any, a: Any, b: Any) -> Tensor:
    primal = func(primal_of(bias), primal_of(a), primal_of(b))
    tangent, by_bias = _products(a, b), tangent_of(bias)
    if by_bias is not None:
        spread = against(by_bias, 2)
        tangent = spread.expand(-1, *primal.shape) if tangent is None else tangent.add_(spread)
    return dual(primal, tangent)


# Losses


@rule(aten._log_softmax.default)
def _log_softmax(func: Any, x: Dual, dim: int, half: bool) -> Dual:
    primal = func(x.primal, dim, half)
    behind = dim % x.dim() + 1
    return Dual(primal, x.tangent - (x.tangent * primal.exp()).sum(behind, keepdim=True))


@rule(aten._log_softmax_backward_data.default)
def _log_softmax_backward(func: Any, upstream: Any, outputs: Any, dim: int, dtype: Any) -> Dual:
    up, out = primal_of(upstream), primal_of(outputs)
    by_up, by_out = tangent_of(upstream), tangent_of(outputs)
    soft = out.exp()
    tangent = None
    if by_out is not None:
        tangent = by_out * -(soft * up.sum(dim, keepdim=True))
    if by_up is not None:
        whole = by_up.sum(dim % out.dim() + 1, keepdim=True)
        tangent = added(tangent, by_up - soft * whole)
    assert tangent is not None
    return Dual(func(up, out, dim, dtype), tangent)


@rule(aten.nll_loss_forward.default)
def _likelihood(func: Any, x: Dual, *rest: Any) -> tuple[Dual, Tensor]:
    primal, weight = func(x.primal, *rest)
    return Dual(primal, torch.stack([func(each, *rest)[0] for each in x.tangent])), weight


@rule(aten.nll_loss_backward.default)
def _likelihood_backward(func: Any, upstream: Any, x: Any, *rest: Any) -> Tensor:
    primal, tangent = func(primal_of(upstream), primal_of(x), *rest), tangent_of(upstream)
    if tangent is None:
        return primal
    return Dual(primal, torch.stack([func(each, primal_of(x), *rest) for each in tangent]))
