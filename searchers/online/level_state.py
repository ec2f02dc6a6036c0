"""The numbers above the weights: each level's hyperparameters, and how the level above moves them.

Nothing here knows of tensors. A storey is a level's part of a running tower, as plain data (it is
saved with the optimizer): ``at``, the value of each hyperparameter; ``raw``, what the level above
moves of the learned ones; and what the level itself keeps to move the storey below: ``memory``,
how many ``steps`` it has made, and the running mean of the norms it has ``clipped``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from searchers.online.arithmetic import Arithmetic, Numbers, Vector
from searchers.online.level import Combination, Level, Memory, Values

Storey: TypeAlias = dict[str, Any]
Pair: TypeAlias = tuple[str, str]

LARGEST = 1e30
"""A hyperparameter beyond it counts as not finite: it could not move float32 weights."""


class Hypergradient(NamedTuple):
    """∂loss/∂raw of each learned hyperparameter, and ‖g‖ · ‖∂move/∂raw‖ if it was asked for."""

    values: list[float]
    norms: float | None = None

    @property
    def finite(self) -> bool:
        return all(map(math.isfinite, self.values)) and math.isfinite(self.norms or 0.0)


def build(levels: Sequence[Level]) -> list[Storey]:
    """The storeys before the first step; the base's memory is not among them."""
    storeys: list[Storey] = []
    for height, level in enumerate(levels):
        storey: Storey = {
            "at": {name: getattr(level, name) for name in level.raws},
            "raw": [level.raws[name].of(getattr(level, name)) for name in level.learned],
        }
        if height:
            width = len(levels[height - 1].learned)
            kept = level.buffers().items()
            storey["memory"] = {name: [number] * width for name, number in kept}
            storey["steps"] = 0
            storey["clipped"] = {"count": 0, "mean": 0.0}
        storeys.append(storey)
    return storeys


def move(
    level: Level,
    on: Arithmetic,
    x: Vector,
    memory: Memory,
    gradient: Vector,
    at: Values,
    step: int,
) -> None:
    """One step of a level: x and its memory change in place."""
    level.advance(on, memory, gradient, at, step)
    name, factor = level.direction(at, step)
    on.add_(x, memory[name], -at["lr"] * factor)


def combinations(level: Level, at: Values, step: int) -> list[Combination]:
    """∂move/∂(hyperparameter) for each learned one, as combinations of the level's vectors."""
    found: list[Combination] = []
    for name in level.learned:
        if name == "lr":
            vector, factor = level.direction(at, step)
            found.append({vector: factor})
        else:
            found.append(level.sensitivity(name, at, step))
    return found


def wanted(combinations: Sequence[Combination], relative: bool) -> list[Pair]:
    """The inner products that `hypergradient` reads, as pairs of vectors; "gradient" is g."""
    names = dict.fromkeys([vector for each in combinations for vector in each])
    pairs = [("gradient", name) for name in names]
    if relative:
        pairs += [("gradient", "gradient"), *((name, name) for name in names)]
    return pairs


def hypergradient(
    level: Level,
    storey: Storey,
    parts: Sequence[tuple[Sequence[Combination], Mapping[Pair, float]]],
    relative: bool,
) -> Hypergradient:
    """A level's hypergradient one step after its move.

    ``parts``: of each part of x, the derivatives of its move, and the inner products `wanted`.
    """
    values, slope = [], 1.0
    gradient_square = move_square = 0.0
    for index, name in enumerate(level.learned):
        total = 0.0
        for combinations, dots in parts:
            for vector, factor in combinations[index].items():
                total -= factor * dots["gradient", vector]
                if relative:  # then lr is the only name, and its direction the only vector
                    gradient_square += dots["gradient", "gradient"]
                    move_square += factor * factor * dots[vector, vector]
        slope = level.raws[name].slope(storey["raw"][index])
        values.append(total * slope)
    if not relative:
        return Hypergradient(values)
    return Hypergradient(values, abs(slope) * math.sqrt(gradient_square * move_square))


def adjusted(
    levels: Sequence[Level], storeys: Sequence[Storey], first: Hypergradient, clip: bool
) -> list[Storey] | None:
    """Every storey after the level above it has moved it, the highest first.

    ``first`` is the base's hypergradient; each of those above follows from the one below it and
    from what that level's last move was. None if a hypergradient or its result is not finite.
    """
    if not clip and all(level.plain for level in levels[1:]):
        return _descended(levels, storeys, first.values)
    return _adjusted(levels, storeys, first, clip)


def _descended(
    levels: Sequence[Level], storeys: Sequence[Storey], first: list[float]
) -> list[Storey] | None:
    """`adjusted` where every level above the base is plain: tall towers of these stay cheap."""
    gradient, received = first, [first]
    for storey in storeys[1:-1]:
        last = storey["memory"]["direction"]
        gradient = [-sum([g * u for g, u in zip(gradient, last, strict=True)])]
        received.append(gradient)
    if not all(math.isfinite(value) for each in received for value in each):
        return None
    above = storeys[-1]["at"]["lr"]
    after = []
    for height in range(len(levels) - 1, 0, -1):
        storey, gradient = storeys[height], received[height - 1]
        at = {**storey["at"], "lr": above}
        raw = [above] if storey["raw"] else []
        memory = {"direction": gradient}
        after.append(
            {**storey, "at": at, "raw": raw, "memory": memory, "steps": storey["steps"] + 1}
        )
        if height > 1:
            above = storeys[height - 1]["raw"][0] - above * gradient[0]
            if not -LARGEST < above < LARGEST:
                return None
            low, high = levels[height - 1].bounds
            above = min(max(above, low), high)
    base = _copied(storeys[0])
    Numbers.add_(base["raw"], first, -above)
    if not all(-LARGEST < number < LARGEST for number in base["raw"]):
        return None
    settle(levels[0], base)
    return [base, *reversed(after)]


def _adjusted(
    levels: Sequence[Level], storeys: Sequence[Storey], first: Hypergradient, clip: bool
) -> list[Storey] | None:
    """`adjusted`, whatever the levels are."""
    found = [first]
    for height in range(1, len(levels) - 1):
        relative = levels[height + 1].relative
        found.append(_between(levels[height], storeys[height], found[-1].values, relative))
    if not all(each.finite for each in found):
        return None
    after = [_copied(storey) for storey in storeys]
    for height in range(len(levels) - 1, 0, -1):
        level, storey, below = levels[height], after[height], after[height - 1]
        gradient = _received(level, storey, below["raw"], found[height - 1], clip)
        storey["steps"] += 1
        step, memory = storey["steps"], storey["memory"]
        move(level, Numbers, below["raw"], memory, gradient, storey["at"], step)
        if not all(-LARGEST < number < LARGEST for number in below["raw"]):
            return None
        settle(levels[height - 1], below)
    return after


def _copied(storey: Storey) -> Storey:
    after = {**storey, "at": {**storey["at"]}, "raw": [*storey["raw"]]}
    if "memory" in storey:
        after["memory"] = {name: [*vector] for name, vector in storey["memory"].items()}
        after["clipped"] = {**storey["clipped"]}
    return after


def _between(level: Level, storey: Storey, gradient: list[float], relative: bool) -> Hypergradient:
    """The hypergradient of a level that moves numbers; 0 before its first move."""
    if not storey["steps"]:
        return Hypergradient([0.0] * len(level.learned), 0.0)
    moves = combinations(level, storey["at"], storey["steps"])
    vectors = {**storey["memory"], "gradient": gradient}
    dots = {(a, b): Numbers.dot(vectors[a], vectors[b]) for a, b in wanted(moves, relative)}
    return hypergradient(level, storey, [(moves, dots)], relative)


def _received(
    level: Level, storey: Storey, raw: list[float], found: Hypergradient, clip: bool
) -> list[float]:
    """The gradient that a level moves by: as found, relative, or with its norm clipped."""
    if level.relative:
        return [raw[0] * found.values[0] / found.norms if found.norms else 0.0]
    if clip:
        return clipped(storey["clipped"], found.values)
    return found.values


def clipped(running: dict[str, Any], gradient: list[float]) -> list[float]:
    """The gradient, scaled down to the running mean of norms if it is longer.

    With θ' the mean of the t − 1 earlier clipped norms, the threshold is ((t − 1) θ' + ‖g‖) / t, of
    which ‖g‖ is the unclipped norm now; the clipped norm then joins the mean. Counting starts at
    the first gradient that is not zero. ``running`` (count, mean) changes in place.
    """
    norm = math.hypot(*gradient)
    if not running["count"] and not norm:
        return gradient
    before, count = running["count"] * running["mean"], running["count"] + 1
    threshold = (before + norm) / count
    factor = min(1.0, threshold / norm) if norm else 1.0
    running["count"], running["mean"] = count, (before + factor * norm) / count
    return [factor * value for value in gradient]


def settle(level: Level, storey: Storey) -> None:
    """Brings a level's values in line with its raw numbers, its learning rate within bounds."""
    at, raw = storey["at"], storey["raw"]
    for index, name in enumerate(level.learned):
        value = level.raws[name].value(raw[index])
        if name == "lr" and not level.bounds[0] <= value <= level.bounds[1]:
            value = min(max(value, level.bounds[0]), level.bounds[1])
            raw[index] = level.raws[name].of(value)
        at[name] = value


def overridden(level: Level, storey: Storey, lr: float) -> Storey:
    """The storey with a learning rate that was set from outside (by a scheduler)."""
    after = _copied(storey)
    after["at"]["lr"] = lr
    if "lr" in level.learned:
        after["raw"][level.learned.index("lr")] = level.raws["lr"].of(lr)
    return after
