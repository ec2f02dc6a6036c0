"""What a searcher is given, and what it has to offer.

Two kinds of searcher, told apart by the method they have:

* a **black-box** searcher has ``suggester(brief)``: it proposes trainings and learns their
  validation losses, nothing else;
* a **gradient-based** searcher has ``search(problem, brief, chain)``: it trains by itself and
  differentiates through the training.

Both are frozen dataclasses whose fields are their settings, fixed across tasks and printed in the
report. Neither knows of Ray, of data sets, or of the test set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

from searchers.errors import SearcherError
from searchers.inner_problem import InnerProblem, Metrics, Weights
from searchers.space import Flat, Space, SpaceError
from searchers.update_rules import SGD, UpdateRule


@dataclass(frozen=True)
class Brief:
    """All that a searcher is told about a cell, the same for every searcher; printed.

    ``initial``: configurations offered first to every searcher. ``default``: the practitioner's
    choice, what a person would run without a search. ``budgets``: epochs of a training, ascending;
    the last is the task's full horizon. ``compress``: whether a smaller budget is the whole
    schedule in fewer steps (else: the first part of the schedule, which can be continued).
    ``width``: how many trainings run at once. ``rule``: the task's update rule.
    """

    space: Space
    initial: tuple[Flat, ...]
    default: Flat
    budgets: tuple[int, ...]
    compress: bool
    seed: int
    width: int = 1
    rule: UpdateRule = SGD()

    @property
    def horizon(self) -> int:
        """Epochs of a full training."""
        return self.budgets[-1]


@dataclass(frozen=True)
class Job:
    """One training to a budget, asked for by a black-box searcher.

    ``training`` numbers the trainings of a cell from 0. A job with the number of an earlier one
    trains the same configuration on, from the same initial weights in the same batch order, to a
    larger budget.
    """

    training: int
    configuration: Flat
    epochs: int


def checked_job(job: object, brief: Brief) -> Job:
    """A searcher's job as it may be run, in plain Python values; SearcherError if it may not."""
    if not isinstance(job, Job):
        raise SearcherError(f"it asked for {job!r}, which is not a Job")
    whole = isinstance(job.training, int) and job.training >= 0
    if not whole:
        raise SearcherError(f"trainings are numbered 0, 1, 2, …, not {job.training!r}")
    return replace(job, configuration=_checked_point(job.configuration, job.epochs, brief))


class Suggester(Protocol):
    """A black-box search under way.

    Up to ``width`` jobs are out at once; they are told back in the order in which they end.
    A diverged training is told with the task's (finite) loss ceiling.
    """

    def ask(self) -> Job | None:
        """The next job; None once there is nothing left to try."""

    def tell(self, job: Job, loss: float) -> None:
        """The validation loss that a job came to."""


@runtime_checkable
class BlackBoxSearcher(Protocol):
    """A way to choose hyperparameters from validation losses alone.

    It may also have a method ``warm_up()``, called before the clock starts, that loads what the
    search needs (libraries, compiled code); it is told nothing of the task.
    """

    @property
    def name(self) -> str: ...

    def suggester(self, brief: Brief) -> Suggester: ...


@dataclass(frozen=True)
class Chain:
    """One of ``of`` independent runs of a gradient-based searcher, side by side in one cell.

    Chain k of w numbers its trainings k, k + w, k + 2w, …, so that together they draw what the
    trainings of any other searcher draw.
    """

    index: int = 0
    of: int = 1


@dataclass(frozen=True)
class Evaluation:
    """One measured point of a gradient-based search, or of one training.

    ``training``: which of the cell's draws (initial weights, batch order) it used. ``steps``:
    what it cost, in training steps (one forward and backward pass of one batch = 1).
    ``seconds``: where its time went, by part of the ledger (see `searchers.stopwatch`); what is
    left of its time was the searcher's thinking. ``weights``: what was trained.
    ``notes``: what belongs to this searcher alone, JSON-serialisable: ``schedule`` (per-step
    values where the configuration alone does not say them), ``hypergradient`` (name → derivative of
    the validation loss by the fraction of its range; of values of each step, their norm),
    ``nonfinite`` (hyperparameters whose hypergradient was inf or NaN), ….
    """

    training: int
    configuration: Flat
    epochs: int
    metrics: Metrics
    steps: int
    weights: Weights
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


def checked_evaluation(evaluation: object, brief: Brief) -> Evaluation:
    """A searcher's evaluation as it may be recorded; SearcherError if it may not."""
    if not isinstance(evaluation, Evaluation):
        raise SearcherError(f"it yielded {evaluation!r}, which is not an Evaluation")
    for what, count in (("training", evaluation.training), ("steps", evaluation.steps)):
        if not isinstance(count, int) or count < 0:
            raise SearcherError(f"{what} is a whole number ≥ 0, not {count!r}")
    for part, seconds in evaluation.seconds.items():
        if not (isinstance(seconds, (int, float)) and 0 <= seconds < math.inf):
            raise SearcherError(f"the seconds of {part!r} are a number ≥ 0, not {seconds!r}")
    point = _checked_point(evaluation.configuration, evaluation.epochs, brief)
    return replace(evaluation, configuration=point)


def _checked_point(configuration: Any, epochs: object, brief: Brief) -> Flat:
    if not isinstance(configuration, Mapping):
        raise SearcherError(f"a configuration is a flat dict, not {configuration!r}")
    if epochs not in brief.budgets:
        budgets = ", ".join(map(str, brief.budgets))
        raise SearcherError(f"{epochs!r} epochs are none of the task's budgets, {budgets}")
    try:
        return brief.space.check(configuration)
    except SpaceError as error:
        raise SearcherError(f"configuration: {error}") from None


@runtime_checkable
class GradientSearcher(Protocol):
    """A way to choose hyperparameters by differentiating through the training."""

    @property
    def name(self) -> str: ...

    def search(self, problem: InnerProblem, brief: Brief, chain: Chain) -> Iterator[Evaluation]:
        """Evaluations until the caller stops asking (or, converged, until they end)."""


Searcher: TypeAlias = BlackBoxSearcher | GradientSearcher
