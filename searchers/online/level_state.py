"""The numbers above the weights: each level's hyperparameters, and how the level above moves them.

Nothing here knows of tensors, and nothing is changed in place: a step of the tower makes new
states, so that a step that is not finite can be left out whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from searchers.online.arithmetic import Arithmetic, Numbers, Vector
from searchers.online.levels import Combination, Level, Memory, Values

Pair: TypeAlias = tuple[str, str]
Part: TypeAlias = tuple[Sequence[Combination], Mapping[Pair, float]]

LARGEST = 1e30
"""A hyperparameter beyond it counts as not finite: it could not move float32 weights."""


class RunningNorm(NamedTuple):
    """The mean of the norms that have been clipped so far, and how many they are."""

    terms: int = 0
    mean: float = 0.0


class LevelState(NamedTuple):
    """A level's part of a running tower.

    Args:
        values: name → the value in use of each hyperparameter.
        raw: what the level above moves of each learned one, in the order of ``learned``.
        memory: name → the level's vector over the raw numbers of the level below. Empty for the
            base, whose vectors are tensors.
        steps: how many steps the level has made on the level below; 0 for the base.
        norm: of the hypergradients that it has received.
    """

    values: dict[str, float]
    raw: list[float]
    memory: dict[str, list[float]]
    steps: int = 0
    norm: RunningNorm = RunningNorm()


class Hypergradient(NamedTuple):
    """The derivative of the loss by a level's raw numbers, one step after its move.

    Args:
        values: ∂loss/∂raw of each learned hyperparameter.
        norms: ‖g‖ · ‖∂move/∂raw‖, if it was asked for.
    """

    values: list[float]
    norms: float | None = None

    @property
    def finite(self) -> bool:
        """Whether all of it is."""
        return all(map(math.isfinite, self.values)) and math.isfinite(self.norms or 0.0)


def build(levels: Sequence[Level]) -> list[LevelState]:
    """The states before the first step, the base's first."""
    states = []
    for height, level in enumerate(levels):
        values = {name: getattr(level, name) for name in level.transforms}
        raw = [level.transforms[name].raw(values[name]) for name in level.learned]
        width = len(levels[height - 1].learned)
        initial = level.initial_memory() if height else {}
        memory = {name: [number] * width for name, number in initial.items()}
        states.append(LevelState(values, raw, memory))
    return states


def move(
    level: Level,
    ops: Arithmetic,
    x: Vector,
    memory: Memory,
    gradient: Vector,
    values: Values,
    step: int,
) -> None:
    """One step of a level: x and its memory change in place."""
    level.advance(ops, memory, gradient, values, step)
    name, factor = level.direction(values, step)
    ops.add_(x, memory[name], -values["lr"] * factor)


def sensitivities(level: Level, values: Values, step: int) -> list[Combination]:
    """∂move/∂(hyperparameter) for each learned one, as combinations of the level's vectors."""
    combinations: list[Combination] = []
    for name in level.learned:
        if name == "lr":
            vector, factor = level.direction(values, step)
            combinations.append({vector: factor})
        else:
            combinations.append(level.sensitivity(name, values, step))
    return combinations


def inner_products(combinations: Sequence[Combination], relative: bool) -> list[Pair]:
    """Those that `hypergradient` reads, as pairs of names of vectors; "gradient" is g."""
    names = dict.fromkeys([vector for each in combinations for vector in each])
    pairs = [("gradient", name) for name in names]
    if relative:
        pairs += [("gradient", "gradient"), *((name, name) for name in names)]
    return pairs


def sums(level: Level, parts: Sequence[Part], relative: bool) -> list[float]:
    """What a level's hypergradient is made of: of two parts of x it is the sum of both.

    Args:
        level: the level.
        parts: of each part of x, the `sensitivities` of its move, and the `inner_products`.
        relative: whether the norms are wanted too.

    Returns:
        −⟨g, ∂move/∂(hyperparameter)⟩ of each learned one, ‖g‖² and ‖∂move/∂(hyperparameter)‖².
    """
    totals = [0.0] * len(level.learned)
    gradient_square = move_square = 0.0
    for combinations, dots in parts:
        for index, combination in enumerate(combinations):
            for vector, factor in combination.items():
                totals[index] -= factor * dots["gradient", vector]
                if relative:  # then lr is the only name, and its direction the only vector
                    gradient_square += dots["gradient", "gradient"]
                    move_square += factor * factor * dots[vector, vector]
    return [*totals, gradient_square, move_square]


def hypergradient(
    level: Level, state: LevelState, found: Sequence[float], relative: bool
) -> Hypergradient:
    """A level's hypergradient one step after its move.

    Args:
        level: the level.
        state: its state, as it was for that move.
        found: the `sums` over x.
        relative: whether the norms are wanted too.
    """
    *totals, gradient_square, move_square = found
    slopes = [
        level.transforms[name].slope(raw)
        for name, raw in zip(level.learned, state.raw, strict=True)
    ]
    values = [total * slope for total, slope in zip(totals, slopes, strict=True)]
    if not relative:
        return Hypergradient(values)
    return Hypergradient(values, abs(slopes[0]) * math.sqrt(gradient_square * move_square))


def adjusted(
    levels: Sequence[Level], states: Sequence[LevelState], base: Hypergradient, clip: bool
) -> list[LevelState] | None:
    """Every state after the level above it has moved it, the highest first.

    Args:
        levels: the tower, the base first.
        states: theirs.
        base: the base's hypergradient; each of those above follows from the one below it and from
            what that level's last move was.
        clip: whether a level clips the hypergradient that it receives (see `clipped`).

    Returns:
        The new states; None if a hypergradient or what it leads to is not finite.
    """
    if not clip and all(level.plain for level in levels[1:]):
        return _adjusted_by_plain(levels, states, base.values)
    return _adjusted(levels, states, base, clip)


def _adjusted(
    levels: Sequence[Level], states: Sequence[LevelState], base: Hypergradient, clip: bool
) -> list[LevelState] | None:
    """`adjusted`, whatever the levels are."""
    received = [base]
    for height in range(1, len(levels) - 1):
        relative = levels[height + 1].relative
        received.append(_between(levels[height], states[height], received[-1].values, relative))
    if not all(each.finite for each in received):
        return None
    after = list(states)
    for height in range(len(levels) - 1, 0, -1):
        level, state, below = levels[height], after[height], after[height - 1]
        gradient, norm = _moved_by(level, state, below.raw, received[height - 1], clip)
        memory = {name: [*vector] for name, vector in state.memory.items()}
        raw, step = [*below.raw], state.steps + 1
        move(level, Numbers, raw, memory, gradient, state.values, step)
        if not all(-LARGEST < number < LARGEST for number in raw):
            return None
        after[height] = state._replace(memory=memory, steps=step, norm=norm)
        after[height - 1] = with_raw(levels[height - 1], below, raw)
    return after


def _adjusted_by_plain(
    levels: Sequence[Level], states: Sequence[LevelState], base: list[float]
) -> list[LevelState] | None:
    """`adjusted` where every level above the base is plain, so that tall towers stay cheap."""
    gradient, received = base, [base]
    for state in states[1:-1]:
        last = state.memory["direction"]
        gradient = [-sum([g * u for g, u in zip(gradient, last, strict=True)])]
        received.append(gradient)
    if not all(math.isfinite(value) for each in received for value in each):
        return None
    lr = states[-1].values["lr"]  # from the highest level down
    after = []
    for height in range(len(levels) - 1, 0, -1):
        state, gradient = states[height], received[height - 1]
        values = {**state.values, "lr": lr}
        raw = [lr] if state.raw else []
        memory = {"direction": gradient}
        after.append(LevelState(values, raw, memory, state.steps + 1, state.norm))
        if height > 1:
            lr = states[height - 1].raw[0] - lr * gradient[0]
            if not -LARGEST < lr < LARGEST:
                return None
            low, high = levels[height - 1].bounds
            lr = min(max(lr, low), high)
    raw = [*states[0].raw]
    Numbers.add_(raw, base, -lr)
    if not all(-LARGEST < number < LARGEST for number in raw):
        return None
    return [with_raw(levels[0], states[0], raw), *reversed(after)]


def _between(
    level: Level, state: LevelState, gradient: list[float], relative: bool
) -> Hypergradient:
    """The hypergradient of a level that moves numbers; 0 before its first move."""
    if not state.steps:
        return Hypergradient([0.0] * len(level.learned), 0.0)
    combinations = sensitivities(level, state.values, state.steps)
    vectors = {**state.memory, "gradient": gradient}
    pairs = inner_products(combinations, relative)
    dots = {(a, b): Numbers.dot(vectors[a], vectors[b]) for a, b in pairs}
    found = sums(level, [(combinations, dots)], relative)
    return hypergradient(level, state, found, relative)


def _moved_by(
    level: Level, state: LevelState, raw: list[float], received: Hypergradient, clip: bool
) -> tuple[list[float], RunningNorm]:
    """The gradient that a level moves by: as received, relative, or with its norm clipped."""
    if level.relative:
        norms = received.norms
        return [raw[0] * received.values[0] / norms if norms else 0.0], state.norm
    if clip:
        return clipped(state.norm, received.values)
    return received.values, state.norm


def clipped(norm: RunningNorm, gradient: list[float]) -> tuple[list[float], RunningNorm]:
    """The gradient, scaled down to the running mean of norms if it is longer, and the new mean.

    With θ' the mean of the t − 1 earlier clipped norms, the threshold is ((t − 1) θ' + ‖g‖) / t, of
    which ‖g‖ is the unclipped norm now; the clipped norm then joins the mean. Counting starts at
    the first gradient that is not zero.
    """
    factor, after = clipping(norm, math.hypot(*gradient))
    return [factor * value for value in gradient], after


def clipping(norm: RunningNorm, length: float) -> tuple[float, RunningNorm]:
    """By what `clipped` scales a gradient of that norm, and the new mean.

    A norm that is not finite is no part of it.
    """
    if not math.isfinite(length) or (not norm.terms and not length):
        return 1.0, norm
    before, terms = norm.terms * norm.mean, norm.terms + 1
    threshold = (before + length) / terms
    factor = min(1.0, threshold / length) if length else 1.0
    return factor, RunningNorm(terms, (before + factor * length) / terms)


def with_raw(level: Level, state: LevelState, raw: Sequence[float]) -> LevelState:
    """The state with other raw numbers, its values in line with them, and lr within bounds."""
    raw, values = [*raw], {**state.values}
    for index, name in enumerate(level.learned):
        value = level.transforms[name].value(raw[index])
        if name == "lr" and not level.bounds[0] <= value <= level.bounds[1]:
            value = min(max(value, level.bounds[0]), level.bounds[1])
            raw[index] = level.transforms[name].raw(value)
        values[name] = value
    return LevelState(values, raw, state.memory, state.steps, state.norm)


def with_lr(level: Level, state: LevelState, lr: float) -> LevelState:
    """The state with a learning rate that was set from outside (by a scheduler)."""
    raw = [*state.raw]
    if "lr" in level.learned:
        raw[level.learned.index("lr")] = level.transforms["lr"].raw(lr)
    return state._replace(values={**state.values, "lr": lr}, raw=raw)


def as_plain(states: Sequence[LevelState]) -> list[dict[str, Any]]:
    """The states as they are saved: plain data, for ``torch.load(..., weights_only=True)``."""
    plain: list[dict[str, Any]] = []
    for height, state in enumerate(states):
        saved: dict[str, Any] = {"at": state.values, "raw": state.raw}
        if height:
            saved["memory"], saved["steps"] = state.memory, state.steps
            saved["clipped"] = {"count": state.norm.terms, "mean": state.norm.mean}
        plain.append(saved)
    return plain


def from_plain(plain: Sequence[Mapping[str, Any]]) -> list[LevelState]:
    """The states that `as_plain` was given."""
    base, *above = plain
    states = [LevelState(base["at"], base["raw"], {})]
    for saved in above:
        norm = RunningNorm(saved["clipped"]["count"], saved["clipped"]["mean"])
        memory, steps = saved["memory"], saved["steps"]
        states.append(LevelState(saved["at"], saved["raw"], memory, steps, norm))
    return states
