"""Batch normalisation whose second derivative costs no more than it must.

Values, first derivatives and running statistics are torch's own kernels', bit for bit. What torch
composes of some thirty passes over the activations, the derivative of the backward pass, is written
out here in twelve; a Hessian-vector product of a small residual network spends a third of its time
in it.

With x̂ = (x − mean) · r and the means over batch and space A = ⟨ȳ⟩, B = ⟨ȳ x̂⟩, C = ⟨v⟩, D = ⟨v x̂⟩,
E = ⟨v ȳ⟩ of the incoming gradient ȳ and of the direction v along which the backward pass
x̄ = γ r (ȳ − A − x̂ B) is differentiated:

    by ȳ:  γ r (v − C − x̂ D)
    by γ:  N r (E − A C − B D)
    by x:  −γ r² (D ȳ + B v − (A D + B C) + x̂ (E − A C − 3 B D))
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainables.task import TaskError


class _Backward(torch.autograd.Function):
    """The backward pass as an operator of its own, with its derivative."""

    @staticmethod
    def forward(
        ctx: Any, upstream: Tensor, inputs: Tensor, weight: Tensor, mean: Tensor, scale: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        by = torch.ops.aten.native_batch_norm_backward(
            upstream, inputs, weight, None, None, mean, scale, True, 0.0, [True, True, True]
        )
        ctx.save_for_backward(upstream, inputs, weight, mean, scale, by[1], by[2])
        return by

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor, by_weight: Tensor, by_bias: Tensor) -> Any:
        upstream, inputs, weight, mean, scale, weight_sum, bias_sum = ctx.saved_tensors
        count = inputs.numel() // inputs.shape[1]
        over = [d for d in range(inputs.dim()) if d != 1]
        gain = weight * scale
        a, b = bias_sum / count, weight_sum / count
        c = v.sum(over) / count
        d = (_products(v, inputs, over) / count - mean * c) * scale
        e = _products(v, upstream, over) / count
        spread = e - a * c - b * d

        slope = scale * (by_weight - gain * d)  # of x̂'s part in `by_upstream`
        by_upstream = _mixed(v, gain, inputs, slope, by_bias - gain * c - slope * mean)
        # What comes through x̂ (h, of which the normalisation keeps what has no mean and no
        # part along x̂), and what comes through the scale itself.
        h_upstream, h_v = by_weight - gain * d, -gain * b
        h_mean = h_upstream * a + h_v * c
        h_along = h_upstream * b + h_v * d
        along = -scale * (h_along + gain * spread)
        by_inputs = _mixed(
            upstream, scale * h_upstream, v, scale * h_v, -scale * h_mean - along * scale * mean
        )
        by_inputs.addcmul_(inputs, _wide(along * scale, inputs))
        return by_upstream, by_inputs, count * scale * spread, None, None


class _Normalise(torch.autograd.Function):
    """The forward pass, on batch statistics; moves the running ones."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        momentum: float,
        eps: float,
    ) -> Tensor:
        outputs, mean, scale = torch.native_batch_norm(
            inputs, weight, bias, running_mean, running_var, True, momentum, eps
        )
        ctx.save_for_backward(inputs, weight, mean, scale)
        return outputs

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        by = _Backward.apply(upstream, *ctx.saved_tensors)
        return (*by, None, None, None, None)


def _products(left: Tensor, right: Tensor, over: list[int]) -> Tensor:
    return (left * right).sum(over)


def _wide(channels: Tensor, like: Tensor) -> Tensor:
    return channels.view(1, -1, *[1] * (like.dim() - 2))


def _mixed(first: Tensor, by: Tensor, second: Tensor, and_by: Tensor, plus: Tensor) -> Tensor:
    """by · first + and_by · second + plus, the factors one a channel."""
    mixed = torch.addcmul(_wide(plus, first), first, _wide(by, first))
    return mixed.addcmul_(second, _wide(and_by, second))


def _forward(self: nn.Module, inputs: Tensor) -> Tensor:
    """In place of a BatchNorm's own forward pass."""
    assert isinstance(self, nn.modules.batchnorm._BatchNorm)
    plain = type(self).forward
    if not self.training or self.momentum is None or self.weight is None or self.bias is None:
        return plain(self, inputs)
    self._check_input_dim(inputs)
    if inputs.numel() == inputs.shape[1]:
        raise TaskError("batch normalisation needs more than 1 value a channel: use larger batches")
    if self.num_batches_tracked is not None:
        self.num_batches_tracked.add_(1)
    return _Normalise.apply(
        inputs,
        self.weight,
        self.bias,
        self.running_mean,
        self.running_var,
        self.momentum,
        self.eps,
    )


def patch_batch_norm(model: nn.Module) -> nn.Module:
    """The model, its batch normalisations with the second derivative of this module."""
    for module in model.modules():
        if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            module.forward = _forward.__get__(module)
    return model
