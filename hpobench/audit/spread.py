"""How much a task's hypergradient differs from draw to draw, and how biased an engine is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hpobench.audit.rows import Spread, Trouble, taken_by, trouble
from hpobench.audit.subjects import clamped, labelled
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.schedules import by_unit, schedule
from searchers.inner_problem import InnerProblem
from trainables.task import Task

DRAWS, FEWEST, SECONDS, SEED = 8, 3, 16.0, 0
REFERENCE = Auto()
SMALL = 1e-3
"""Of the largest derivative: one below it is known to rounding, and compared with this much."""


def spread(
    task: Task, problem: InnerProblem, engines: Sequence[Engine], seconds: float = SECONDS
) -> list[Spread]:
    """The hypergradient of the task's first initial configuration, in the task's own precision.

    By the fractions of each range, as outer optimizers see it, over the problem's first draws. The
    budget is the largest for which ``DRAWS`` of the reference take about half of ``seconds``;
    engines have ``FEWEST`` draws at least and stop at ``DRAWS``, or when their share of the time is
    over. An engine that breaks has none.
    """
    brief = task.brief(SEED, 1)
    flat = brief.initial[0]

    def derivative(engine: Engine, draw: int, epochs: int) -> tuple[np.ndarray, str]:
        along = schedule(brief, problem, flat, epochs)
        result = engine.hypergradient(problem, problem.draw(draw), along)
        shape = result.by_coefficient.mantissa.shape
        if shape != (len(flat),):
            raise ValueError(f"by_coefficient has shape {shape}, not {(len(flat),)}")
        return by_unit(brief.space, flat, result.by_coefficient), result.engine

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
    taken: dict[str, str] = {}
    for label, engine in audited:
        end = time.perf_counter() + seconds / len(audited)
        draws: list[np.ndarray] = []
        try:
            while len(draws) < FEWEST or (len(draws) < DRAWS and time.perf_counter() < end):
                values, words = derivative(engine, len(draws), epochs)
                draws.append(values)
                taken[label] = taken_by(engine.name, words)
        except (Exception, SystemExit) as error:  # a user's engine may do anything
            troubles[label] = trouble(error)
            draws.clear()
        found[label] = np.array(draws).reshape(len(draws), len(names))
    rows = summarised(found, audited[0][0], names, task.name, epochs)
    inexact = {label for label, engine in audited if clamped(engine)}
    return [
        replace(
            row,
            exact=row.engine not in inexact,
            **troubles.get(row.engine, Trouble())._asdict(),
            taken=taken.get(row.engine, ""),
        )
        for row in rows
    ]


def summarised(
    found: Mapping[str, np.ndarray], exact: str, names: Sequence[str], task: str, epochs: int
) -> Iterator[Spread]:
    """Statistics of derivatives, name → (draws, D), over the draws that all engines share.

    The noise from draw to draw is often larger than what engines differ by: means over other draws
    would show a bias that is not there. A bias is against ``exact``.
    """
    most = max(map(len, found.values()))
    padded = {engine: _padded(derivatives, most) for engine, derivatives in found.items()}
    shared = shared_draws(np.stack(list(padded.values())))
    sizes = np.array([_size(padded[exact][shared[:, i], i]) for i in range(len(names))])
    least = SMALL * float(np.nanmax(sizes, initial=0.0))
    for engine, derivatives in padded.items():
        for i, name in enumerate(names):
            column, true = (each[shared[:, i], i] for each in (derivatives, padded[exact]))
            own, apart = column[np.isfinite(column)], column - true
            both = np.isfinite(apart) & (engine != exact)
            mean, deviation = _mean(own), _deviation(own)
            draws = len(found[engine])
            yield Spread(
                engine=engine,
                task=task,
                epochs=epochs,
                coefficient=name,
                draws=draws,
                nonfinite=draws - int(np.isfinite(found[engine][:, i]).sum()),
                shared=len(column),
                mean=mean,
                deviation=deviation,
                signs=max(_share(own > 0), _share(own < 0)),
                signal_to_noise=abs(mean) / deviation if deviation > 0 else np.nan,
                bias=_mean(apart[both]),
                bias_error=_deviation(apart[both]) / max(int(both.sum()), 1) ** 0.5,
                flips=_share((np.sign(column) != np.sign(true))[both]),
                difference=_size(apart[both]) / max(sizes[i], least, np.finfo(float).tiny),
            )


def _padded(derivatives: np.ndarray, draws: int) -> np.ndarray:
    """With NaN for what is not finite and for draws that are not there, (draws, D)."""
    padded = np.full((draws, derivatives.shape[1]), np.nan)
    padded[: len(derivatives)] = np.where(np.isfinite(derivatives), derivatives, np.nan)
    return padded


def shared_draws(derivatives: np.ndarray) -> np.ndarray:
    """On which draws every engine has a finite derivative: (engines, draws, D) → bool (draws, D).

    An engine that never has one takes nothing from the others.
    """
    finite = np.isfinite(derivatives)
    able = finite.any(axis=1, keepdims=True)
    return (finite | ~able).all(axis=0) & able.any(axis=0)


def _size(values: np.ndarray) -> float:
    """Root mean square; 0 of none."""
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(finite**2))) if len(finite) else 0.0


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _deviation(values: np.ndarray) -> float:
    """The sample's standard deviation; NaN for fewer than two."""
    return float(values.std(ddof=1)) if len(values) > 1 else np.nan


def _share(where: np.ndarray) -> float:
    return float(where.mean()) if len(where) else np.nan
