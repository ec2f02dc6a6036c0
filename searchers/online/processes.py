"""Sums over the processes that have a part each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import distributed


def summed_over(group: Any, numbers: Sequence[float]) -> list[float]:
    """What the numbers of all processes of a group add up to, in each of them; they wait for it."""
    device = "cuda" if distributed.get_backend(group) == "nccl" else "cpu"
    sums = torch.tensor(numbers, dtype=torch.float64, device=device)
    distributed.all_reduce(sums, group=group)
    found: list[float] = sums.tolist()
    return found
