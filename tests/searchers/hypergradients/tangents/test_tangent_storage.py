"""Tangents of storages, seen through views."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from searchers.hypergradients.tangents.tangent_storage import Region, TangentStorage
from tests.searchers.hypergradients.tangents.double_backward import (
    DOUBLE,
    normal,
    seeded,
)

VIEWS: list[Callable[[Tensor], Tensor]] = [
    lambda x: x.transpose(0, 1),
    lambda x: x[1:],
    lambda x: x[:, ::2],
    lambda x: x[0],
    lambda x: x.flatten(),
    lambda x: x.unfold(0, 2, 1),
    lambda x: x.unsqueeze(0).expand(3, *x.shape),
    lambda x: x.diagonal(),
    lambda x: x[..., -1],
]


@settings(max_examples=150)
@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    seed=st.integers(0, 1000),
    chosen=st.lists(st.sampled_from(VIEWS), max_size=4),
    write=st.booleans(),
)
def test_a_view_sees_its_tangents(shape: list[int], seed: int, chosen: list, write: bool) -> None:
    """Wherever K lies among the dimensions in memory, a view of a tensor has a view's tangents."""
    order = torch.randperm(len(shape) + 1, generator=seeded(seed)).tolist()
    whole = [3, *shape]
    tangents = normal(*[whole[d] for d in order]).permute(
        [order.index(d) for d in range(len(order))]
    )
    base = torch.arange(torch.Size(shape).numel()).view(shape)

    view, seen = base, tangents
    for one in chosen:
        try:
            view, seen = one(view), torch.func.vmap(one)(seen)
        except (IndexError, RuntimeError):  # this view is not for this shape
            break
        if not view.numel():
            return
    if view.untyped_storage().data_ptr() != base.untyped_storage().data_ptr():
        return

    def region(tensor: Tensor) -> Region:
        place = tensor.size(), tensor.stride(), tensor.storage_offset()
        return Region(0, *place, base.numel(), DOUBLE)

    storage = TangentStorage([(region(base), tangents)])
    assert torch.equal(storage.read(region(view)), seen)
    if write and not torch._debug_has_internal_overlap(view):
        kept = tangents.clone()
        storage.overwrite(region(view), 2 * seen)
        changed = torch.isin(base, view.reshape(-1))
        expected = torch.where(changed, 2 * kept, kept)
        assert torch.equal(storage.read(region(base)), expected)
        assert torch.equal(tangents, kept)
