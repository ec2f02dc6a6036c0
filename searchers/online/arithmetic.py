"""The same operations on lists of tensors and on lists of numbers.

An optimizer moves tensors; the optimizer above it moves that optimizer's few numbers by the same
rule. So each rule is written once, in these operations, and works on either. The arguments x, y,
a, b and ``into`` are lists of equal length, and ``factor`` and ``number`` are floats; an operation
whose name ends in _ changes its first argument in place.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeAlias

import torch

Vector: TypeAlias = list[Any]
"""A list of tensors, or a list of numbers."""


class Arithmetic(Protocol):
    """The operations that an update rule is written in."""

    @staticmethod
    def copy_(into: Vector, x: Vector) -> None:
        """into ← x."""

    @staticmethod
    def keep_(into: Vector, x: Vector) -> None:
        """into ← x, where x will not change any more, so that it need not be copied."""

    @staticmethod
    def shift_(x: Vector, number: float) -> None:
        """x ← x + number."""

    @staticmethod
    def scale_(x: Vector, factor: float) -> None:
        """x ← factor · x."""

    @staticmethod
    def add_(x: Vector, y: Vector, factor: float) -> None:
        """x ← x + factor · y."""

    @staticmethod
    def addcmul_(x: Vector, a: Vector, b: Vector, factor: float) -> None:
        """x ← x + factor · a · b."""

    @staticmethod
    def addcmul(into: Vector, x: Vector, a: Vector, b: Vector, factor: float) -> None:
        """into ← x + factor · a · b."""

    @staticmethod
    def mul_(x: Vector, y: Vector) -> None:
        """x ← x · y."""

    @staticmethod
    def div_(x: Vector, y: Vector) -> None:
        """x ← x / y."""

    @staticmethod
    def rdiv_(x: Vector, y: Vector) -> None:
        """x ← y / x."""

    @staticmethod
    def sqrt_(x: Vector) -> None:
        """x ← √x."""

    @staticmethod
    def sqrt(into: Vector, x: Vector) -> None:
        """into ← √x."""

    @staticmethod
    def adam_(
        into: Vector,
        mean: Vector,
        square: Vector,
        gradient: Vector,
        beta1: float,
        beta2: float,
        eps: float,
        step: int,
    ) -> None:
        """into ← m̂ / (√ŝ + eps), after mean m and square s have moved on; all three change."""


class Tensors:
    """Lists of tensors: one torch._foreach_* or _fused_* operation for the whole list.

    (Three go tensor by tensor on a CPU, as foreach itself does there, to save a pass over the
    memory.)

    Tensors in the same place of two lists have the same layout.
    """

    @staticmethod
    def copy_(into: Vector, x: Vector) -> None:
        torch._foreach_copy_(into, x)

    @staticmethod
    def keep_(into: Vector, x: Vector) -> None:
        into[:] = x

    @staticmethod
    def shift_(x: Vector, number: float) -> None:
        torch._foreach_add_(x, number)

    @staticmethod
    def scale_(x: Vector, factor: float) -> None:
        torch._foreach_mul_(x, factor)

    @staticmethod
    def add_(x: Vector, y: Vector, factor: float) -> None:
        torch._foreach_add_(x, y, alpha=factor)

    @staticmethod
    def addcmul_(x: Vector, a: Vector, b: Vector, factor: float) -> None:
        torch._foreach_addcmul_(x, a, b, factor)

    @staticmethod
    def addcmul(into: Vector, x: Vector, a: Vector, b: Vector, factor: float) -> None:
        if not into[0].is_cpu:
            torch._foreach_copy_(into, x)
            torch._foreach_addcmul_(into, a, b, factor)
            return
        for out, base, left, right in zip(into, x, a, b, strict=True):
            torch.addcmul(base, left, right, value=factor, out=out)

    @staticmethod
    def mul_(x: Vector, y: Vector) -> None:
        torch._foreach_mul_(x, y)

    @staticmethod
    def div_(x: Vector, y: Vector) -> None:
        torch._foreach_div_(x, y)

    @staticmethod
    def rdiv_(x: Vector, y: Vector) -> None:
        if not x[0].is_cpu:
            torch._foreach_reciprocal_(x)
            torch._foreach_mul_(x, y)
            return
        for below, above in zip(x, y, strict=True):
            torch.div(above, below, out=below)

    @staticmethod
    def sqrt_(x: Vector) -> None:
        torch._foreach_sqrt_(x)

    @staticmethod
    def sqrt(into: Vector, x: Vector) -> None:
        if not into[0].is_cpu:
            torch._foreach_copy_(into, x)
            torch._foreach_sqrt_(into)
            return
        for out, square in zip(into, x, strict=True):
            torch.sqrt(square, out=out)

    @staticmethod
    def adam_(
        into: Vector,
        mean: Vector,
        square: Vector,
        gradient: Vector,
        beta1: float,
        beta2: float,
        eps: float,
        step: int,
    ) -> None:
        """torch's fused step of Adam, in about half the time of its foreach operations.

        The fused step only ever subtracts lr · m̂ / (√ŝ + eps) from its parameters: at lr = −1, and
        from 0, it leaves the quotient itself.
        """
        torch._foreach_zero_(into)
        # On a GPU the step is read as a float32, whatever the default is.
        count = torch.full((), float(step), dtype=torch.float32, device=into[0].device)
        torch._fused_adam_(
            into,
            gradient,
            mean,
            square,
            [],
            [count] * len(into),
            lr=-1.0,
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=eps,
            amsgrad=False,
            maximize=False,
        )


class Numbers:
    """Lists of Python floats."""

    @staticmethod
    def copy_(into: Vector, x: Vector) -> None:
        into[:] = x

    @staticmethod
    def keep_(into: Vector, x: Vector) -> None:
        into[:] = x

    @staticmethod
    def shift_(x: Vector, number: float) -> None:
        x[:] = [value + number for value in x]

    @staticmethod
    def scale_(x: Vector, factor: float) -> None:
        x[:] = [value * factor for value in x]

    @staticmethod
    def add_(x: Vector, y: Vector, factor: float) -> None:
        for i, value in enumerate(y):
            x[i] += factor * value

    @staticmethod
    def addcmul_(x: Vector, a: Vector, b: Vector, factor: float) -> None:
        for i, value in enumerate(a):
            x[i] += factor * value * b[i]

    @staticmethod
    def addcmul(into: Vector, x: Vector, a: Vector, b: Vector, factor: float) -> None:
        for i, value in enumerate(a):
            into[i] = x[i] + factor * value * b[i]

    @staticmethod
    def mul_(x: Vector, y: Vector) -> None:
        for i, value in enumerate(y):
            x[i] *= value

    @staticmethod
    def div_(x: Vector, y: Vector) -> None:
        for i, value in enumerate(y):
            x[i] /= value

    @staticmethod
    def rdiv_(x: Vector, y: Vector) -> None:
        for i, value in enumerate(y):
            x[i] = value / x[i]

    @staticmethod
    def sqrt_(x: Vector) -> None:
        x[:] = [math.sqrt(value) for value in x]

    @staticmethod
    def sqrt(into: Vector, x: Vector) -> None:
        into[:] = [math.sqrt(value) for value in x]

    @staticmethod
    def adam_(
        into: Vector,
        mean: Vector,
        square: Vector,
        gradient: Vector,
        beta1: float,
        beta2: float,
        eps: float,
        step: int,
    ) -> None:
        full1, full2 = 1.0 - beta1**step, 1.0 - beta2**step
        for i, value in enumerate(gradient):
            mean[i] += (1.0 - beta1) * (value - mean[i])
            square[i] = beta2 * square[i] + (1.0 - beta2) * value * value
            into[i] = mean[i] / full1 / (math.sqrt(square[i] / full2) + eps)

    @staticmethod
    def dot(x: Vector, y: Vector) -> float:
        """⟨x, y⟩."""
        return sum([a * b for a, b in zip(x, y, strict=True)])
