"""Derivatives of what networks are made of: convolution, pooling, batch normalisation, softmax.

Activations keep K right behind the batch in memory, (B, K, C, …): it then folds into the batch (one
kernel for all) as well as into the channels (one batch under K kernels) without a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from searchers.hypergradients.tangent_rules import (
    Call,
    Push,
    Scaling,
    aten,
    by_forward_mode,
    rule,
    total,
)

FEW = 32
"""Inputs of one output up to which, on a CPU, a product of matrices beats a convolution."""

LANES = 16
"""oneDNN pads channels to a multiple of this, unless they lie last in memory."""

CACHED = 1 << 20
"""Bytes that patches of images may take at once."""


def _in_batch(tangent: Tensor) -> Tensor:
    """(K, B, …) → (B · K, …)."""
    return tangent.transpose(0, 1).flatten(0, 1)


def _from_batch(folded: Tensor, count: int) -> Tensor:
    return folded.unflatten(0, (-1, count)).transpose(0, 1)


def _in_channels(tangent: Tensor) -> Tensor:
    """(K, B, C, …) → (B, K · C, …)."""
    return tangent.transpose(0, 1).flatten(1, 2)


def _from_channels(folded: Tensor, count: int) -> Tensor:
    return folded.unflatten(1, (count, -1)).transpose(0, 1)


def _on_channels(values: Tensor, dims: int) -> Tensor:
    """(C,) or (K, C) → broadcasts with (B, C, …) or (K, B, C, …)."""
    return values.unflatten(-1, (1, -1, *[1] * (dims - 2)))


def _patches(
    images: Tensor,
    kernel: Sequence[int],
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Iterator[tuple[slice, Tensor]]:
    """What each output of a convolution sees, (examples, C · kernel, outputs), part by part.

    `unfold`, but quicker, and never more than stays in the processor's cache.
    """
    if any(padding):
        images = pad(images, (padding[1], padding[1], padding[0], padding[0]))
    batch, channel, down, right = images.stride()
    shape = (len(images), images.shape[1], *kernel[2:], *size)
    inside = down * dilation[0], right * dilation[1]
    strides = (batch, channel, *inside, down * stride[0], right * stride[1])
    windows = images.as_strided(shape, strides)
    count = max(1, CACHED // (windows[0].numel() * images.element_size()))
    for first in range(0, len(images), count):
        part = slice(first, first + count)
        yield part, windows[part].flatten(4).flatten(1, 3)


# Convolution: bilinear in the inputs and the kernels.


@rule(aten.convolution.default)
def _convolution(call: Call, outs: tuple[Any, ...]) -> Push:
    inputs, weight, _, stride, padding, dilation, transposed, _, groups = call.args
    if transposed or groups != 1:
        return by_forward_mode(call, outs)
    geometry = stride, padding, dilation, False, [0] * len(stride), 1
    few = inputs.is_cpu and weight.dim() == 4 and weight[0].numel() <= FEW
    size, dims = outs[0].shape[2:], outs[0].dim()
    inputs, weight = call.factor(0, 1), call.factor(1, 0)

    def push(
        by_inputs: Tensor | None, by_weight: Tensor | None, by_bias: Tensor | None, *_: Any
    ) -> tuple[Tensor | None]:
        through_inputs = through_weight = None
        if by_inputs is not None:
            folded = aten.convolution(_in_batch(by_inputs), weight, None, *geometry)
            through_inputs = _from_batch(folded, len(by_inputs))
        if by_weight is not None:
            kernels = by_weight.flatten(0, 1)
            if few:
                flat = kernels.flatten(1)
                folded = inputs.new_empty(len(inputs), len(flat), size.numel())
                patches = _patches(inputs, kernels.shape, size, stride, padding, dilation)
                for part, seen in patches:
                    torch.bmm(flat.expand(len(seen), -1, -1), seen, out=folded[part])
                folded = folded.unflatten(2, size)
            else:
                folded = aten.convolution(inputs, kernels, None, *geometry)
            through_weight = _from_channels(folded, len(by_weight))
        result = _added(through_inputs, through_weight)
        if by_bias is None:
            return (result,)
        bias = _on_channels(by_bias, dims)
        return (bias if result is None else result.add_(bias),)

    return push


def _added(own: Tensor | None, other: Tensor | None) -> Tensor | None:
    """The sum, in the memory of the first."""
    return other if own is None else own if other is None else own.add_(other)


@rule(aten.convolution_backward.default)
def _convolution_backward(call: Call, outs: tuple[Any, ...]) -> Push:
    upstream, inputs, weight, _, stride, padding, dilation, transposed, _, groups, mask = call.args
    if transposed or groups != 1:
        return by_forward_mode(call, outs)
    geometry = stride, padding, dilation, False, [0] * len(stride), 1
    shape, kernel = inputs.shape, weight.shape
    few = inputs.is_cpu and len(kernel) == 4 and kernel[1:].numel() <= FEW
    upstream, inputs, weight = call.factor(0, 1, 2), call.factor(1, 0), call.factor(2, 0)

    def to_inputs(upstream: Tensor, like: tuple[int, ...], kernels: Tensor) -> Tensor:
        values = upstream.new_empty(()).expand(like)
        return aten.convolution_backward(
            upstream, values, kernels, None, *geometry, [True, False, False]
        )[0]

    def to_weight(upstream: Tensor, values: Tensor, like: tuple[int, ...]) -> Tensor:
        if values.is_cpu and values.dim() == 4 and values.shape[1] % LANES:
            values = values.contiguous(memory_format=torch.channels_last)
        kernels = upstream.new_empty(()).expand(like)
        return aten.convolution_backward(
            upstream, values, kernels, None, *geometry, [False, True, False]
        )[1]

    def push(
        by_upstream: Tensor | None, by_inputs: Tensor | None, by_weight: Tensor | None, *_: Any
    ) -> list[Tensor | None]:
        count = next(len(t) for t in (by_upstream, by_inputs, by_weight) if t is not None)
        moved: list[Tensor | None] = [None, None, None]
        if mask[0] and by_upstream is not None:
            folded = to_inputs(_in_batch(by_upstream), (shape[0] * count, *shape[1:]), weight)
            moved[0] = _from_batch(folded, count)
        if mask[0] and by_weight is not None:
            kernels = by_weight.transpose(0, 1).flatten(1, 2)
            folded = to_inputs(upstream, (shape[0], count * shape[1], *shape[2:]), kernels)
            moved[0] = _added(moved[0], _from_channels(folded, count))
        if mask[1] and by_upstream is not None:
            folded = _in_channels(by_upstream)
            if few:
                patches = _patches(inputs, kernel, folded.shape[2:], stride, padding, dilation)
                kernels = inputs.new_zeros(folded.shape[1], kernel[1:].numel())
                for part, seen in patches:
                    kernels += torch.bmm(folded[part].flatten(2), seen.mT).sum(0)
            else:
                kernels = to_weight(folded, inputs, (count * kernel[0], *kernel[1:]))
            moved[1] = kernels.view(count, *kernel)
        if mask[1] and by_inputs is not None:
            like = kernel[0], count * kernel[1], *kernel[2:]
            folded = to_weight(upstream, _in_channels(by_inputs), like)
            moved[1] = total(moved[1], _from_channels(folded, count))
        if mask[2] and by_upstream is not None:
            moved[2] = by_upstream.sum([1, *range(3, by_upstream.dim())])
        return moved

    return push


# Max pooling: linear, given which element won.


@rule(aten.max_pool2d_with_indices.default)
def _max_pool(call: Call, outs: tuple[Any, ...]) -> Push:
    winners = outs[1]
    if winners.dim() != 4:
        return by_forward_mode(call, outs)

    def push(by_inputs: Tensor, *_: Any) -> tuple[Tensor, None]:
        inside = by_inputs.transpose(0, 1).flatten(3)
        index = winners.flatten(2)[:, None].expand(-1, len(by_inputs), -1, -1)
        pooled = inside.gather(3, index).unflatten(3, winners.shape[2:])
        return pooled.transpose(0, 1), None

    return push


@rule(aten.max_pool2d_with_indices_backward.default, of=(0,))
def _max_pool_backward(call: Call, outs: tuple[Any, ...]) -> Push:
    winners, shape = call.args[7], outs[0].shape
    if winners.dim() != 4:
        return by_forward_mode(call, outs)

    def push(by_upstream: Tensor, *_: Any) -> tuple[Tensor]:
        inside = by_upstream.transpose(0, 1).flatten(3)
        index = winners.flatten(2)[:, None].expand(-1, len(by_upstream), -1, -1)
        spread = inside.new_zeros(*inside.shape[:3], shape[2:].numel())
        spread.scatter_add_(3, index, inside)
        return (spread.unflatten(3, shape[2:]).transpose(0, 1),)

    return push


# Batch normalisation on batch statistics: x̂ = (x − mean) · r, outputs γ x̂ + β. What moves in the
# mean and in r (its reciprocal standard deviation) is a result of its own, which the backward
# pass reads. Running statistics have no tangents.


@rule(aten.native_batch_norm.default)
def _batch_norm(call: Call, outs: tuple[Any, ...]) -> Push:
    inputs, weight, _, _, _, training = call.args[:6]
    if not training:
        return by_forward_mode(call, outs)
    _, mean, scale = outs
    dims, over = inputs.dim(), [1, *range(3, inputs.dim() + 1)]

    def push(
        by_inputs: Tensor | None, by_weight: Tensor | None, by_bias: Tensor | None, *_: Any
    ) -> tuple[Tensor | None, ...]:
        slope, shift = by_weight, by_bias  # of the outputs: slope · x̂ + shift
        result = by_mean = by_scale = None
        if by_inputs is not None:
            gain = scale if weight is None else weight * scale
            by_mean = by_inputs.mean(over)
            along = ((by_inputs * inputs).mean(over) - by_mean * mean) * scale
            by_scale = -scale * scale * along
            slope, shift = total(slope, -gain * along), total(shift, -gain * by_mean)
            result = by_inputs * _on_channels(gain, dims)
        if slope is not None:
            factor, constant = slope * scale, -slope * scale * mean
            shift = total(shift, constant)
            if result is None:
                result = _on_channels(factor, dims) * inputs
            else:
                result.addcmul_(_on_channels(factor, dims), inputs)
        assert shift is not None
        shift = _on_channels(shift, dims)
        return shift if result is None else result.add_(shift), by_mean, by_scale

    return push


@rule(aten.native_batch_norm_backward.default)
def _batch_norm_backward(call: Call, outs: tuple[Any, ...]) -> Push:
    upstream, inputs, weight, _, _, mean, scale, training, _, mask = call.args
    if not training:
        return by_forward_mode(call, outs)
    dims, over = inputs.dim(), [1, *range(3, inputs.dim() + 1)]
    count = inputs.numel() // inputs.shape[1]
    over_one = [d - 1 for d in over]

    def push(
        by_upstream: Tensor | None,
        by_inputs: Tensor | None,
        by_weight: Tensor | None,
        _: Any,
        __: Any,
        by_mean: Tensor | None,
        by_scale: Tensor | None,
        *___: Any,
    ) -> list[Tensor | None]:
        # by the inputs: gain · (ȳ − a − x̂ b), with a = ⟨ȳ⟩, b = ⟨ȳ x̂⟩
        gain = scale if weight is None else weight * scale
        a = upstream.mean(over_one)
        b = ((upstream * inputs).mean(over_one) - a * mean) * scale
        number = next(len(t) for t in (by_upstream, by_inputs, by_weight) if t is not None)
        by_a = by_b = by_gain = along = shift = scale.new_zeros(number, len(scale))
        result: Tensor | None = None
        if by_upstream is not None:
            by_a = by_upstream.mean(over)
            by_b = ((by_upstream * inputs).mean(over) - by_a * mean) * scale
            result = by_upstream * _on_channels(gain, dims)
        if by_inputs is not None:
            by_mean = shift if by_mean is None else by_mean
            by_scale = shift if by_scale is None else by_scale
            by_b = by_b + ((by_inputs * upstream).mean(over) - by_mean * a) * scale
            by_b = by_b + by_scale / scale * b
            by_gain = by_scale * (gain / scale)
            # x̂ moves by r (ẋ − mean') + x̂ r'/r
            along, shift = -gain * b * by_scale / scale, gain * b * scale * by_mean
            term = _on_channels(-gain * b * scale, dims)
            result = by_inputs * term if result is None else result.addcmul_(by_inputs, term)
        if by_weight is not None:
            by_gain = by_gain + by_weight * scale
        sums = [by_b * count if mask[1] else None, by_a * count if mask[2] else None]
        if not mask[0]:
            return [None, *sums]
        # What is left is one number a channel times ȳ, times x̂ = (x − mean) r, and alone.
        factor = (along - gain * by_b - by_gain * b) * scale
        shift = shift - gain * by_a - by_gain * a - factor * mean
        term = _on_channels(by_gain, dims)
        result = term * upstream if result is None else result.addcmul_(term, upstream)
        result.addcmul_(_on_channels(factor, dims), inputs).add_(_on_channels(shift, dims))
        return [result, *sums]

    return push


# Dropout, given its mask.


@rule(aten.native_dropout.default)
def _dropout(call: Call, outs: tuple[Any, ...]) -> Push:
    share, training = call.args[1:3]
    if not training:
        return lambda t, *_: (t, None)
    mask = outs[1] * (1 / (1 - share) if share < 1 else 0.0)
    return lambda t, *_: (t * mask, None)


@rule(aten.native_dropout_backward.default, of=(0,))
def _dropout_backward(call: Call, outs: tuple[Any, ...]) -> Push:
    return Scaling(call.args[1] * call.args[2])


# Softmax and its likelihood.


@rule(aten._log_softmax.default)
def _log_softmax(call: Call, outs: tuple[Any, ...]) -> Push:
    dim, logs = call.args[1] % max(outs[0].dim(), 1), outs[0]
    if not logs.dim():
        return by_forward_mode(call, outs)
    return lambda t, *_: (t - (t * logs.exp()).sum(dim + 1, keepdim=True),)


@rule(aten._log_softmax_backward_data.default)
def _log_softmax_backward(call: Call, outs: tuple[Any, ...]) -> Push:
    upstream, logs, dim, _ = call.args
    dim %= max(logs.dim(), 1)
    if not logs.dim():
        return by_forward_mode(call, outs)

    def push(by_upstream: Tensor | None, by_logs: Tensor | None, *_: Any) -> tuple[Tensor | None]:
        likely = logs.exp()
        first = second = None
        if by_upstream is not None:
            first = by_upstream - likely * by_upstream.sum(dim + 1, keepdim=True)
        if by_logs is not None:
            second = by_logs * (-likely * upstream.sum(dim, keepdim=True))
        return (total(first, second),)

    return push


@rule(aten.nll_loss_backward.default, of=(0,))  # no function of the log-probabilities
def _likelihood_backward(call: Call, outs: tuple[Any, ...]) -> Push:
    func, rest = call.func, call.args[1:]
    return lambda t, *_: (torch.stack([func(one, *rest) for one in t]),)
