"""Tangents of storages: of a tensor and of every view of it, K at once.

A tensor's K tangents may lie in memory in any order (K in front, or behind the batch); what a view
sees of them is worked out from where it lies in its storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Region(NamedTuple):
    """Where a tensor lies: in which storage, of ``span`` elements, and how."""

    storage: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    span: int
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        return torch.Size(self.size).numel() * self.dtype.itemsize

    def lies_as(self, other: Region) -> bool:
        return self[:4] == other[:4]


@dataclass
class _Entry:
    """One storage's: ``tangent``, (K, *region.size), is that of what lies in ``region``."""

    tangent: Tensor
    region: Region
    copied: bool = False  # in memory that no other storage's tangents share at first

    @property
    def memory(self) -> int:
        return self.tangent.untyped_storage().data_ptr()


class TangentStorage:
    """The tangents known so far; ``given`` are the caller's, which are never overwritten."""

    def __init__(self, given: Sequence[tuple[Region, Tensor]]):
        self._count = len(given[0][1])
        self._device = given[0][1].device
        self._given = {tangent.untyped_storage().data_ptr() for _, tangent in given}
        self._of: dict[int, _Entry] = {}
        for region, tangent in given:
            self.define(region, tangent)

    def read(self, region: Any) -> Any:
        """The tangents of a region, (K, *size); of a list of regions, a list; None of None."""
        if region is None:
            return None
        if not isinstance(region, Region):
            return [self.read(each) for each in region]
        entry = self._of.get(region.storage)
        if entry is None:
            return self._zeros(region, region.size)
        if region.lies_as(entry.region):
            return entry.tangent
        view = _within(entry, region)
        return _part(self._flatten(region), region) if view is None else view

    def define(self, region: Region, tangent: Tensor | None) -> None:
        """The tangents of a new storage; None: it has none."""
        if tangent is not None:
            self._of[region.storage] = _Entry(self._shaped(region, tangent), region)

    def overwrite(self, region: Region, tangent: Tensor | None) -> None:
        """The tangents of what was written into a region of a storage; None: none are left."""
        if tangent is None:
            tangent = self._zeros(region, region.size)
        entry = self._of.get(region.storage)
        whole = torch.Size(region.size).numel() == region.span
        if whole or (entry is not None and region.lies_as(entry.region)):
            self.define(region, tangent)
            return
        if entry is None or not entry.copied or self._shared(entry):
            entry = self._flatten(region)
        _part(entry, region).copy_(self._shaped(region, tangent))

    def forget(self, storages: set[int]) -> None:
        for storage in storages:
            self._of.pop(storage, None)

    def alone(self, region: Region) -> bool:
        """Whether a region's tangents are all that lies in their memory."""
        entry = self._of.get(region.storage)
        if entry is None or not region.lies_as(entry.region) or entry.memory in self._given:
            return False
        dense = torch.ops.aten.is_non_overlapping_and_dense(entry.tangent)
        return dense and not self._shared(entry)

    def _shared(self, entry: _Entry) -> bool:
        """Whether another storage's tangents lie in the same memory (a clone's, for example)."""
        return sum(other.memory == entry.memory for other in self._of.values()) > 1

    def _shaped(self, region: Region, tangent: Tensor) -> Tensor:
        shape = (self._count, *region.size)
        if tangent.dtype != region.dtype:
            tangent = tangent.to(region.dtype)
        return tangent if tangent.shape == shape else tangent.expand(shape)

    def _zeros(self, region: Region, size: tuple[int, ...]) -> Tensor:
        return torch.zeros((self._count, *size), dtype=region.dtype, device=self._device)

    def _flatten(self, region: Region) -> _Entry:
        """The tangents of a region's whole storage, in order: (K, span) in their own memory."""
        whole = region._replace(size=(region.span,), stride=(1,), offset=0)
        result = _Entry(self._zeros(region, whole.size), whole, copied=True)
        before = self._of.get(region.storage)
        if before is not None:
            _part(result, before.region).copy_(before.tangent)
        self._of[region.storage] = result
        return result


def _part(entry: _Entry, region: Region) -> Tensor:
    part = _within(entry, region)
    assert part is not None, "the tangents of a whole storage have every part of it"
    return part


def _within(entry: _Entry, region: Region) -> Tensor | None:
    """What lies in ``region`` of an entry's tangents, as a view; None if no view shows it."""
    tangent, owner = entry.tangent, entry.region
    seen = _view(
        owner.size,
        owner.stride,
        tangent.stride()[1:],
        region.size,
        region.stride,
        region.offset - owner.offset,
    )
    if seen is None:
        return None
    strides, offset = seen
    size = (len(tangent), *region.size)
    strides = (tangent.stride(0), *strides)
    return tangent.as_strided(size, strides, tangent.storage_offset() + offset)


Integers = tuple[int, ...]


@lru_cache(maxsize=4096)  # a training's steps all look alike
def _view(
    owner_size: Integers,
    owner_stride: Integers,
    tangent_stride: Integers,
    size: Integers,
    stride: Integers,
    offset: int,
) -> tuple[Integers, int] | None:
    """Strides and offset among the tangents of a region at ``offset`` in their owner.

    An element's place in the storage is a number whose digits (of mixed radix) say where it lies
    among the tangents. A region's dimension that steps by one digit alone becomes a stride.
    """
    digits = _digits(owner_size, owner_stride, tangent_stride)
    if digits is None:
        return None
    rest, start, highest = offset, 0, []
    for unit, _, jump in digits:
        digit, rest = divmod(rest, unit)
        highest.append(digit)
        start += digit * jump
    if rest:
        return None
    strides = []
    for n, step in zip(size, stride, strict=True):
        if n == 1 or step == 0:
            strides.append(0)
            continue
        place = next((i for i, (unit, _, _) in enumerate(digits) if unit <= step), None)
        if place is None or step % digits[place][0]:
            return None
        steps = step // digits[place][0]
        highest[place] += (n - 1) * steps
        strides.append(steps * digits[place][2])
    if any(not 0 <= most < n for most, (_, n, _) in zip(highest, digits, strict=True)):
        return None  # a carry from one digit to the next
    return tuple(strides), start


def _digits(
    size: Integers, stride: Integers, tangent_stride: Integers
) -> list[tuple[int, int, int]] | None:
    """The unit of each digit in the storage, the number of its values, its stride in the tangents.

    The largest unit first, and as few digits as possible; None if the region has gaps.
    """
    digits: list[tuple[int, int, int]] = []
    dims = (dim for dim in zip(stride, size, tangent_stride, strict=True) if dim[1] != 1)
    for unit, n, jump in sorted(dims, reverse=True):
        if digits and digits[-1][2] == n * jump and digits[-1][0] == n * unit:
            digits[-1] = unit, digits[-1][1] * n, jump
        else:
            digits.append((unit, n, jump))
    if any(outer[0] != inner[0] * inner[1] for outer, inner in pairwise(digits)):
        return None
    return digits
