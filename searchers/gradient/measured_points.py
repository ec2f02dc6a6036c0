"""Measured points of gradient-based searches: a training, its validation, its hypergradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from searchers.gradient.outer_optimizers import LARGEST
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.reversible_arithmetic import OutOfRange
from searchers.hypergradients.schedules import by_unit, schedule
from searchers.hypergradients.training import start, train
from searchers.inner_problem import InnerProblem
from searchers.protocols import Brief, Evaluation
from searchers.space import Flat, Space
from searchers.stopwatch import Stopwatch

SIGNIFICANT_DIGITS = 7
"""Per-step values are recorded in float32's precision."""

NOTED_DIGITS = 5
"""Of a hypergradient, which is noted to be looked at."""


def evaluate(
    problem: InnerProblem, brief: Brief, flat: Flat, epochs: int, training: int, engine: Engine
) -> tuple[Evaluation, np.ndarray]:
    """Train to a budget and differentiate.

    Args:
        problem: what is trained.
        brief: the cell's.
        flat: the configuration.
        epochs: the budget.
        training: the number of the training.
        engine: how it is differentiated.

    Returns:
        The measured point, and the hypergradient by the fraction of each range, in the order of
        the space, shape (D,).
    """
    laps = Stopwatch(problem.device)
    along = schedule(brief, problem, flat, epochs)
    laps.end("train")
    try:
        result = engine.hypergradient(problem, problem.draw(training), along)
    except OutOfRange as error:  # a divergence, as leaving the floats is to other engines
        laps.end("hypergradient")
        nowhere = np.full(len(brief.space), np.nan)
        plain = measure(problem, brief, flat, epochs, training)
        notes = {"engine": str(error), **nonfinite(lost(brief.space, nowhere))}
        laps.end("train", inside=plain.seconds)
        return replace(plain, seconds=laps.seconds, notes=notes), nowhere
    derivative = by_unit(brief.space, flat, result.by_coefficient)
    laps.end("hypergradient", inside=result.seconds)
    metrics = problem.validation(result.trained.weights)
    laps.end("validation")
    evaluation = Evaluation(
        training=training,
        configuration=flat,
        epochs=epochs,
        metrics=metrics,
        steps=round(result.steps),
        weights=result.trained.weights,
        seconds=laps.seconds,
        notes={
            "engine": result.engine,
            **hypergradient_note(dict(zip(brief.space.scalars, derivative, strict=True))),
            **nonfinite(lost(brief.space, derivative)),
        },
    )
    return evaluation, derivative


def measure(
    problem: InnerProblem, brief: Brief, flat: Flat, epochs: int, training: int
) -> Evaluation:
    """A training to a budget, not differentiated."""
    laps = Stopwatch(problem.device)
    along = schedule(brief, problem, flat, epochs)
    draw = problem.draw(training)
    trained = train(problem, draw, along, start(draw, brief.rule), range(along.steps))
    laps.end("train")
    metrics = problem.validation(trained.weights)
    laps.end("validation")
    return Evaluation(training, flat, epochs, metrics, along.steps, trained.weights, laps.seconds)


def lost(space: Space, derivative: np.ndarray) -> list[str]:
    """The hyperparameters whose derivative, in (D,), is inf or NaN."""
    return np.array(list(space.scalars))[~np.isfinite(derivative)].tolist()


def nonfinite(names: Iterable[str]) -> dict[str, Any]:
    """The note that reports them; none if there are none."""
    listed = list(names)
    return {"nonfinite": listed} if listed else {}


def hypergradient_note(derivatives: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The note of an evaluation's hypergradient: name → derivative by the fraction of its range.

    Those that are inf or NaN are left out (`nonfinite` has them); no note if there are no others.
    """
    finite = {name: d for name, d in derivatives.items() if isfinite(d)}
    bounded = {name: min(max(d, -LARGEST), LARGEST) for name, d in finite.items()}
    short = {name: float(f"{d:.{NOTED_DIGITS}g}") for name, d in bounded.items()}
    return {"hypergradient": short} if short else {}


def schedule_note(values: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    """Per-step values, (T,) each, as short JSON numbers."""
    return {
        name: [float(f"{value:.{SIGNIFICANT_DIGITS}g}") for value in by_step]
        for name, by_step in values.items()
    }
