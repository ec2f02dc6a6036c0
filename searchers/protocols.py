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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, runtime_checkable

from searchers.errors import SearcherError
from searchers.inner_problem import InnerProblem, Metrics, Weights
from searchers.settings import is_number, is_whole, plain
from searchers.space import Flat, Space, SpaceError
from searchers.update_rules import SGD, UpdateRule


@dataclass(frozen=True)
class Brief:
    """All that a searcher is told about a cell, the same for every searcher; printed.

    Args:
        space: the search space.
        initial: configurations offered first to every searcher.
        default: the practitioner's choice, what a person would run without a search.
        budgets: epochs of a training, ascending; the last is the task's full horizon.
        compress: whether a smaller budget is the whole schedule in fewer steps (else: the first
            part of the schedule, which can be continued).
        seed: the cell's; all of a searcher's randomness follows from it.
        width: how many trainings run at once.
        rule: the task's update rule.
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

    Args:
        training: numbers the trainings of a cell from 0. A job with the number of an earlier one
            trains the same configuration on, from the same initial weights in the same batch
            order, to a larger budget.
        configuration: flat, a value for each name of the space.
        epochs: the budget, one of the brief's.
    """

    training: int
    configuration: Flat
    epochs: int


NO_JOBS: Mapping[int, Job] = MappingProxyType({})


def checked_job(job: object, brief: Brief, known: Mapping[int, Job] = NO_JOBS) -> Job:
    """A searcher's job as it may be run, in plain Python values.

    Args:
        job: what the searcher asked for.
        brief: what it was told.
        known: the last job of each training so far.

    Raises:
        SearcherError: it may not be run: its number, its budget, or its configuration is none; or
            it goes on with an earlier training otherwise than with more epochs.
    """
    if not isinstance(job, Job):
        raise SearcherError(f"it asked for {job!r}, which is not a Job")
    training = plain(job.training)
    if not is_whole(training, 0):
        raise SearcherError(f"trainings are numbered 0, 1, 2, …, not {job.training!r}")
    point = _checked_point(job.configuration, job.epochs, brief)
    earlier = known.get(training)
    if earlier is not None and point != earlier.configuration:
        raise SearcherError(
            f"training {training} goes on with another configuration; that is a training of its own"
        )
    if earlier is not None and job.epochs <= earlier.epochs:
        raise SearcherError(
            f"training {training} goes from {earlier.epochs} to {job.epochs} epochs; it can only go"
            " on to more"
        )
    return Job(training, point, int(job.epochs))


class Suggester(Protocol):
    """A black-box search under way.

    Up to ``width`` jobs are out at once; they are told back in the order in which they end. All
    calls of a searcher and its suggester come from one thread.
    A diverged training is told with the task's (finite) loss ceiling.
    """

    def ask(self) -> Job | None:
        """The next job; None once there is nothing left to try."""

    def tell(self, job: Job, loss: float) -> None:
        """Learn the validation loss that a job came to; finite."""


@runtime_checkable
class BlackBoxSearcher(Protocol):
    """A way to choose hyperparameters from validation losses alone.

    A frozen dataclass whose fields are its settings. It may also have a method ``warm_up()``,
    called before the clock starts, that loads what the search needs (libraries, compiled code); it
    is told nothing of the task.
    """

    @property
    def name(self) -> str:
        """What it is called on the command line, in tables and in files."""

    def suggester(self, brief: Brief) -> Suggester:
        """A new search for a cell.

        Raises:
            SearcherError: it cannot work on this space.
        """


@dataclass(frozen=True)
class Chain:
    """One of ``of`` independent runs of a gradient-based searcher, side by side in one cell.

    Chain k of w numbers its trainings k, k + w, k + 2w, …, so that together they draw what the
    trainings of any other searcher draw.

    Args:
        index: which one it is, from 0.
        of: how many there are, the cell's width.
    """

    index: int = 0
    of: int = 1


@dataclass(frozen=True)
class Evaluation:
    """One measured point of a gradient-based search, or of one training.

    Args:
        training: which of the cell's draws (initial weights, batch order) it used.
        configuration: flat, what was trained with.
        epochs: the budget, one of the brief's.
        metrics: of the validation split.
        steps: what it cost, in training steps (one forward and backward pass of one batch = 1).
        weights: what was trained.
        seconds: where its time went, by part of the ledger (see `searchers.stopwatch`); what is
            left of its time was the searcher's thinking.
        notes: what belongs to this searcher alone, JSON-serialisable: ``schedule`` (per-step
            values where the configuration alone does not say them), ``hypergradient`` (name →
            derivative of the validation loss by the fraction of its range; of values of each step,
            their norm), ``nonfinite`` (hyperparameters whose hypergradient was inf or NaN), ….
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
    """A searcher's evaluation as it may be recorded.

    Raises:
        SearcherError: it may not be: a number, its budget, or its configuration is none.
    """
    if not isinstance(evaluation, Evaluation):
        raise SearcherError(f"it yielded {evaluation!r}, which is not an Evaluation")
    training, steps = plain((evaluation.training, evaluation.steps))
    for what, count in (("training", training), ("steps", steps)):
        if not is_whole(count, 0):
            raise SearcherError(f"{what} is a whole number ≥ 0, not {count!r}")
    seconds = {part: plain(spent) for part, spent in evaluation.seconds.items()}
    for part, spent in seconds.items():
        if not is_number(spent) or spent < 0:
            raise SearcherError(f"the seconds of {part!r} are a number ≥ 0, not {spent!r}")
    return replace(
        evaluation,
        training=training,
        configuration=_checked_point(evaluation.configuration, evaluation.epochs, brief),
        epochs=int(evaluation.epochs),
        steps=steps,
        seconds=seconds,
    )


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
    """A way to choose hyperparameters by differentiating through the training.

    A frozen dataclass whose fields are its settings.
    """

    @property
    def name(self) -> str:
        """What it is called on the command line, in tables and in files."""

    def search(self, problem: InnerProblem, brief: Brief, chain: Chain) -> Iterator[Evaluation]:
        """Evaluations until the caller stops asking (or, converged, until they end).

        Args:
            problem: what is trained, under the cell's seed.
            brief: what every searcher is told about the cell.
            chain: which of the runs side by side this is, and so which trainings are its own.

        Raises:
            SearcherError: it cannot work on this space.
        """


Searcher: TypeAlias = BlackBoxSearcher | GradientSearcher
