"""Every black-box searcher keeps the contract, and the contract notices who does not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch

from searchers.black_box.baselines import Default, DefaultCosine
from searchers.black_box.bayesian import TPE, BayesianOptimization
from searchers.black_box.bohb import BOHB
from searchers.black_box.grid import GridSearch
from searchers.black_box.hyperband import Hyperband
from searchers.black_box.in_order import InOrder
from searchers.black_box.random_search import RandomSearch
from searchers.protocols import BlackBoxSearcher, Brief, Job, Suggester
from searchers.rng import library_seed, stream
from searchers.space import Float, Space
from searchers.testing.black_box import check_black_box, drive, example_brief
from tests.searchers.space_strategies import EXTREMES

torch.set_num_threads(1)

SEARCHERS: list[BlackBoxSearcher] = [
    Default(),
    DefaultCosine(),
    RandomSearch(),
    GridSearch(),
    BayesianOptimization(),
    TPE(),
    Hyperband(),
    BOHB(),
]


@pytest.mark.slow
@pytest.mark.parametrize("searcher", SEARCHERS, ids=lambda s: s.name)
def test_keeps_the_contract(searcher: BlackBoxSearcher) -> None:
    check_black_box(searcher)


def extreme_brief() -> Brief:
    """Every range of `EXTREMES`, in its middle and at its ends."""
    space = Space(EXTREMES)
    low, middle, high = (space.from_unit(np.full(len(space), u)) for u in (0.0, 0.5, 1.0))
    return Brief(space, (low, high), middle, budgets=(1, 3, 9), compress=True, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "searcher",
    [
        Default(),
        RandomSearch(),
        GridSearch(others=1),  # the choices of each
        BayesianOptimization(startup_trials=4),
        TPE(startup_trials=4),
        Hyperband(),
        BOHB(),
    ],
    ids=lambda s: s.name,
)
def test_keeps_the_contract_on_extreme_ranges(searcher: BlackBoxSearcher) -> None:
    check_black_box(searcher, extreme_brief())


@pytest.mark.slow
@pytest.mark.parametrize(
    "searcher", [TPE(), BOHB(candidates=8), RandomSearch()], ids=lambda s: s.name
)
@pytest.mark.parametrize("name", EXTREMES)
def test_keeps_to_each_extreme_range_by_itself(searcher: BlackBoxSearcher, name: str) -> None:
    space = Space({name: EXTREMES[name]})
    ends = tuple(space.from_unit(np.full(1, u)) for u in (0.0, 1.0))
    brief = Brief(space, ends, ends[0], budgets=(1,), compress=True, seed=3)

    def loss(job: Job) -> float:
        return abs(float(space.to_unit(job.configuration)[0]) - 0.3)

    jobs = drive(searcher.suggester(brief), brief, loss, jobs=25, shuffle=random.Random(0))
    assert [job.configuration for job in jobs[:2]] == list(ends)
    assert len({job.configuration[name] for job in jobs}) > 1


def one_budget_brief() -> Brief:
    """One linear dimension, one budget, one initial configuration: as small as it gets."""
    space = Space({"x": Float(-1.0, 1.0)})
    return Brief(space, ({"x": 0.0},), {"x": 0.5}, budgets=(2,), compress=True, seed=7)


@pytest.mark.slow
@pytest.mark.parametrize(
    "searcher",
    [Default(), RandomSearch(), GridSearch(others=9), TPE(), Hyperband(), BOHB()],
    ids=lambda s: s.name,
)
def test_keeps_the_contract_on_one_dimension(searcher: BlackBoxSearcher) -> None:
    check_black_box(searcher, one_budget_brief())


def test_names_are_their_own() -> None:
    assert [s.name for s in SEARCHERS] == [
        *("default", "default_cosine", "random", "grid", "bo", "tpe", "hyperband", "bohb")
    ]


def test_streams_differ_by_name_and_by_seed() -> None:
    draws = {stream(s, n).random() for s in (0, 1, 2**63 - 1, -1) for n in ("a", "b", "ab")}
    seeds = {library_seed(s, n) for s in (0, 1, 2**63 - 1, -1) for n in ("a", "b", "ab")}
    assert len(draws) == len(seeds) == 12
    assert all(0 <= seed < 2**31 for seed in seeds)


Jobs = Callable[[Brief], Iterator[Job]]


def good(brief: Brief) -> Iterator[Job]:
    rng = stream(brief.seed, "test")
    for training in count():
        initial = training < len(brief.initial)
        configuration = brief.initial[training] if initial else brief.space.sample(rng)
        yield Job(training, dict(configuration), brief.horizon)


@dataclass(frozen=True)
class Changed:
    """The good jobs, but for the sixth."""

    job: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, brief: Brief) -> Iterator[Job]:
        for n, job in enumerate(good(brief)):
            configuration = {**job.configuration, **self.values}
            sixth = replace(job, **{"configuration": configuration, **self.job})
            yield sixth if n == 5 else job


def without_initial(brief: Brief) -> Iterator[Job]:
    return good(replace(brief, initial=()))


def seedless(brief: Brief) -> Iterator[Job]:
    return good(replace(brief, seed=0))


def unseeded(brief: Brief) -> Iterator[Job]:
    for n, job in enumerate(good(brief)):
        fresh = brief.space.sample(np.random.default_rng(random.getrandbits(32)))
        yield job if n < len(brief.initial) else replace(job, configuration=fresh)


def again_at_the_horizon(brief: Brief) -> Iterator[Job]:
    for n, job in enumerate(good(brief)):
        yield Job(0, dict(brief.initial[0]), brief.horizon) if n == 5 else job


def other_configuration(brief: Brief) -> Iterator[Job]:
    for n, job in enumerate(good(brief)):
        yield Job(0, job.configuration, brief.horizon) if n == 5 else replace(job, epochs=1)


@dataclass
class Iterated:
    jobs: Iterator[Job]

    def ask(self) -> Job | None:
        return next(self.jobs, None)

    def tell(self, job: Job, loss: float) -> None:
        pass


@dataclass(frozen=True)
class Home:
    """A searcher that a user has written."""

    jobs: Jobs
    name: str = "home"

    def suggester(self, brief: Brief) -> Suggester:
        return Iterated(self.jobs(brief))


def test_a_searcher_from_elsewhere_keeps_the_contract() -> None:
    check_black_box(Home(good))


@pytest.mark.parametrize(
    ("jobs", "says"),
    [
        (without_initial, "initial configurations come first"),
        (seedless, "another seed gives the same"),
        (unseeded, "equal seeds give different first jobs"),
        (Changed(values={"momentum": 1.5}), "outside the space: momentum is 1.5"),
        (Changed(values={"momentum": np.float64(0.5)}), "a float64"),
        (Changed(values={"activation": np.str_("relu")}), "a str_"),
        (Changed(values={"nesterov": 1}), "nesterov is 1, a int"),
        (Changed(values={"extra": 1}), "unknown: extra"),
        (Changed(job={"training": 9}), "training number 9, where 5"),
        (Changed(job={"epochs": 2}), "a job to 2 epochs"),
        (again_at_the_horizon, "training 0 goes from 9 to 9 epochs"),
        (other_configuration, "goes on with another configuration"),
    ],
    ids=lambda p: p if isinstance(p, str) else "",
)
def test_the_contract_notices(jobs: Jobs, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_black_box(Home(jobs))


def test_the_contract_notices_a_continuation_of_what_is_still_out() -> None:
    def jobs(brief: Brief) -> Iterator[Job]:
        yield Job(0, brief.initial[0], 1)
        yield Job(0, brief.initial[0], 9)

    brief = example_brief(width=2)
    with pytest.raises(AssertionError, match="while it is still out"):
        drive(Iterated(jobs(brief)), brief, lambda job: 1.0, 2, random.Random(0))


def test_the_contract_notices_settings_that_can_change() -> None:
    class Loose:
        name = "loose"

        def suggester(self, brief: Brief) -> Suggester:
            return InOrder([brief.default], brief.horizon)

    with pytest.raises(AssertionError, match="frozen dataclass"):
        check_black_box(Loose())


@dataclass(frozen=True)
class Warmed:
    """Its warm-up leaves a trace that its suggestions show."""

    trace: list[int] = field(default_factory=list)
    name: str = "warmed"

    def suggester(self, brief: Brief) -> Suggester:
        return Iterated(good(replace(brief, seed=brief.seed + len(self.trace))))

    def warm_up(self) -> None:
        self.trace.append(1)


def test_the_contract_notices_a_warm_up_that_changes_the_search() -> None:
    with pytest.raises(AssertionError, match="equal seeds give different first jobs"):
        check_black_box(Warmed())


@pytest.mark.slow
def test_a_search_leaves_global_randomness_as_it_was() -> None:
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    for searcher in SEARCHERS[-4:]:
        suggester = searcher.suggester(example_brief())
        for _ in range(12):
            job = suggester.ask()
            assert job is not None
            suggester.tell(job, 1.0)
        assert (random.getstate(), repr(np.random.get_state())) == before  # noqa: NPY002
