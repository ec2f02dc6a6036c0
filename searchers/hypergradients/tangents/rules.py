"""The derivatives of ATen operators along K tangents at once.

A rule sees one executed operator and returns its derivative: a linear map from the tangents of its
arguments, (K, *shape) each (None: it does not move), to those of its results. K is folded into a
dimension that the operator already has, so that one call does the work of K. An operator without
a rule gets forward-mode differentiation of that operator alone (`by_forward_mode`), which is exact
for everything that torch can differentiate forward, but slower.

What a rule captures is kept until the tape is dropped: no more than it needs, and arguments
themselves, not views of them (a tape knows only these when they are about to be overwritten).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from searchers.errors import SearcherError

aten = torch.ops.aten

Push: TypeAlias = Callable[..., Sequence[Tensor | None]]
"""Tangents by argument position → tangents of the results."""


@dataclass(frozen=True)
class Call:
    """An executed operator; ``moving``: which arguments have tangents, by position."""

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    moving: tuple[bool, ...]

    def argument(self, position: int, name: str, default: Any) -> Any:
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)

    def factor(self, position: int, *others: int) -> Any:
        """An argument if others move, and so their tangents are multiplied by it; else None."""
        return self.args[position] if any(self.moving[other] for other in others) else None


Rule: TypeAlias = Callable[[Call, tuple[Any, ...]], Push | None]
"""Of a call and its results; None where nothing moves."""

_RULES: dict[Any, tuple[Rule, tuple[int, ...] | None]] = {}


def rule(*operators: Any, of: tuple[int, ...] | None = None) -> Callable[[Rule], Rule]:
    """Registers a rule; ``of``: the positions of the only arguments whose tangents matter."""

    def register(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(operators, (function, of)))
        return function

    return register


REFUSED = {
    aten.as_strided_scatter.default,  # cannot be batched: its tangents would be zeros
    aten._linalg_det.default,  # what its backward pass reads counts as constant
    aten._linalg_slogdet.default,
    aten._linalg_solve_ex.default,
}


def refused(operator: Any, args: tuple[Any, ...]) -> bool:
    """Whether forward-mode differentiation of an operator is known to be wrong."""
    product = operator is aten.scatter_reduce.two and args[4] == "prod"
    return operator in REFUSED or product


def has_rule(operator: Any) -> bool:
    return operator in _RULES


def rule_of(operator: Any) -> tuple[Rule, tuple[int, ...] | None]:
    return _RULES.get(operator, (by_forward_mode, None))


def by_forward_mode(call: Call, outs: tuple[Any, ...]) -> Push:
    """Of any operator: torch's own forward mode, vectorised over the tangents.

    Where torch has none, that of the operator's decomposition into simpler ones.
    """
    kept = [isinstance(out, Tensor) and out.is_floating_point() for out in outs]
    seeded = torch.Tag.nondeterministic_seeded in call.func.tags

    def push(*tangents: Any) -> Sequence[Tensor | None]:
        try:
            moved = iter(_forward_mode(call.func, call, tangents, kept))
        except RuntimeError as problem:
            simpler = torch._decomp.decomposition_table.get(call.func)
            if simpler is None or seeded:
                raise SearcherError(
                    f"no tangents through {call.func}: write the loss without it, or use an "
                    f"engine of reverse mode ({str(problem).splitlines()[0]})"
                ) from problem
            moved = iter(_forward_mode(simpler, call, tangents, kept))
        return [next(moved) if keep else None for keep in kept]

    return push


def _forward_mode(
    func: Callable[..., Any], call: Call, tangents: Sequence[Any], kept: Sequence[bool]
) -> tuple[Tensor, ...]:
    leaves, spec = tree_flatten(call.args)
    if "batch_norm" in call.func._schema.name:  # it would move the running statistics again
        leaves = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    given = _by_leaf(tangents, call.args)
    places = [i for i, tangent in enumerate(given) if tangent is not None]

    def results(*moving: Tensor) -> tuple[Tensor, ...]:
        filled = list(leaves)
        for place, value in zip(places, moving, strict=True):
            filled[place] = value
        result = func(*tree_unflatten(filled, spec), **call.kwargs)
        every = result if isinstance(result, (tuple, list)) else (result,)
        return tuple(out for out, keep in zip(every, kept, strict=True) if keep)

    def along(*directions: Tensor) -> tuple[Tensor, ...]:
        primals = tuple(leaves[place] for place in places)
        return torch.func.jvp(results, primals, directions)[1]

    return torch.func.vmap(along)(*[tangent for tangent in given if tangent is not None])


def _by_leaf(tangents: Sequence[Any], args: Sequence[Any]) -> list[Tensor | None]:
    """The tangents in the order of the arguments' leaves."""
    result: list[Tensor | None] = []
    for tangent, arg in zip(tangents, args, strict=True):
        leaves = tree_leaves(arg) if isinstance(arg, (list, tuple)) else [arg]
        if isinstance(arg, (list, tuple)):
            result += tangent if tangent is not None else [None] * len(leaves)
        else:
            result.append(tangent)
    return result


class Scaling:
    """y = factor · x, element by element: a tangent that nobody else reads is scaled in place."""

    def __init__(self, factor: Tensor | float):
        self.factor = factor

    def __call__(self, tangent: Tensor, *_: Any) -> tuple[Tensor]:
        return (tangent * self.factor,)

    def in_place(self, tangent: Tensor) -> None:
        tangent.mul_(self.factor)


class Gate(Scaling):
    """y = x where a value is above a threshold, else 0."""

    def __init__(self, value: Tensor, threshold: float):
        super().__init__(value)
        self.threshold = threshold

    def __call__(self, tangent: Tensor, *_: Any) -> tuple[Tensor]:
        return (aten.threshold_backward(tangent, self.factor, self.threshold),)

    def in_place(self, tangent: Tensor) -> None:
        gate = aten.threshold_backward.grad_input
        gate(tangent, self.factor, self.threshold, grad_input=tangent)


def total(*parts: Tensor | None) -> Tensor | None:
    """The sum of what moves."""
    present = [part for part in parts if part is not None]
    return sum(present[1:], start=present[0]) if present else None


def on_channels(values: Tensor, dims: int) -> Tensor:
    """(C,) or (K, C) → broadcasts with (B, C, …) or (K, B, C, …)."""
    return values.unflatten(-1, (1, -1, *[1] * (dims - 2)))
