"""Grid search: every combination of a few levels of each domain, in a random order.

Levels stand in the middle of equal parts of a range, in its own scale: with five levels at
0.1, 0.3, … 0.9 of it. A vector has one value all along (tied); a learning rate is also tried as
a step schedule, divided by ``decay`` after half of the training and again after three quarters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, product

from searchers.black_box.in_order import InOrder
from searchers.errors import SearcherError
from searchers.protocols import Brief
from searchers.rng import stream
from searchers.settings import make_plain, number, whole
from searchers.space import Categorical, Domain, Flat, Float, Int, Scalar, Space, Value, Vector

LARGEST_GRID = 100_000


@dataclass(frozen=True)
class GridSearch:
    """The initial configurations, then the grid in a seeded random order, then nothing.

    Args:
        learning_rates: how many levels a learning rate has, where the space names it.
        momenta: likewise of momentum.
        weight_decays: likewise of weight decay.
        others: how many any other range has (all choices of a Categorical are tried).
        decay: by which a step schedule divides the learning rate, twice.
        name: what it is called in tables and files.
    """

    learning_rates: int = 7
    momenta: int = 3
    weight_decays: int = 3
    others: int = 3
    decay: float = 10.0
    name: str = "grid"

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("learning_rates", "momenta", "weight_decays", "others"):
            whole(f"{self.name}: {name}, how many levels,", getattr(self, name), 1)
        number(f"{self.name}: decay, which divides,", self.decay, 1.0)

    def suggester(self, brief: Brief) -> InOrder:
        points = self.points(brief.space)
        order = stream(brief.seed, "grid search").permutation(len(points))
        shuffled = (points[i] for i in order)
        return InOrder(_distinct(chain(brief.initial, shuffled)), brief.horizon)

    def points(self, space: Space) -> list[Flat]:
        """The whole grid, in order.

        Raises:
            SearcherError: it is too large to ever finish.
        """
        axes = [self._axis(name, domain) for name, domain in space.domains.items()]
        size = math.prod(map(len, axes))
        if size > LARGEST_GRID:
            raise SearcherError(
                f"{self.name}: {size:,} points for {len(axes)} domains; lower the levels"
            )
        return [
            {name: value for part in point for name, value in part.items()}
            for point in product(*axes)
        ]

    def _axis(self, name: str, domain: Domain) -> list[Flat]:
        """The values that one domain takes in the grid, flattened."""
        counts = {
            "learning_rate": self.learning_rates,
            "momentum": self.momenta,
            "weight_decay": self.weight_decays,
        }
        count = counts.get(name, self.others)
        if not isinstance(domain, Vector):
            return [{name: level} for level in levels(domain, count)]
        axis = []
        for level in levels(domain.element, count):
            axis.append((level,) * domain.length)
            if name == "learning_rate" and isinstance(domain.element, Float):
                axis.append(step_schedule(domain.element, level, domain.length, self.decay))
        return [{f"{name}_{i}": v for i, v in enumerate(values)} for values in axis]


def levels(domain: Scalar, count: int) -> list[Value]:
    """``count`` values of a range, or all choices of a Categorical; whole numbers only once."""
    if isinstance(domain, Categorical):
        return list(domain.choices)
    if isinstance(domain, Int):
        count = min(count, domain.high - domain.low + 1)
    return list(dict.fromkeys(domain.from_unit((k + 0.5) / count) for k in range(count)))


def step_schedule(element: Float, first: Value, length: int, decay: float) -> tuple[Value, ...]:
    """``length`` windows from ``first``, ÷ decay at 1/2 and at 3/4 of the schedule, clipped."""
    steps = [(2 * i >= length) + (4 * i >= 3 * length) for i in range(length)]
    return tuple(max(float(first) / decay**step, element.low) for step in steps)


def _distinct(configurations: Iterator[Flat]) -> Iterator[Flat]:
    seen = set()
    for configuration in configurations:
        key = tuple(configuration.values())
        if key not in seen:
            seen.add(key)
            yield configuration
