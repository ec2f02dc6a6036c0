"""Tensors that carry K tangents along, through a network's forward pass and autograd's backward.

Operators where K tangents fold into one call (matrix products, convolutions, pooling) have rules in
`dual_rules` and `dual_layers`; any other operator is differentiated by itself, with `torch.func`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from searchers.errors import SearcherError

Rule = Callable[..., Any]

RULES: dict[Any, Rule] = {}
"""ATen operator → what it does to Duals; called with the operator and its arguments."""


def rule(*operators: Any) -> Callable[[Rule], Rule]:
    """Register what some operators do to Duals."""

    def register(what: Rule) -> Rule:
        RULES.update(dict.fromkeys(operators, what))
        return what

    return register


class Dual(Tensor):
    """A tensor with K tangents, (K, *shape), in any memory layout.

    Activations keep K behind the batch in memory, so that it folds into the batch or into the
    channels without a copy; weights keep it in front.
    """

    primal: Tensor
    tangent: Tensor

    @staticmethod
    def __new__(cls, primal: Tensor, tangent: Tensor) -> Dual:
        return Tensor._make_wrapper_subclass(
            cls,
            primal.size(),
            strides=primal.stride(),
            dtype=primal.dtype,
            device=primal.device,
        )

    def __init__(self, primal: Tensor, tangent: Tensor):
        self.primal = primal
        self.tangent = tangent

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Dual({tuple(self.shape)}, {len(self.tangent)} tangents)"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        known = RULES.get(func)
        if known is not None:
            return known(func, *args, **(kwargs or {}))
        if func._schema.is_mutable:
            return _in_place(func, args, kwargs or {})
        return by_itself(func, args, kwargs or {})


def primal_of(value: Any) -> Any:
    return value.primal if isinstance(value, Dual) else value


def tangent_of(value: Any) -> Tensor | None:
    return value.tangent if isinstance(value, Dual) else None


def dual(primal: Tensor, tangent: Tensor | None) -> Tensor:
    return primal if tangent is None else Dual(primal, tangent)


def by_itself(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operator without a rule: its own derivative along every tangent, vectorised."""
    flat, form = tree_flatten((args, kwargs))
    places = [i for i, x in enumerate(flat) if isinstance(x, Dual) and x.is_floating_point()]
    primals = [primal_of(x) for x in flat]
    # Some operators write into their arguments (running statistics): only once into the real ones.
    scratch = [x.clone() if isinstance(x, Tensor) else x for x in primals]

    own_args, own_kwargs = tree_unflatten(primals, form)
    outputs = func(*own_args, **own_kwargs)
    several = isinstance(outputs, (tuple, list))
    listed = list(outputs) if several else [outputs]
    # Not all that an operator can return was asked for: what it left out has no tangents either.
    moved = [
        i
        for i, x in enumerate(listed)
        if isinstance(x, Tensor) and x.is_floating_point() and places
    ]

    def run(*moving: Tensor) -> tuple[Tensor, ...]:
        whole = list(scratch)
        for i, value in zip(places, moving, strict=True):
            whole[i] = value
        some_args, some_kwargs = tree_unflatten(whole, form)
        found = func(*some_args, **some_kwargs)
        return tuple(found[i] for i in moved) if several else (found,)

    def along(*moving: Tensor) -> tuple[Tensor, ...]:
        return torch.func.jvp(run, tuple(primals[i] for i in places), moving)[1]

    if moved:
        with torch.overrides.enable_reentrant_dispatch():
            changes = torch.func.vmap(along, randomness="same")(*(flat[i].tangent for i in places))
        for i, change in zip(moved, changes, strict=True):
            listed[i] = Dual(listed[i], change)
    return type(outputs)(listed) if several else listed[0]


def _in_place(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operator that overwrites its first argument: its functional form, then the exchange."""
    target = args[0]
    name = func._schema.name.partition("::")[2]
    plain = getattr(torch.ops.aten, name.rstrip("_"), None)
    if not isinstance(target, Dual) or not name.endswith("_") or plain is None:
        raise SearcherError(
            f"forward mode cannot follow {func}, which writes derivatives into a tensor without "
            "any: write that part of the loss without in-place operations, or use reverse mode"
        )
    outcome = getattr(plain, func._overloadname)(target, *args[1:], **kwargs)
    target.primal, target.tangent = outcome.primal, outcome.tangent
    return target
