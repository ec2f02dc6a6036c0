"""The contract of a black-box searcher, as a check to run on one's own.

    from searchers.testing import check_black_box
    check_black_box(MySearcher())

A searcher is a frozen dataclass with a ``name`` and ``suggester(brief)``. One method is optional:
``warm_up()`` loads what the first suggestions would otherwise wait for (imports, compilation) on
a made-up space. It is called before a cell's clock starts and must change nothing but that.

A searcher whose first training is its only one (such as `searchers.Default`) does not search: what
is asked about initial configurations and other seeds does not apply to it.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from searchers.protocols import BlackBoxSearcher, Brief, Job, Suggester
from searchers.space import Categorical, Flat, Float, Int, Nested, Space, SpaceError, Vector

FIRST = 8  # jobs after the initial ones that equal seeds have to agree on
WIDE = 20  # jobs of a search with four out at once
CEILING = 10.0

Losses = Callable[[Job], float]


def example_brief(seed: int = 0, width: int = 1) -> Brief:
    """A brief with every kind of domain, two initial configurations and three budgets."""
    space = Space(
        {
            "learning_rate": Vector(3, Float(1e-4, 1.0, log=True)),
            "momentum": Float(0.0, 0.99),
            "weight_decay": Float(1e-7, 1e-2, log=True),
            "batch_size": Int(8, 256, log=True),
            "activation": Categorical(("relu", "tanh")),
            "nesterov": Categorical((False, True)),
        }
    )
    shared: Nested = {"batch_size": 32, "activation": "relu", "nesterov": False}
    plain: Nested = {"learning_rate": (0.01,) * 3, "momentum": 0.5, "weight_decay": 1e-5}
    corner: Nested = {"learning_rate": (1e-4, 1.0, 1e-4), "momentum": 0.0, "weight_decay": 1e-7}
    default: Nested = {"learning_rate": (0.1,) * 3, "momentum": 0.9, "weight_decay": 1e-4}
    return Brief(
        space=space,
        initial=(space.flatten({**plain, **shared}), space.flatten({**corner, **shared})),
        default=space.flatten({**default, **shared}),
        budgets=(1, 3, 9),
        compress=False,
        seed=seed,
        width=width,
    )


def check_black_box(searcher: BlackBoxSearcher, brief: Brief | None = None) -> None:
    """Check that a searcher keeps the contract of black-box ones.

    Checked: settings (a frozen dataclass that pickles); the initial configurations first, in
    order; configurations in range, complete, as plain Python values; training numbers 0, 1, 2, …,
    an earlier one only with the same configuration, its result told, and a larger budget; no
    budget but the brief's; equal seeds, equal first jobs, whatever the global random states;
    other seeds, other jobs; four jobs out at once with results in any order, ties and ceilings
    among them. It takes some seventy suggestions.

    Args:
        searcher: one of your own, or of the project's.
        brief: what it is told; by default one with every kind of domain.

    Raises:
        AssertionError: in one line, the first part of the contract that does not hold.
    """
    brief = example_brief() if brief is None else brief
    _check_settings(searcher)
    jobs = _first_jobs(searcher, brief, global_seed=1)
    if len(jobs) > 1:
        _check_initial(jobs, brief)
    warm_up = getattr(searcher, "warm_up", None)
    if warm_up is not None:
        warm_up()
    again = _first_jobs(searcher, brief, global_seed=2)
    _require(jobs == again, f"equal seeds give different first jobs: {_difference(jobs, again)}")
    if len(jobs) > 1:
        other = _first_jobs(searcher, dataclasses.replace(brief, seed=brief.seed + 1), 1)
        _require(jobs != other, "another seed gives the same first jobs")
    wide = dataclasses.replace(brief, width=4)
    for losses in (_mixed, _all_diverged):
        drive(searcher.suggester(wide), wide, losses, jobs=WIDE, shuffle=random.Random(brief.seed))


@dataclass
class Trail:
    """The jobs of one search as they come, each checked against those before it.

    Args:
        brief: what the searcher was told.
        configurations: by number of training.
        reached: training → the largest budget whose result was told.
        out: jobs without a result so far.
    """

    brief: Brief
    configurations: list[Flat] = field(default_factory=list)
    reached: dict[int, int] = field(default_factory=dict)  # training → largest budget told
    out: list[Job] = field(default_factory=list)

    def asked(self, job: Job) -> None:
        """Check a job, and note that it is out."""
        _require(isinstance(job, Job), f"ask() gives a Job or None, not {job!r}")
        _check_configuration(job.configuration, self.brief.space)
        _require(
            job.epochs in self.brief.budgets,
            f"a job to {job.epochs!r} epochs; the budgets are {self.brief.budgets}",
        )
        new = len(self.configurations)
        _require(
            type(job.training) is int and 0 <= job.training <= new,
            f"training number {job.training!r}, where {new} is the next new one",
        )
        if job.training == new:
            self.configurations.append(dict(job.configuration))
        else:
            self._continued(job)
        self.out.append(job)

    def _continued(self, job: Job) -> None:
        number = job.training
        _require(
            all(out.training != number for out in self.out),
            f"training {number} asked for again while it is still out",
        )
        _require(
            job.epochs > self.reached[number],
            f"training {number} goes from {self.reached[number]} to {job.epochs} epochs",
        )
        _require(
            job.configuration == self.configurations[number],
            f"training {number} goes on with another configuration",
        )

    def told(self, job: Job) -> None:
        """Note that a job has its result."""
        self.out.remove(job)
        self.reached[job.training] = job.epochs


def drive(
    suggester: Suggester, brief: Brief, losses: Losses, jobs: int, shuffle: random.Random
) -> list[Job]:
    """Ask for ``jobs`` jobs, ``brief.width`` out at once, told back in a shuffled order."""
    trail = Trail(brief)
    asked: list[Job] = []
    while True:
        while len(trail.out) < brief.width and len(asked) < jobs:
            job = suggester.ask()
            if job is None:
                break
            trail.asked(job)
            asked.append(job)
        if not trail.out:
            return asked
        done = shuffle.choice(trail.out)
        trail.told(done)
        suggester.tell(done, losses(done))


def _first_jobs(searcher: BlackBoxSearcher, brief: Brief, global_seed: int) -> list[Job]:
    """The first jobs at width 1, under given global random states that are put back after."""
    narrow = dataclasses.replace(brief, width=1)
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(global_seed)
    np.random.seed(global_seed)  # noqa: NPY002
    try:
        jobs = len(brief.initial) + FIRST
        return drive(searcher.suggester(narrow), narrow, _mixed, jobs, random.Random(0))
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _mixed(job: Job) -> float:
    """Ties and ceilings among ordinary losses, by training number alone."""
    return (0.5, CEILING, 0.5, 0.3 + 1 / (1 + job.training) / job.epochs)[job.training % 4]


def _all_diverged(job: Job) -> float:
    return CEILING


def _check_settings(searcher: BlackBoxSearcher) -> None:
    _require(isinstance(searcher, BlackBoxSearcher), "needs a name and a method suggester(brief)")
    _require(bool(searcher.name) and isinstance(searcher.name, str), "needs a name, a string")
    params = getattr(searcher, "__dataclass_params__", None)
    _require(params is not None and params.frozen, "a searcher is a frozen dataclass of settings")
    try:
        copy = pickle.loads(pickle.dumps(searcher))
    except Exception as error:
        raise AssertionError(
            f"cannot be pickled, so it cannot be sent to a slot: {error}"
        ) from None
    _require(copy == searcher, "changes when it is pickled")


def _check_initial(jobs: list[Job], brief: Brief) -> None:
    offered = [job.configuration for job in jobs[: len(brief.initial)]]
    _require(
        offered == list(brief.initial)
        and [job.training for job in jobs[: len(offered)]] == list(range(len(offered))),
        f"the initial configurations come first, in order; it began with {offered}",
    )


def _check_configuration(configuration: Flat, space: Space) -> None:
    try:
        checked = space.check(configuration)
    except SpaceError as error:
        raise AssertionError(f"a configuration outside the space: {error}") from None
    for name, value in checked.items():
        given = configuration[name]
        _require(
            type(given) is type(value),
            f"{name} is {given!r}, a {type(given).__name__}; a plain {type(value).__name__} it is",
        )
    _require(
        json.loads(json.dumps(configuration)) == configuration, "configuration changes in JSON"
    )


def _difference(one: list[Job], other: list[Job]) -> str:
    for a, b in zip(one, other, strict=False):
        if a != b:
            return f"{a} and {b}"
    return f"{len(one)} and {len(other)} jobs"


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
