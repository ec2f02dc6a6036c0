"""Derivatives of arithmetic: element by element, sums, products of matrices, moved elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from searchers.hypergradients.tangents.rules import (
    Call,
    Gate,
    Push,
    Rule,
    Scaling,
    aten,
    rule,
    total,
)

# Nothing moves through these, or they have no derivative to speak of.


@rule(
    aten.zeros_like.default,
    aten.ones_like.default,
    aten.full_like.default,
    aten.empty_like.default,
    aten.rand_like.default,
    aten.randn_like.default,
    aten.new_zeros.default,
    aten.new_ones.default,
    aten.new_full.default,
    aten.new_empty.default,
    aten.new_empty_strided.default,
    aten.bernoulli.default,
    aten.bernoulli.p,
    aten.sign.default,
    aten.floor.default,
    aten.ceil.default,
    aten.round.default,
    aten.zero.default,
)
def _constant(call: Call, outs: tuple[Any, ...]) -> Push | None:
    return None


# Element by element.


class _Broadcast:
    """Tangents of an argument as they broadcast to a result."""

    def __init__(self, result: Tensor):
        self._dims, self._dtype = result.dim(), result.dtype

    def __call__(self, tangent: Tensor) -> Tensor:
        missing = self._dims + 1 - tangent.dim()
        if missing:
            tangent = tangent[(slice(None), *[None] * missing)]
        return tangent if tangent.dtype == self._dtype else tangent.to(self._dtype)


@rule(
    aten.neg.default,
    aten.mul.Scalar,
    aten.div.Scalar,
    aten.clone.default,
    aten._to_copy.default,
    aten.lift_fresh_copy.default,
)
def _linear(call: Call, outs: tuple[Any, ...]) -> Push:
    func, rest = call.func, call.args[1:]
    if func in (aten.neg.default, aten.mul.Scalar, aten.div.Scalar):
        return lambda t, *_: (func(t, *rest),)
    device = outs[0].device
    return lambda t: (t.to(device),)


@rule(aten.add.Tensor, aten.sub.Tensor)
def _add(call: Call, outs: tuple[Any, ...]) -> Push:
    broad, alpha = _Broadcast(outs[0]), call.kwargs.get("alpha", 1)
    sign = -alpha if call.func is aten.sub.Tensor else alpha

    def push(left: Tensor | None, right: Tensor | None) -> tuple[Tensor]:
        if right is None:
            assert left is not None
            return (broad(left),)
        right = broad(right)
        if left is None:
            return (right if sign == 1 else sign * right,)
        return (torch.add(broad(left), right, alpha=sign),)

    return push


@rule(aten.add.Scalar, aten.sub.Scalar)
def _shift(call: Call, outs: tuple[Any, ...]) -> Push:
    return lambda t, *_: (t,)


@rule(aten.rsub.Scalar)
def _reflect(call: Call, outs: tuple[Any, ...]) -> Push:
    alpha = call.argument(2, "alpha", 1)
    return lambda t, *_: (-alpha * t,)


@rule(aten.copy.default)
def _copy(call: Call, outs: tuple[Any, ...]) -> Push:
    broad = _Broadcast(outs[0])
    return lambda _, t, *__: (None if t is None else broad(t),)


@rule(aten.mul.Tensor)
def _multiply(call: Call, outs: tuple[Any, ...]) -> Push:
    broad = _Broadcast(outs[0])
    left = call.factor(0, 1)
    right = call.factor(1, 0)

    def push(by_left: Tensor | None, by_right: Tensor | None) -> tuple[Tensor | None]:
        return (
            total(
                None if by_left is None else broad(by_left) * right,
                None if by_right is None else broad(by_right) * left,
            ),
        )

    return push


@rule(aten.div.Tensor)
def _divide(call: Call, outs: tuple[Any, ...]) -> Push:
    divisor = call.args[1]
    broad = _Broadcast(outs[0])
    ratio: Any = -outs[0] / divisor if call.moving[1] else None

    def push(by_left: Tensor | None, by_right: Tensor | None) -> tuple[Tensor | None]:
        return (
            total(
                None if by_left is None else broad(by_left) / divisor,
                None if by_right is None else broad(by_right) * ratio,
            ),
        )

    return push


def _elementwise(slope: Callable[[Tensor, Tensor], Tensor]) -> Rule:
    """Of y = f(x), from its derivative as a function of x and y."""

    def of(call: Call, outs: tuple[Any, ...]) -> Push:
        return Scaling(slope(call.args[0], outs[0]))

    return of


for _operator, _slope in {
    aten.tanh.default: lambda x, y: 1 - y * y,
    aten.sigmoid.default: lambda x, y: y * (1 - y),
    aten.exp.default: lambda x, y: y,
    aten.log.default: lambda x, y: 1 / x,
    aten.abs.default: lambda x, y: x.sign(),
}.items():
    rule(_operator)(_elementwise(_slope))


@rule(aten.pow.Tensor_Scalar)
def _power(call: Call, outs: tuple[Any, ...]) -> Push | None:
    base, exponent = call.args
    if exponent == 0:
        return None
    return Scaling(exponent * base ** (exponent - 1))


@rule(aten.tanh_backward.default)
def _tanh_backward(call: Call, outs: tuple[Any, ...]) -> Push:
    upstream, value = call.args
    slope = 1 - value * value
    curve: Any = -2 * upstream * value if call.moving[1] else None

    def push(by_upstream: Tensor | None, by_value: Tensor | None) -> tuple[Tensor | None]:
        return (
            total(
                None if by_upstream is None else by_upstream * slope,
                None if by_value is None else by_value * curve,
            ),
        )

    return push


@rule(aten.threshold_backward.default, of=(0,))
def _threshold_backward(call: Call, outs: tuple[Any, ...]) -> Push:
    return Gate(call.args[1], call.args[2])


@rule(aten.relu.default)
def _relu(call: Call, outs: tuple[Any, ...]) -> Push:
    return Gate(outs[0], 0.0)


# Sums and products of matrices.


@rule(aten.sum.default, aten.mean.default, aten.sum.dim_IntList, aten.mean.dim)
def _reduce(call: Call, outs: tuple[Any, ...]) -> Push:
    shape = call.args[0].shape
    dims = call.argument(1, "dim", None) or range(len(shape))
    after = [1 + dim % len(shape) for dim in dims] if shape else []
    keep = call.argument(2, "keepdim", False)
    reduce = torch.mean if "mean" in call.func._schema.name else torch.sum
    if not after:
        return lambda t, *_: (t,)
    return lambda t, *_: (reduce(t, dim=after, keepdim=keep),)


def matrix_products(left: Tensor, right: Tensor) -> Tensor:
    """(K, n, m) × (m, p), or (n, m) × (K, m, p), or both with K, as few products as strides let."""
    if left.dim() == 2 and _mergeable(right.transpose(0, 1)):
        count, _, p = right.shape
        merged = left @ right.transpose(0, 1).flatten(1)
        return merged.unflatten(1, (count, p)).transpose(0, 1)
    if right.dim() == 2 and not _mergeable(left, at=0) and _mergeable(left.transpose(0, 1), at=0):
        count, n, _ = left.shape
        merged = left.transpose(0, 1).flatten(0, 1) @ right
        return merged.unflatten(0, (n, count)).transpose(0, 1)
    return left @ right


def _mergeable(tensor: Tensor, at: int = 1) -> bool:
    """Whether dimensions ``at`` and the next lie in one another without a copy."""
    return tensor.stride(at) == tensor.stride(at + 1) * tensor.shape[at + 1]


@rule(aten.mm.default, aten.bmm.default, aten.mv.default, aten.dot.default)
def _matrices(call: Call, outs: tuple[Any, ...]) -> Push:
    left = call.factor(0, 1)
    right = call.factor(1, 0)
    products: dict[Any, Callable[[Tensor, Tensor], Tensor]] = {
        aten.mm.default: matrix_products,
        aten.bmm.default: torch.matmul,
    }
    product = products.get(call.func, _vector_products)

    def push(by_left: Tensor | None, by_right: Tensor | None) -> tuple[Tensor | None]:
        return (
            total(
                None if by_left is None else product(by_left, right),
                None if by_right is None else product(left, by_right),
            ),
        )

    return push


def _vector_products(left: Tensor, right: Tensor) -> Tensor:
    """Matrix or vector times vector, one of them with K in front."""
    if right.dim() == 1:
        return left @ right
    return right @ left.mT if left.dim() == 2 else right @ left


@rule(aten.addmm.default)
def _addmm(call: Call, outs: tuple[Any, ...]) -> Push:
    left = call.factor(1, 2)
    right = call.factor(2, 1)
    alpha, beta = call.kwargs.get("alpha", 1), call.kwargs.get("beta", 1)

    def push(
        by_bias: Tensor | None, by_left: Tensor | None, by_right: Tensor | None
    ) -> tuple[Tensor | None]:
        product = total(
            None if by_left is None else matrix_products(by_left, right),
            None if by_right is None else matrix_products(left, by_right),
        )
        if product is not None and alpha != 1:
            product = alpha * product
        if by_bias is None:
            return (product,)
        bias = by_bias if beta == 1 else beta * by_bias
        while bias.dim() < 3:
            bias = bias[:, None]
        return (bias if product is None else product + bias,)

    return push


@rule(aten.index_fill.int_Tensor)  # torch's own, vectorised, gives every tangent the last value
def _index_fill(call: Call, outs: tuple[Any, ...]) -> Push:
    _, dim, index, _ = call.args
    filled = torch.zeros_like(outs[0]).index_fill(dim, index, 1.0)

    def push(
        by_inputs: Tensor | None, _: Any, __: Any, by_value: Tensor | None
    ) -> tuple[Tensor | None]:
        kept = None if by_inputs is None else by_inputs * (1 - filled)
        if by_value is None:
            return (kept,)
        return (total(kept, by_value.view(-1, *[1] * filled.dim()) * filled),)

    return push


# Elements moved to other places: linear, so the operator itself serves, vectorised.


@rule(
    aten.slice_backward.default,
    aten.select_backward.default,
    aten.diagonal_backward.default,
    aten.constant_pad_nd.default,
    aten.gather.default,
    aten.index_select.default,
    aten.index.Tensor,
    aten.repeat.default,
    aten.flip.default,
    aten.roll.default,
    aten.cumsum.default,
    aten.masked_select.default,
    aten.avg_pool2d.default,
    aten._adaptive_avg_pool2d.default,
    aten.upsample_nearest2d.default,
    aten.upsample_bilinear2d.default,
)
def _moved(call: Call, outs: tuple[Any, ...]) -> Push:
    func, rest, kwargs = call.func, call.args[1:], call.kwargs
    if call.func is aten.constant_pad_nd.default:
        rest = call.args[1:2]  # the padding moves nothing
    return lambda t, *_: (torch.func.vmap(lambda one: func(one, *rest, **kwargs))(t),)


@rule(aten.cat.default, aten.stack.default)
def _joined(call: Call, outs: tuple[Any, ...]) -> Push:
    tensors, join = call.args[0], torch.cat if call.func is aten.cat.default else torch.stack
    dim, dims = call.argument(1, "dim", 0), outs[0].dim()
    shapes = [tensor.shape for tensor in tensors]

    def push(tangents: list[Tensor | None], *_: Any) -> tuple[Tensor]:
        like = next(t for t in tangents if t is not None)
        parts = [
            like.new_zeros(len(like), *shape) if t is None else t
            for t, shape in zip(tangents, shapes, strict=True)
        ]
        return (join(parts, dim=1 + dim % dims),)

    return push
