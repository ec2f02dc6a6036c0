"""Derivatives of what networks are made of: pooling, batch normalisation, dropout, softmax.

Activations keep K right behind the batch in memory, (B, K, C, …), as convolutions leave them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from searchers.errors import SearcherError
from searchers.hypergradients.tangents.rules import (
    Call,
    Push,
    Scaling,
    aten,
    by_forward_mode,
    on_channels,
    rule,
    total,
)

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
            result = by_inputs * on_channels(gain, dims)
        if slope is not None:
            factor, constant = slope * scale, -slope * scale * mean
            shift = total(shift, constant)
            if result is None:
                result = on_channels(factor, dims) * inputs
            else:
                result.addcmul_(on_channels(factor, dims), inputs)
        assert shift is not None
        shift = on_channels(shift, dims)
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
            result = by_upstream * on_channels(gain, dims)
        if by_inputs is not None:
            by_mean = shift if by_mean is None else by_mean
            by_scale = shift if by_scale is None else by_scale
            by_b = by_b + ((by_inputs * upstream).mean(over) - by_mean * a) * scale
            by_b = by_b + by_scale / scale * b
            by_gain = by_scale * (gain / scale)
            # x̂ moves by r (ẋ − mean') + x̂ r'/r
            along, shift = -gain * b * by_scale / scale, gain * b * scale * by_mean
            term = on_channels(-gain * b * scale, dims)
            result = by_inputs * term if result is None else result.addcmul_(by_inputs, term)
        if by_weight is not None:
            by_gain = by_gain + by_weight * scale
        sums = [by_b * count if mask[1] else None, by_a * count if mask[2] else None]
        if not mask[0]:
            return [None, *sums]
        # What is left is one number a channel times ȳ, times x̂ = (x − mean) r, and alone.
        factor = (along - gain * by_b - by_gain * b) * scale
        shift = shift - gain * by_a - by_gain * a - factor * mean
        term = on_channels(by_gain, dims)
        result = term * upstream if result is None else result.addcmul_(term, upstream)
        result.addcmul_(on_channels(factor, dims), inputs).add_(on_channels(shift, dims))
        return [result, *sums]

    return push


# Dropout, given its mask of bools, which a factor alone would make float32. Of a GPU's; a CPU's is
# written in other operators.


@rule(aten.native_dropout.default)
def _dropout(call: Call, outs: tuple[Any, ...]) -> Push:
    share, training = call.args[1:3]
    if not training:
        return lambda t, *_: (t, None)
    mask = outs[1].to(outs[0].dtype) * (1 / (1 - share) if share < 1 else 0.0)
    return lambda t, *_: (t * mask, None)


@rule(aten.native_dropout_backward.default, of=(0,))
def _dropout_backward(call: Call, outs: tuple[Any, ...]) -> Push:
    return Scaling(call.args[1].to(outs[0].dtype) * call.args[2])


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


@rule(aten.nll_loss_backward.default, of=(0, 3))  # no function of the log-probabilities
def _likelihood_backward(call: Call, outs: tuple[Any, ...]) -> Push:
    if call.moving[3]:
        raise SearcherError(
            "no tangents through class weights that move: use an engine of reverse mode"
        )
    func, rest = call.func, call.args[1:]
    return lambda t, *_: (torch.stack([func(one, *rest) for one in t]),)
