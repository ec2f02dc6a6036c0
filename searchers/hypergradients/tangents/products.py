"""Two ways to get a gradient and K directional derivatives of it, and a probe that picks one.

*Folded*, forward over reverse: the gradient's operators are recorded once, and K tangents go
through each in one call (`tape`). *One by one*, reverse over reverse: one more backward pass for
each tangent; it costs less where K is small and the network is so too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from searchers.hypergradients.tangents import (  # noqa: F401  they register rules
    rules_of_arithmetic,
    rules_of_convolution,
    rules_of_layers,
)
from searchers.hypergradients.tangents.tangent_storage import Region
from searchers.hypergradients.tangents.tape import Tape
from searchers.stopwatch import clock

CHUNKS = (4, 8, 16)
"""How many tangents to try at once: more fold better, until they leave the processor's cache."""

MEMORY = {"cpu": 1 << 24, "cuda": 1 << 30}
"""Bytes that the tangents of activations may take at once, by the kind of device."""

Result = TypeVar("Result")


class Products(Protocol):
    """A way to get a gradient and its directional derivatives."""

    def __call__(
        self,
        loss: Callable[..., Tensor],
        inputs: Sequence[Tensor],
        tangents: Sequence[Tensor | None],
    ) -> tuple[Tensor, Tensor]:
        """The gradient of a loss by its first input, and its change along K directions.

        The loss is called once, so what it writes into buffers is written once; that carries no
        tangents.

        Args:
            loss: Scalar function of ``inputs``, differentiable twice.
            inputs: The weight vector, (P,), then whatever else the loss depends on.
            tangents: For each input (K, *its shape), or None if it stays.

        Returns:
            The gradient, (P,), and its changes, (K, P): Hessian-vector products, plus the mixed
            derivatives by the other inputs.

        Raises:
            SearcherError: If an operator of the loss cannot be followed.
        """


@dataclass(frozen=True)
class Folded:
    """Forward over reverse: K tangents go through each recorded operator in one call.

    The derivative of the gradient as it is computed: what a loss detaches moves with the weights.

    Args:
        chunk: How many tangents at once, at most; None: all.
    """

    chunk: int | None = None

    def __call__(
        self,
        loss: Callable[..., Tensor],
        inputs: Sequence[Tensor],
        tangents: Sequence[Tensor | None],
    ) -> tuple[Tensor, Tensor]:
        tape, regions, gradient = _record(loss, inputs, [t is not None for t in tangents])
        wanted = tape.region(gradient)
        present = [t for t in tangents if t is not None]
        given = [(r, t.to(r.dtype)) for r, t in zip(regions, present, strict=True)]
        count = len(present[0])
        products = gradient.new_empty(count, *gradient.shape)
        with torch.no_grad():
            for part in _parts(count, self.chunk):
                moving = [(region, tangent[part]) for region, tangent in given]
                products[part] = tape.sweep(moving, wanted)
        return gradient, products


@dataclass(frozen=True)
class OneByOne:
    """Reverse over reverse: one backward pass through the gradient's graph for each tangent.

    What a loss detaches does not move, and H is taken to be symmetric.
    """

    def __call__(
        self,
        loss: Callable[..., Tensor],
        inputs: Sequence[Tensor],
        tangents: Sequence[Tensor | None],
    ) -> tuple[Tensor, Tensor]:
        leaves = [x.detach().requires_grad_(i == 0) for i, x in enumerate(inputs)]
        for leaf, tangent in zip(leaves, tangents, strict=True):
            leaf.requires_grad_(leaf is leaves[0] or tangent is not None)
        moving = [(x, t) for x, t in zip(leaves, tangents, strict=True) if t is not None]
        sought = [leaves[0], *(x for x, _ in moving if x is not leaves[0])]
        slopes = torch.autograd.grad(loss(*leaves), sought, create_graph=True, allow_unused=True)
        by = dict(zip(map(id, sought), slopes, strict=True))
        pairs = [(by[id(x)], t) for x, t in moving if by[id(x)] is not None]
        gradient = slopes[0]
        count = len(moving[0][1])
        products = torch.zeros(count, *gradient.shape, dtype=gradient.dtype, device=gradient.device)
        for k in range(count):
            along = [(slope, t[k].to(slope.dtype)) for slope, t in pairs if slope.requires_grad]
            if along:
                (product,) = torch.autograd.grad(
                    [slope for slope, _ in along],
                    leaves[0],
                    [direction for _, direction in along],
                    retain_graph=k + 1 < count,
                    allow_unused=True,
                )
                if product is not None:
                    products[k] = product
        return gradient.detach(), products


def fastest(
    loss: Callable[[Tensor], Tensor], vector: Tensor, count: int, memory: int | None = None
) -> Products:
    """What a short probe, of a few steps, finds quickest for ``count`` tangents of the weights.

    Args:
        loss: Scalar function of the weights. It is called a few times: give one whose buffers may
            be written.
        vector: The weights, (P,).
        count: How many tangents, K.
        memory: Chunks whose tangents need more bytes are not tried (a single tangent always is);
            None: `MEMORY`.
    """
    most = memory or MEMORY.get(vector.device.type, MEMORY["cuda"])
    chunk, seconds = _fastest_chunk(loss, vector, count, most)
    leaf = vector.detach().requires_grad_()
    plain, _ = _timed(vector, lambda: torch.autograd.grad(loss(leaf), leaf))
    if seconds <= count * plain:  # to go back through a gradient is more work than the gradient
        return Folded(chunk)

    def timed(way: Products, tangents: int) -> tuple[float, Tensor]:
        directions = vector.expand(tangents, -1)
        return _timed(vector, lambda: way(loss, (vector,), (directions,))[1][0])

    first, product = timed(Folded(1), 1)
    one, alone = timed(OneByOne(), 1)
    if (product - alone).norm() > 1e-3 * product.norm():  # the loss detaches something
        return Folded(chunk)
    another = timed(OneByOne(), 2)[0] - one
    others = count - 1
    cheaper = one + another * others < first + seconds / count * others
    return OneByOne() if cheaper else Folded(chunk)


def _fastest_chunk(
    loss: Callable[[Tensor], Tensor], vector: Tensor, count: int, memory: int
) -> tuple[int, float]:
    """The chunk, and the seconds that it takes to sweep all tangents along a recorded gradient."""
    tape, (moving,), gradient = _record(loss, [vector], [True])
    wanted = tape.region(gradient)
    most = max(1, memory // tape.bytes_each(moving, wanted))
    seconds = {}
    for chunk in sorted({min(chunk, count, most) for chunk in (*CHUNKS, count)}):
        parts = -(-count // chunk)
        given = [(moving, vector.detach().expand(-(-count // parts), -1))]
        with torch.no_grad():
            each, _ = _timed(vector, partial(tape.sweep, given, wanted))
        seconds[chunk] = each * parts
    best = min(seconds, key=seconds.__getitem__)
    return best, seconds[best]


def _timed(vector: Tensor, work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds on the device of ``vector``, and the result.

    What a GPU does for the first time takes it far longer: kernels are loaded, memory is fetched.
    """
    if vector.device.type != "cpu":
        work()
    began = clock(vector.device)
    result = work()
    return clock(vector.device) - began, result


def _record(
    loss: Callable[..., Tensor], inputs: Sequence[Tensor], moving: Sequence[bool]
) -> tuple[Tape, list[Region], Tensor]:
    """The tape of a gradient, where each moving input lies in it, and the gradient."""
    # Copies: a loss may also hold an input's own memory as a constant, which does not move.
    leaves = [
        x.detach().clone() if moves else x.detach() for x, moves in zip(inputs, moving, strict=True)
    ]
    with_tangents = [x for x, moves in zip(leaves, moving, strict=True) if moves]
    tape = Tape(with_tangents)
    with tape, torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss(leaves[0].requires_grad_(), *leaves[1:]), leaves[0])
    return tape, [tape.region(x) for x in with_tangents], gradient.detach()


def _parts(count: int, chunk: int | None) -> list[slice]:
    """As few parts as ``chunk`` allows, of nearly equal size."""
    parts = 1 if chunk is None else -(-count // chunk)
    bounds = [round(i * count / parts) for i in range(parts + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]
