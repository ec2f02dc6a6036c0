"""The contract of a gradient-based searcher, as a check to run on one's own.

from searchers.testing import check_gradient
check_gradient(MySearcher())
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from searchers.inner_problem import NO_THETA, Batch, Buffers, Metrics, Theta, Weights
from searchers.protocols import Brief, Chain, Evaluation, GradientSearcher
from searchers.space import Float, Space, Vector

FIRST = 8
"""Evaluations looked at."""

SLACK = 1e-3
"""Seconds by which the parts of an evaluation may be more than what it took."""

SPACES = {
    "log": Space(
        {
            "learning_rate": Vector(3, Float(1e-3, 10.0, log=True)),
            "momentum": Float(0.0, 0.99),
            "weight_decay": Float(1e-6, 1e-1, log=True),
        }
    ),
    "linear": Space({"learning_rate": Vector(3, Float(0.0, 10.0)), "momentum": Float(0.0, 0.99)}),
    "scalar": Space({"learning_rate": Float(1e-3, 10.0, log=True)}),
}


@dataclass(frozen=True)
class Valley:
    """½ Σ hᵢ wᵢ² with noisy gradients, three steps an epoch; diverges above a rate of 2.

    Args:
        seed: the cell's.
        steps_per_epoch: three, so that a small budget has several steps.
    """

    seed: int = 0
    steps_per_epoch: int = 3
    hyperparameters: ClassVar[Mapping[str, float]] = {}
    groups: ClassVar[Mapping[str, Tensor]] = {}

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def draw(self, training: int) -> ValleyDraw:
        return ValleyDraw(self.seed, training)

    def training_loss(
        self, vector: Tensor, buffers: Buffers, batch: Batch, theta: Theta = NO_THETA
    ) -> Tensor:
        return self.validation_loss(vector, buffers) + batch @ vector

    def validation_loss(self, vector: Tensor, buffers: Buffers) -> Tensor:
        curvature = torch.linspace(0.2, 1.0, len(vector), dtype=vector.dtype)
        return (curvature * vector.square()).sum() / 2

    def validation(self, weights: Weights) -> Metrics:
        return Metrics(float(self.validation_loss(*weights)))


@dataclass(frozen=True)
class ValleyDraw:
    """One training in the valley: where it starts, and the noise of its gradients."""

    seed: int
    training: int

    def _noise(self, stream: int) -> Tensor:
        generator = torch.Generator().manual_seed(
            self.seed * 1_000_003 + self.training * 1_009 + stream
        )
        return torch.randn(4, generator=generator, dtype=torch.float64)

    def initial(self) -> Weights:
        return Weights(2 + 0.1 * self._noise(0), {})

    def batch(self, step: int) -> Tensor:
        return 0.01 * self._noise(1 + step)


def example_brief(space: str = "log", *, compress: bool = True, seed: int = 0) -> Brief:
    """A brief for the valley, with two initial configurations and three budgets."""
    chosen = SPACES[space]
    low, high = ({n: d.from_unit(u) for n, d in chosen.scalars.items()} for u in (0.3, 0.4))
    return Brief(chosen, (low, high), high, (1, 3, 9), compress, seed)


def check_gradient(searcher: GradientSearcher) -> None:
    """Check that a searcher keeps the contract of gradient-based ones, on a small problem.

    Checked: it begins with a full training of the first initial configuration, so that it cannot
    end above what it was offered; each evaluation is
    in the space, of one of the budgets, JSON-serialisable, has cost steps, and has the loss that
    its weights have; its seconds are no more than it took; trainings are numbered as its chain's;
    equal seeds give equal evaluations, and two chains different ones. On linear and log ranges,
    with and without a schedule, compressed and truncated.

    Args:
        searcher: one of your own, or of the project's.

    Raises:
        AssertionError: in one line, the first part of the contract that does not hold.
    """
    for space in SPACES:
        for compress in (True, False):
            brief = example_brief(space, compress=compress)
            alone = _run(searcher, brief, Chain())
            _check_evaluations(searcher, alone, brief)
            _check_trainings(searcher, alone, Chain())
            again = _run(searcher, brief, Chain())
            _require(_points(alone) == _points(again), f"{searcher.name}: equal seeds differ")
    wide = replace(example_brief(), width=2)
    chains = [_run(searcher, wide, Chain(k, 2)) for k in range(2)]
    for k, evaluations in enumerate(chains):
        _check_trainings(searcher, evaluations, Chain(k, 2))
    _require(_points(chains[0]) != _points(chains[1]), f"{searcher.name}: its chains are equal")


def _run(searcher: GradientSearcher, brief: Brief, chain: Chain) -> list[Evaluation]:
    search = iter(searcher.search(Valley(brief.seed), brief, chain))
    evaluations: list[Evaluation] = []
    while len(evaluations) < FIRST:
        began = time.perf_counter()
        evaluation = next(search, None)
        wall = time.perf_counter() - began
        if evaluation is None:
            break
        _check_seconds(searcher, evaluation.seconds, wall)
        evaluations.append(evaluation)
    return evaluations


def _check_seconds(searcher: GradientSearcher, parts: Mapping[str, float], wall: float) -> None:
    for name, seconds in parts.items():
        spent = math.isfinite(seconds) and seconds >= 0
        _require(spent, f"{searcher.name}: {seconds} seconds of {name}")
    total = sum(parts.values())
    _require(
        total <= wall + SLACK,
        f"{searcher.name}: parts that take {total:.4f} s of the {wall:.4f} s of an evaluation",
    )


def _check_evaluations(
    searcher: GradientSearcher, evaluations: list[Evaluation], brief: Brief
) -> None:
    _require(bool(evaluations), f"{searcher.name}: no evaluation")
    begins = all(abs(a / b - 1) < 1e-6 for a, b in _beginnings(evaluations[0], brief))
    _require(begins, f"{searcher.name}: does not begin at the first initial configuration")
    first = evaluations[0].epochs
    _require(first == brief.horizon, f"{searcher.name}: does not begin with a full training")
    for evaluation in evaluations:
        brief.space.check(evaluation.configuration)
        json.dumps([evaluation.configuration, dict(evaluation.notes)], allow_nan=False)
        _require(evaluation.epochs in brief.budgets, f"{searcher.name}: a budget of its own")
        _require(evaluation.steps > 0, f"{searcher.name}: an evaluation that cost no step")
        measured = Valley(brief.seed).validation(evaluation.weights)
        same = measured == evaluation.metrics or measured.loss != measured.loss
        _require(same, f"{searcher.name}: its weights have another loss than it says")


def _beginnings(evaluation: Evaluation, brief: Brief) -> Iterator[tuple[float, float]]:
    """Its values beside the initial ones; of a schedule of its own, the first step's."""
    schedule = evaluation.notes.get("schedule", {})
    for name in brief.space.domains:
        keys = brief.space.names_of(name)
        if name in schedule:
            yield schedule[name][0], float(brief.initial[0][keys[0]])
            continue
        for key in keys:
            yield float(evaluation.configuration[key]), float(brief.initial[0][key])


def _check_trainings(
    searcher: GradientSearcher, evaluations: list[Evaluation], chain: Chain
) -> None:
    expected = [chain.index + i * chain.of for i in range(len(evaluations))]
    numbers = [evaluation.training for evaluation in evaluations]
    _require(numbers == expected, f"{searcher.name}: trainings {numbers}, not {expected}")


def _points(evaluations: list[Evaluation]) -> list[tuple[object, float]]:
    return [(evaluation.configuration, evaluation.metrics.loss) for evaluation in evaluations]


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
