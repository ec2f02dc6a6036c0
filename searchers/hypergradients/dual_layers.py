"""What convolutions, pooling, normalisation and dropout do to K tangents, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from searchers.hypergradients.dual import Dual, by_itself, dual, primal_of, rule, tangent_of
from searchers.hypergradients.dual_rules import added, aten, count_of


def _in_batch(tangent: Tensor) -> Tensor:
    """(K, B, …) → (B · K, …)."""
    return tangent.transpose(0, 1).reshape(-1, *tangent.shape[2:])


def _of_batch(folded: Tensor, count: int) -> Tensor:
    return folded.view(-1, count, *folded.shape[1:]).transpose(0, 1)


def _in_channels(tangent: Tensor) -> Tensor:
    """(K, B, C, …) → (B, K · C, …)."""
    return tangent.transpose(0, 1).reshape(tangent.shape[1], -1, *tangent.shape[3:])


def _of_channels(folded: Tensor, count: int) -> Tensor:
    return folded.view(len(folded), count, -1, *folded.shape[2:]).transpose(0, 1)


def _shaped(like: Tensor, *shape: int) -> Tensor:
    """A tensor of which an operator reads the shape alone."""
    return like.new_empty(()).expand(shape)


# Convolutions: stride, padding, dilation, transposed, output padding and groups are `how`


@rule(aten.convolution.default)
def _convolution(func: Any, x: Any, weight: Any, bias: Any, *how: Any) -> Tensor:
    if how[3] or how[5] != 1:
        return by_itself(func, (x, weight, bias, *how), {})
    by_x, by_weight, by_bias = map(tangent_of, (x, weight, bias))
    primal = func(primal_of(x), primal_of(weight), primal_of(bias), *how)
    tangent = None
    if by_x is not None:
        moved = func(_in_batch(by_x), primal_of(weight), None, *how)
        tangent = _of_batch(moved, len(by_x))
    if by_weight is not None:
        kernels = by_weight.reshape(-1, *by_weight.shape[2:])
        moved = func(primal_of(x), kernels, None, *how)
        tangent = added(tangent, _of_channels(moved, len(by_weight)))
    if by_bias is not None:
        spread = by_bias.view(*by_bias.shape[:1], 1, -1, *[1] * (primal.dim() - 2))
        tangent = spread.expand(-1, *primal.shape) if tangent is None else tangent.add_(spread)
    return dual(primal, tangent)


@rule(aten.convolution_backward.default)
def _convolution_backward(
    func: Any, upstream: Any, x: Any, weight: Any, bias: Any, *how: Any
) -> tuple[Tensor | None, ...]:
    *how_rest, mask = how
    if how_rest[3] or how_rest[5] != 1:
        return by_itself(func, (upstream, x, weight, bias, *how), {})
    up, inputs, kernel = map(primal_of, (upstream, x, weight))
    by_up, by_x, by_kernel = map(tangent_of, (upstream, x, weight))
    primals = func(up, inputs, kernel, bias, *how_rest, mask)

    def by_inputs(up: Tensor, shape: tuple[int, ...], kernel: Tensor) -> Tensor:
        like = _shaped(inputs, *shape)
        return func(up, like, kernel, None, *how_rest, [True, False, False])[0]

    def by_weight(up: Tensor, inputs: Tensor, *shape: int) -> Tensor:
        like = _shaped(kernel, *shape)
        return func(up, inputs, like, None, *how_rest, [False, True, False])[1]

    (batch, channels, *space), (out, _, *window) = inputs.shape, kernel.shape
    count = count_of(by_up, by_x, by_kernel)
    changes: list[Tensor | None] = [None, None, None]
    if mask[0] and by_up is not None:
        moved = by_inputs(_in_batch(by_up), (batch * count, channels, *space), kernel)
        changes[0] = _of_batch(moved, count)
    if mask[0] and by_kernel is not None:
        kernels = by_kernel.transpose(0, 1).reshape(out, -1, *window)
        moved = by_inputs(up, (batch, count * channels, *space), kernels)
        changes[0] = added(changes[0], _of_channels(moved, count))
    if mask[1] and by_up is not None:
        moved = by_weight(_in_channels(by_up), inputs, count * out, channels, *window)
        changes[1] = moved.view(count, *kernel.shape)
    if mask[1] and by_x is not None:
        moved = by_weight(up, _in_channels(by_x), out, count * channels, *window)
        changes[1] = added(changes[1], moved.view(out, count, channels, *window).transpose(0, 1))
    if mask[2] and by_up is not None:
        changes[2] = by_up.sum([1, *range(3, by_up.dim())])
    pairs = zip(primals, changes, strict=True)
    return tuple(None if primal is None else dual(primal, change) for primal, change in pairs)


# Pooling


@rule(aten.max_pool2d_with_indices.default)
def _max_pool(func: Any, x: Dual, *how: Any) -> tuple[Dual, Tensor]:
    primal, places = func(x.primal, *how)
    if x.dim() != 4:
        return by_itself(func, (x, *how), {})
    inside = x.tangent.transpose(0, 1)
    count = inside.shape[1]
    chosen = places.flatten(2).unsqueeze(1).expand(-1, count, -1, -1)
    pooled = inside.reshape(*inside.shape[:3], -1).gather(-1, chosen)
    return Dual(primal, pooled.view(len(places), count, *places.shape[1:]).transpose(0, 1)), places


@rule(aten.max_pool2d_with_indices_backward.default)
def _max_pool_backward(func: Any, upstream: Any, x: Any, *how: Any) -> Tensor:
    primal, tangent = func(primal_of(upstream), primal_of(x), *how), tangent_of(upstream)
    if tangent is None:
        return primal
    if primal.dim() != 4:
        return by_itself(func, (upstream, primal_of(x), *how), {})
    up = tangent.transpose(0, 1)
    count, (batch, channels, height, width) = up.shape[1], primal.shape
    chosen = how[-1].flatten(2).unsqueeze(1).expand(-1, count, -1, -1)
    spread = up.new_zeros(batch, count, channels, height * width)
    spread.scatter_add_(-1, chosen, up.reshape(batch, count, channels, -1))
    return Dual(primal, spread.view(batch, count, *primal.shape[1:]).transpose(0, 1))


# Batch normalisation on batch statistics; see trainables.batch_norm for the letters


def _wide(channels: Tensor, dims: int) -> Tensor:
    """(K, C) or (C,) → broadcasts against (K, B, C, …) or (B, C, …)."""
    return channels.view(*channels.shape[:-1], 1, -1, *[1] * (dims - 2))


def _mean(values: Tensor) -> Tensor:
    """(K, B, C, …) → (K, C)."""
    return values.mean([1, *range(3, values.dim())])


@rule(aten.native_batch_norm.default)
def _batch_norm(func: Any, x: Any, weight: Any, bias: Any, *how: Any) -> tuple[Tensor, ...]:
    if not how[2] or primal_of(weight) is None:
        return by_itself(func, (x, weight, bias, *how), {})
    inputs, gamma = primal_of(x), primal_of(weight)
    primal, mean, scale = func(inputs, gamma, primal_of(bias), *how)
    by_x, by_gamma, by_bias = map(tangent_of, (x, weight, bias))
    dims, gain = inputs.dim(), gamma * scale
    normal = (inputs - _wide(mean, dims)) * _wide(scale, dims)
    along, plus, tangent = by_gamma, by_bias, None
    if by_x is not None:
        along = added(along, -gain * _mean(by_x * normal))
        plus = added(plus, -gain * _mean(by_x))
        tangent = by_x * _wide(gain, dims)
    if along is not None:
        tangent = added(tangent, normal * _wide(along, dims))
    if plus is not None:
        tangent = added(tangent, _wide(plus, dims))
        assert tangent is not None
        tangent = tangent.expand(-1, *primal.shape)
    return dual(primal, tangent), mean, scale


@rule(aten.native_batch_norm_backward.default)
def _batch_norm_backward(
    func: Any, upstream: Any, x: Any, weight: Any, *how: Any
) -> tuple[Tensor | None, ...]:
    statistics, (train, _, mask) = how[:4], how[4:]
    if not train or primal_of(weight) is None or not all(mask):
        return by_itself(func, (upstream, x, weight, *how), {})
    up, inputs, gamma = map(primal_of, (upstream, x, weight))
    by_up, by_x, by_gamma = map(tangent_of, (upstream, x, weight))
    primals = func(up, inputs, gamma, *how)
    mean, scale = map(primal_of, statistics[2:])
    dims, number, gain = inputs.dim(), inputs.numel() // inputs.shape[1], gamma * scale
    a, b = primals[2] / number, primals[1] / number
    normal = (inputs - _wide(mean, dims)) * _wide(scale, dims)
    zero = gamma.new_zeros(count_of(by_up, by_x, by_gamma), len(gamma))
    a_moves, b_moves, gain_moves = zero, zero, zero
    tangent = None
    if by_gamma is not None:
        gain_moves = gain_moves + by_gamma * scale
    if by_up is not None:
        a_moves, b_moves = _mean(by_up), _mean(by_up * normal)
        tangent = by_up * _wide(gain, dims)
    along = plus = zero
    if by_x is not None:
        c, d = _mean(by_x), _mean(by_x * normal)
        gain_moves = gain_moves - gain * scale * d
        b_moves = b_moves + scale * (_mean(by_x * up) - a * c - b * d)
        tangent = added(tangent, by_x * _wide(-gain * scale * b, dims))
        along, plus = gain * scale * b * d, gain * scale * b * c
    along = along - gain_moves * b - gain * b_moves
    plus = plus - gain_moves * a - gain * a_moves
    moved = torch.addcmul(_wide(plus, dims), normal, _wide(along, dims))
    moved.addcmul_(up, _wide(gain_moves, dims))
    tangent = moved if tangent is None else moved.add_(tangent)
    return (
        Dual(primals[0], tangent),
        Dual(primals[1], number * b_moves),
        Dual(primals[2], number * a_moves),
    )


# Dropout


@rule(aten.native_dropout.default)
def _dropout(func: Any, x: Dual, p: float, train: bool | None) -> tuple[Dual, Tensor]:
    primal, mask = func(x.primal, p, train)
    kept = mask / (1 - p) if train and p < 1 else mask.to(primal.dtype)
    return Dual(primal, x.tangent * kept), mask


@rule(aten.native_dropout_backward.default)
def _dropout_backward(func: Any, upstream: Dual, mask: Tensor, scale: float) -> Dual:
    return Dual(func(upstream.primal, mask, scale), upstream.tangent * (mask * scale))
