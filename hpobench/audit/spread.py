"""How much a task's hypergradient differs from draw to draw, and how biased an engine is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from hpobench.audit.rows import Spread, Trouble, trouble
from hpobench.audit.subjects import labelled
from searchers.evaluations import by_unit
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.schedules import schedule
from searchers.inner import InnerProblem
from trainables.task import Task

DRAWS, FEWEST, SECONDS, SEED = 8, 3, 16.0, 0
REFERENCE = Auto()


def spread(
    task: Task, problem: InnerProblem, engines: Sequence[Engine], seconds: float = SECONDS
) -> list[Spread]:
    """The hypergradient of the task's first initial configuration, in the task's own precision.

    By the fractions of each range, as outer optimizers see it, over the problem's first draws. The
    budget is the largest for which ``DRAWS`` of the reference take about half of ``seconds``;
    engines have ``FEWEST`` draws at least and stop at ``DRAWS``, or when their share of the time is
    over.
    """
    brief = task.brief(SEED, 1)
    flat = brief.initial[0]

    def derivative(engine: Engine, draw: int, epochs: int) -> np.ndarray:
        along = schedule(brief, problem, flat, epochs)
        result = engine.hypergradient(problem, problem.draw(draw), along)
        return by_unit(brief.space, flat, result.by_coefficient)

    derivative(REFERENCE, 0, task.budgets[0])  # loads what only the first one has to load
    began = time.perf_counter()
    derivative(REFERENCE, 0, task.budgets[0])
    an_epoch = (time.perf_counter() - began) / task.budgets[0]
    affordable = [e for e in task.budgets if DRAWS * e * an_epoch <= seconds / 2]
    epochs = affordable[-1] if affordable else task.budgets[0]

    audited = labelled((REFERENCE, *(engine for engine in engines if engine != REFERENCE)))
    names = list(brief.space.scalars)
    found: dict[str, np.ndarray] = {}
    troubles: dict[str, Trouble] = {}
    for label, engine in audited:
        end = time.perf_counter() + seconds / len(audited)
        draws: list[np.ndarray] = []
        try:
            while len(draws) < FEWEST or (len(draws) < DRAWS and time.perf_counter() < end):
                draws.append(derivative(engine, len(draws), epochs))
        except Exception as error:  # a user's engine may do anything
            troubles[label] = trouble(error)
        found[label] = np.array(draws).reshape(len(draws), len(names))
    rows = summarised(found, audited[0][0], names, task.name, epochs)
    return [replace(row, **troubles.get(row.engine, Trouble())._asdict()) for row in rows]


def summarised(
    found: dict[str, np.ndarray], exact: str, names: Sequence[str], task: str, epochs: int
) -> Iterator[Spread]:
    """Statistics of derivatives, name → (draws, D); a bias is against ``exact``."""
    for engine, derivatives in found.items():
        common = min(len(derivatives), len(found[exact]))
        for i, name in enumerate(names):
            column = derivatives[:, i]
            finite = column[np.isfinite(column)]
            mean, deviation = _mean(finite), _deviation(finite)
            pairs = np.stack([column[:common], found[exact][:common, i]])
            own, true = pairs[:, np.isfinite(pairs).all(axis=0)]
            here = engine != exact
            bias_error = _deviation(own - true) / max(len(own), 1) ** 0.5
            yield Spread(
                engine=engine,
                task=task,
                epochs=epochs,
                coefficient=name,
                draws=len(column),
                mean=mean,
                deviation=deviation,
                signs=max(_share(finite > 0), _share(finite < 0)) if len(finite) else np.nan,
                signal_to_noise=abs(mean) / deviation if deviation > 0 else np.nan,
                nonfinite=len(column) - len(finite),
                bias=_mean(own - true) if here else np.nan,
                bias_error=bias_error if here else np.nan,
                flips=_share(np.sign(own) != np.sign(true)) if here else np.nan,
            )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _deviation(values: np.ndarray) -> float:
    """The sample's standard deviation; NaN for fewer than two."""
    return float(values.std(ddof=1)) if len(values) > 1 else np.nan


def _share(where: np.ndarray) -> float:
    return float(where.mean()) if len(where) else np.nan
