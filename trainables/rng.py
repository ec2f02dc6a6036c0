"""Independent random streams, by name: every use of randomness has a stream of its own."""

from __future__ import annotations

import hashlib

import torch


def derive(*path: int | str) -> int:
    """A 63-bit seed from a path such as (cell seed, training number, "order 3")."""
    digest = hashlib.blake2b("/".join(map(str, path)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*path: int | str) -> torch.Generator:
    """A CPU generator for the stream of that path."""
    return torch.Generator().manual_seed(derive(*path))
