"""The operators of one gradient, recorded once and differentiated along any number of tangents.

Forward over reverse: a loss and its backward pass run as usual, under a mode that sees each ATen
operator that autograd executes. An operator that depends on what moves leaves its derivative on
the tape: a linear map, which keeps no more of the operator's values than it needs. A sweep then
carries K tangents through these maps, without the loss and without autograd.

Tangents belong to storages, not to tensors. So views need no rule, and what is written in place
through one view is seen by every other.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from searchers.errors import SearcherError
from searchers.hypergradients.tangents.rules import (
    Call,
    Push,
    Scaling,
    has_rule,
    refused,
    rule_of,
)
from searchers.hypergradients.tangents.tangent_storage import Region, TangentStorage

RANDOM = {
    getattr(torch.ops.aten, name)
    for name in ("bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_")
} | {torch.ops.aten.random_, torch.ops.aten.uniform_}
"""Operators that overwrite a tensor whatever was there."""

RESIZING = {torch.ops.aten.resize_.default, torch.ops.aten.resize_as_.default} | {
    getattr(torch.ops.aten.set_, name) for name in torch.ops.aten.set_.overloads()
}
"""Operators that change which memory a tensor sees."""


class Step(NamedTuple):
    """One operator: ``push`` maps its arguments' tangents to its results'; None: to none."""

    push: Push | None
    reads: tuple[Any, ...]  # by position: a region, a list of regions, or None
    writes: tuple[Region | None, ...]
    in_place: bool

    def storages(self) -> tuple[set[int], set[int]]:
        """Those it reads (or leaves in part as they were), and those it writes."""
        read = {region.storage for region in _regions(self.reads)}
        written = {region.storage for region in _regions(self.writes)}
        return (read | written if self.in_place else read), written


class Tape(TorchDispatchMode):
    """Records while it is entered; ``moving`` are the tensors that have tangents.

    What a loss writes into its own buffers is executed once, here, and carries no tangents.
    """

    def __init__(self, moving: Sequence[Tensor]):
        super().__init__()
        self._storages: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._count = 0
        self._steps: list[Step] = []
        self._captured: dict[int, list[weakref.ref[Tensor]]] = {}
        self._moving = {self._number(tensor) for tensor in moving}

    def region(self, tensor: Tensor) -> Region:
        span = tensor.untyped_storage().nbytes() // tensor.element_size()
        return Region(
            self._number(tensor),
            tensor.shape,
            tensor.stride(),
            int(tensor.storage_offset()),
            span,
            tensor.dtype,
        )

    def sweep(self, tangents: Sequence[tuple[Region, Tensor]], wanted: Region) -> Tensor:
        """The tangents of a region, (K, *size), from those of the moving tensors."""
        storage = TangentStorage(tangents)
        for step, finished in self._plan(wanted):
            self._push(step, storage, finished)
            storage.forget(finished)
        return storage.read(wanted)

    def bytes_each(self, moving: Region, wanted: Region) -> int:
        """How much one tangent takes at the most, between operators."""
        live, most = {moving.storage: moving.bytes}, 0
        for step, finished in self._plan(wanted):
            for region in _regions(step.writes):
                live[region.storage] = max(region.bytes, live.get(region.storage, 0))
            most = max(most, sum(live.values()))
            for storage in finished:
                live.pop(storage, None)
        return max(most, moving.bytes)

    @staticmethod
    def _push(step: Step, storage: TangentStorage, finished: set[int]) -> None:
        tangents = [storage.read(region) for region in step.reads]
        if isinstance(step.push, Scaling) and storage.alone(step.reads[0]):
            source, target = step.reads[0], step.writes[0]
            assert target is not None
            free = source.storage in finished or source.lies_as(target)
            if free and source.dtype == target.dtype:
                step.push.in_place(tangents[0])
                storage.define(target, tangents[0])
                return
        moved = [None] * len(step.writes) if step.push is None else step.push(*tangents)
        write = storage.overwrite if step.in_place else storage.define
        for region, tangent in zip(step.writes, moved, strict=True):
            if region is not None:
                write(region, tangent)

    def _plan(self, wanted: Region) -> Iterator[tuple[Step, set[int]]]:
        """The steps that ``wanted`` depends on, each with the storages that nobody reads later."""
        needed, plan = {wanted.storage}, []
        for step in reversed(self._steps):
            read, written = step.storages()
            if written & needed:
                plan.append((step, (read | written) - needed))
                needed |= read
        return reversed(plan)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.is_view or (torch.Tag.inplace_view in func.tags and func not in RESIZING):
            return self._view(func, args, kwargs)
        if kwargs and any(map(self._moves, kwargs.values())):
            raise SearcherError(f"no tangents through keyword arguments of {func}")
        mutable = func._schema.is_mutable
        moving = tuple(map(self._moves, args))
        if True in moving:
            for tensor in _tensors(args):
                if not _in_one_storage(tensor) or (not _plain(tensor) and self._moves(tensor)):
                    raise _refusal(func, tensor)
            if refused(func, args):
                raise SearcherError(f"no tangents through {func}: use an engine of reverse mode")
        if mutable and True in moving and not has_rule(func):
            return self._in_place(func, args, kwargs, moving)
        if mutable:
            self._before_writing(func, args, kwargs)
        result = func(*args, **kwargs)
        if True in moving:
            outs = result if isinstance(result, (tuple, list)) else (result,)
            self._record(func, args, kwargs, moving, outs)
        return result

    def _view(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Needs no rule, unless it reads what moves as numbers of another kind."""
        result = func(*args, **kwargs)
        for seen in _tensors((result,)):
            if isinstance(args[0], Tensor) and seen.dtype != args[0].dtype and self._moves(args[0]):
                raise _refusal(func, args[0], seen)
        return result

    def _record(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        moving: tuple[bool, ...],
        outs: Sequence[Any],
    ) -> None:
        for out in _tensors(outs):
            if not _plain(out):
                raise _refusal(func, out)
        given = {id(tensor.untyped_storage()) for tensor in _tensors(args)}
        fresh = [
            isinstance(out, Tensor)
            and out.is_floating_point()
            and id(out.untyped_storage()) not in given
            for out in outs
        ]
        if True in fresh:
            aliases = tuple(map(self._alias, outs))
            push, reads = self._derivative(func, args, kwargs, moving, aliases)
            if push is not None:
                pairs = zip(outs, fresh, strict=True)
                writes = tuple(self.region(out) if new else None for out, new in pairs)
                self._append(Step(push, reads, writes, in_place=False))

    def _in_place(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], moving: tuple[bool, ...]
    ) -> Any:
        """Runs the operator's twin that writes nothing, then copies its result."""
        target = args[0]
        if func.overloadpacket in RANDOM:  # whatever was there
            self._before_writing(func, args, kwargs)
            func(*args, **kwargs)
            self._append(Step(None, (), (self.region(target),), in_place=True))
            return target
        twin = _twin(func)
        result = twin(*args, **kwargs)
        push, reads = self._derivative(twin, args, kwargs, moving, (result,))
        self._before_writing(func, args, kwargs)
        target.copy_(result)
        if result.dtype == target.dtype and result.shape == target.shape:
            result.data = target.detach()  # what a rule captured needs no memory of its own
            self._captured.setdefault(self._number(target), []).append(weakref.ref(result))
        self._append(Step(push, reads, (self.region(target),), in_place=True))
        return target

    def _derivative(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        moving: tuple[bool, ...],
        outs: tuple[Any, ...],
    ) -> tuple[Push | None, tuple[Any, ...]]:
        """What a rule makes of a call, and the regions of the arguments that it looks at."""
        rule, positions = rule_of(func)
        if positions is not None:
            moving = tuple(moves and i in positions for i, moves in enumerate(moving))
        if True not in moving:
            return None, ()
        call = Call(func, tuple(map(self._alias, args)), kwargs, moving)
        reads = tuple(self._read(a) if m else None for a, m in zip(args, moving, strict=True))
        return rule(call, outs), reads

    def _append(self, step: Step) -> None:
        self._steps.append(step)
        self._moving |= step.storages()[1]

    def _read(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self.region(value) if self._moves(value) else None
        return [self._read(each) for each in value]

    def _moves(self, value: Any) -> bool:
        if isinstance(value, Tensor):
            if not _in_one_storage(value):
                return False
            storage = value.untyped_storage()
            known = self._storages.get(id(storage))
            return (
                known is not None
                and known[1] in self._moving
                and known[0]() is storage
                and (value.is_floating_point() or value.is_complex())
            )
        return isinstance(value, (list, tuple)) and any(map(self._moves, value))

    def _number(self, tensor: Tensor) -> int:
        """A storage's own number, which no later one has, even in the same place."""
        storage = tensor.untyped_storage()
        known = self._storages.get(id(storage))
        if known is None or known[0]() is not storage:
            known = self._storages[id(storage)] = weakref.ref(storage), self._count
            self._count += 1
        return known[1]

    def _alias(self, value: Any) -> Any:
        """The same values outside autograd's graph, kept from being overwritten later."""
        if isinstance(value, Tensor):
            alias = value.detach()
            self._captured.setdefault(self._number(value), []).append(weakref.ref(alias))
            return alias
        return list(map(self._alias, value)) if isinstance(value, (list, tuple)) else value

    def _before_writing(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Copies of what rules captured and this operator is about to overwrite."""
        for i, argument in enumerate(func._schema.arguments):
            arg = args[i] if i < len(args) else kwargs.get(argument.name)
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in filter(_in_one_storage, _tensors((arg,))):
                    for reference in self._captured.pop(self._number(tensor), ()):
                        alias = reference()
                        if alias is not None:
                            alias.data = alias.clone()


def _twin(func: Any) -> Callable[..., Tensor]:
    """The operator that returns what ``func`` writes into its first argument alone."""
    name = func._schema.name.removeprefix("aten::")
    packet = getattr(torch.ops.aten, name[:-1], None) if name.endswith("_") else None
    kinds = [str(a.type) for a in func._schema.arguments]
    overloads = [getattr(packet, name) for name in packet.overloads()] if packet else []
    alike = (o for o in overloads if [str(a.type) for a in o._schema.arguments] == kinds)
    twin = next(alike, None)
    writes = [a.alias_info is not None and a.alias_info.is_write for a in func._schema.arguments]
    if twin is None or not writes[0] or any(writes[1:]):
        raise SearcherError(
            f"no tangents through {func}, which writes into its arguments: write the loss "
            "without it, or use an engine of reverse mode"
        )
    return twin


def _in_one_storage(tensor: Tensor) -> bool:
    """Unlike a sparse or a nested tensor's, which is several tensors'."""
    return tensor.layout == torch.strided and not tensor.is_nested


def _plain(tensor: Tensor) -> bool:
    """Whether a tensor's values are its storage's, real numbers as they lie there."""
    return _in_one_storage(tensor) and not tensor.is_complex() and not tensor.is_neg()


def _refusal(func: Any, *tensors: Tensor) -> SearcherError:
    what = "numbers that are read as others"
    if any(tensor.is_complex() for tensor in tensors):
        what = "complex numbers"
    elif not all(map(_in_one_storage, tensors)):
        what = "sparse or nested tensors"
    return SearcherError(f"no tangents of {what} ({func}): use reverse mode")


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _regions(values: Sequence[Any]) -> Iterator[Region]:
    for value in values:
        if isinstance(value, Region):
            yield value
        elif value is not None:
            yield from _regions(value)
