"""Whether engines agree: with each other, and with central finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from hpobench.audit.problems import NETS, RULES, Case, case
from hpobench.audit.rows import DIFFERENCES, EXACT, ROUNDED, Agreement, taken_by, trouble
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.reverse import Stored
from searchers.hypergradients.reversible import Reversible
from searchers.hypergradients.training import Trained, start, train
from searchers.update_rules import UpdateRule

REFERENCE = Stored()
SMOOTH, KINKED = 1e-3, 1e-5
"""The step of finite differences, relative to the value: shorter where clamping makes kinks."""

STORED, FINITE, PLAIN = "stored", "finite differences", "plain training"


@dataclass(frozen=True)
class Expected:
    """What a case comes to: by the reference, by finite differences, by plain training."""

    stored: np.ndarray
    differences: np.ndarray
    weights: Tensor


def agreement(
    engines: Sequence[tuple[str, Engine]], rules: Sequence[UpdateRule] = RULES
) -> Iterator[Agreement]:
    """Every engine, by its label, on every rule and net; float64, one net and rule at a time."""
    for rule in rules:
        for net in NETS:
            at = case(rule, net)
            expected = expect(at)
            for label, engine in engines:
                yield from compared(label, engine, at, expected)


def expect(at: Case) -> Expected:
    along = at.along(at.flat)
    reference = REFERENCE.hypergradient(at.problem, at.problem.draw(0), along)
    stored = reference.by_coefficient.values()
    plain = trained(at, at.flat)
    return Expected(stored, differences(at, plain), plain.state.weights)


def trained(at: Case, flat: dict) -> Trained:
    along, draw = at.along(flat), at.problem.draw(0)
    return train(at.problem, draw, along, start(draw, at.rule), range(along.steps))


def differences(at: Case, held: Trained) -> np.ndarray:
    """Fourth-order central differences of the validation loss by each coefficient, (D,).

    The running statistics are those of ``held``: a hypergradient leaves out how they change.
    """
    relative = KINKED if getattr(at.rule, "clamp", None) else SMOOTH

    def loss(name: str, shift: float) -> float:
        weights = trained(at, {**at.flat, name: float(at.flat[name]) + shift}).state.weights
        return float(at.problem.validation_loss(weights, held.buffers))

    def derivative(name: str) -> float:
        return fourth_order(partial(loss, name), relative * float(at.flat[name]))

    return np.array([derivative(name) for name in at.flat])


def fourth_order(loss: Callable[[float], float], h: float) -> float:
    """The derivative at 0 of a function of one number."""
    near, far = loss(h) - loss(-h), loss(2 * h) - loss(-2 * h)
    return (8 * near - far) / (12 * h)


def compared(label: str, engine: Engine, at: Case, expected: Expected) -> Iterator[Agreement]:
    """One engine on one case: a row for each hyperparameter and what it is held against."""
    row = partial(Agreement, label, at.rule.name, at.net)
    exact = ROUNDED if isinstance(engine, Reversible) else EXACT
    nothing = partial(row, "", "", float("nan"), exact, float("nan"))
    try:
        result = engine.hypergradient(at.problem, at.problem.draw(0), at.along(at.flat))
        found, weights = result.by_coefficient.values(), result.trained.state.weights
        row = partial(row, taken=taken_by(engine.name, result.engine))
    except (Exception, SystemExit) as error:  # a user's engine may do anything
        yield nothing(*trouble(error))
        return
    if found.shape != expected.stored.shape or weights.shape != expected.weights.shape:
        yield nothing(
            f"derivatives of shape {found.shape} and weights of {tuple(weights.shape)}, not "
            f"{expected.stored.shape} and {tuple(expected.weights.shape)}"
        )
        return
    for name in at.brief.space.domains:
        part = at.coefficients(name)
        for against, values, limit in (
            (STORED, expected.stored, exact),
            (FINITE, expected.differences, DIFFERENCES),
        ):
            if against != STORED or engine != REFERENCE:
                size = float(np.abs(values[part]).max())
                yield row(name, against, apart(found[part], values[part]), limit, size)
    size = float(expected.weights.abs().max())
    difference = apart(weights.double().numpy(), expected.weights.numpy())
    yield row("trained weights", PLAIN, difference, exact, size)


def apart(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference relative to max(1, |expected|); NaN if any is."""
    return float(np.max(np.abs(found - expected) / np.maximum(1.0, np.abs(expected))))
