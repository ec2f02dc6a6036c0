"""Random streams by name: two searchers with one seed do not draw the same numbers."""

from __future__ import annotations

import numpy as np


def _sequence(seed: int, name: str) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed % 2**64, *name.encode()])


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of that name under a cell's seed."""
    return np.random.default_rng(_sequence(seed, name))


def library_seed(seed: int, name: str) -> int:
    """A 31-bit seed of that name, for libraries that want a plain number."""
    return int(_sequence(seed, name).generate_state(1)[0]) >> 1
