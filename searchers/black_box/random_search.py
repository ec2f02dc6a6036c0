"""Random search: draws from the prior, each trained in full.

Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 2012.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from searchers.black_box.in_order import InOrder
from searchers.protocols import Brief
from searchers.rng import stream
from searchers.space import Flat


@dataclass(frozen=True)
class RandomSearch:
    """The initial configurations, then draws from the prior without end.

    Args:
        name: what it is called in tables and files.
    """

    name: str = "random"

    def suggester(self, brief: Brief) -> InOrder:
        return InOrder(_configurations(brief), brief.horizon)


def _configurations(brief: Brief) -> Iterator[Flat]:
    rng = stream(brief.seed, "random search")
    yield from brief.initial
    while True:
        yield brief.space.sample(rng)
