"""Derivatives of convolution, which is bilinear in the inputs and the kernels.

Activations keep K right behind the batch in memory, (B, K, C, …): it then folds into the batch (one
kernel for all) as well as into the channels (one batch under K kernels) without a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from searchers.hypergradients.tangents.rules import (
    Call,
    Push,
    aten,
    by_forward_mode,
    on_channels,
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
        bias = on_channels(by_bias, dims)
        return (bias if result is None else result.add_(bias),)

    return push


def _added(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """The sum, in the memory of the first."""
    if first is None or second is None:
        return second if first is None else first
    return first.add_(second)


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
