"""Many directional derivatives of a gradient at once, forward over reverse.

The loss, and then autograd's own backward pass, run on tensors that carry K tangents: the gradient
comes out with its K changes, exact for any network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from searchers.hypergradients import dual_layers, dual_rules  # noqa: F401  they register rules
from searchers.hypergradients.dual import Dual

CHUNKS = (2, 4, 8, 12, 16)
"""How many tangents to try at once: more fold better, until they leave the processor's cache."""


def gradient_tangents(
    loss: Callable[..., Tensor], inputs: Sequence[Tensor], tangents: Sequence[Tensor | None]
) -> tuple[Tensor, Tensor]:
    """The gradient of a loss by its first input, and its change along K directions.

    ``loss``: scalar function of ``inputs``, twice differentiable; its first input is the weight
    vector, (P,). ``tangents``: for each input (K, *its shape), or None if it stays. Returns the
    gradient, (P,), and its changes, (K, P): Hessian-vector products, plus the mixed derivatives by
    the other inputs. What the loss writes into buffers is written once and carries no tangents.
    """
    moving = [
        value.detach() if tangent is None else Dual(value.detach(), tangent.to(value.dtype))
        for value, tangent in zip(inputs, tangents, strict=True)
    ]
    leaf = moving[0].requires_grad_()
    (slope,) = torch.autograd.grad(loss(*moving), leaf)
    if isinstance(slope, Dual):
        return slope.primal, slope.tangent
    count = next(len(tangent) for tangent in tangents if tangent is not None)
    return slope, slope.new_zeros(count, *slope.shape)


def fastest_chunk(loss: Callable[[Tensor], Tensor], vector: Tensor, count: int) -> int:
    """Of `CHUNKS` up to ``count`` tangents, the one that costs least for each; a short probe."""
    sizes = [size for size in CHUNKS if size < count] + [count] * (count <= CHUNKS[-1])
    if len(sizes) < 2:
        return max(count, 1)

    def cost(size: int) -> float:
        began = time.perf_counter()
        gradient_tangents(loss, (vector,), (vector.expand(size, -1),))
        return (time.perf_counter() - began) * -(-count // size)

    cost(sizes[0])  # what is loaded or allocated once is not counted
    return min(sizes, key=cost)
