from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from searchers.black_box.bayesian import TPE, BayesianOptimization
from searchers.errors import SearcherError
from searchers.protocols import Brief, Job
from searchers.space import Categorical, Flat, Float, Int, Space
from searchers.testing.black_box import drive, example_brief

torch.set_num_threads(1)

Searcher = BayesianOptimization | TPE
both = pytest.mark.parametrize("searcher", [BayesianOptimization(), TPE()], ids=lambda s: s.name)


def bowl_brief(seed: int, width: int = 1) -> Brief:
    space = Space(
        {
            "x": Float(1e-4, 1.0, log=True),
            "y": Float(-2.0, 2.0),
            "n": Int(1, 16, log=True),
            "c": Categorical(("a", "b", "c")),
        }
    )
    start: Flat = {"x": 1.0, "y": -2.0, "n": 16, "c": "a"}
    return Brief(space, (start,), start, budgets=(1, 9), compress=True, seed=seed, width=width)


def bowl(brief: Brief, job: Job) -> float:
    """Zero at x = 0.01, y = 1, n = 4, c = "b"; 2 where it counts as diverged."""
    x, y, n, c = job.configuration.values()
    u = brief.space.scalars["x"].to_unit(x)
    v = brief.space.scalars["n"].to_unit(n) - brief.space.scalars["n"].to_unit(4)
    loss = 4 * (u - 0.5) ** 2 + (float(y) - 1) ** 2 / 4 + v**2 + 0.3 * (c != "b")
    return 2.0 if loss > 1.5 else loss


@pytest.mark.slow
@both
def test_learns(searcher: Searcher) -> None:
    """What it tries after twenty trainings is far better than what it drew to begin with."""
    brief = bowl_brief(1)
    jobs = drive(searcher.suggester(brief), brief, lambda j: bowl(brief, j), 32, random.Random(0))
    losses = [bowl(brief, job) for job in jobs]
    assert np.median(losses[22:]) < np.median(losses[:10]) / 3
    assert all(job.epochs == 9 for job in jobs)


@pytest.mark.slow
@both
def test_equal_seeds_repeat_past_the_first_models(searcher: Searcher) -> None:
    runs = [
        drive(searcher.suggester(b), b, lambda j: bowl(bowl_brief(0), j), 16, random.Random(0))
        for b in (bowl_brief(5), bowl_brief(5))
    ]
    assert runs[0] == runs[1]
    assert len({tuple(job.configuration.values()) for job in runs[0]}) == 16


@both
def test_jobs_out_at_once_are_not_the_same(searcher: Searcher) -> None:
    brief = bowl_brief(0, width=4)
    suggester = searcher.suggester(brief)
    for _ in range(12):
        job = suggester.ask()
        suggester.tell(job, bowl(brief, job))
    out = [suggester.ask() for _ in range(4)]
    points = np.array([brief.space.to_unit(job.configuration) for job in out])
    for i in range(4):
        for j in range(i):
            assert np.abs(points[i] - points[j]).max() > 1e-3


@pytest.mark.parametrize(("width", "liar"), [(1, False), (4, True)])
def test_tpe_is_multivariate_and_lies_only_in_parallel(width: int, liar: bool) -> None:
    sampler: Any = TPE().suggester(bowl_brief(0, width))._study.sampler
    assert sampler._multivariate
    assert not sampler._group
    assert sampler._constant_liar == liar


@both
def test_many_initial_configurations_all_go_first(searcher: Searcher) -> None:
    brief = example_brief()
    many = tuple(brief.initial[0] | {"momentum": n / 100} for n in range(15))
    suggester = searcher.suggester(replace(brief, initial=many))
    found = []
    for _ in range(15):
        job = suggester.ask()
        found.append(job.configuration)
        suggester.tell(job, 1.0)
    assert found == list(many)


@both
def test_is_silent(
    searcher: Searcher, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    searcher.warm_up()
    brief = bowl_brief(0, width=2)
    drive(searcher.suggester(brief), brief, lambda j: bowl(brief, j), 14, random.Random(0))
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    assert [str(w.message) for w in recwarn] == []


@pytest.mark.parametrize(
    ("kind", "settings", "says"),
    [
        (
            BayesianOptimization,
            {"startup_trials": 0},
            "bo: startup_trials is a whole number",
        ),
        (TPE, {"startup_trials": -1}, "tpe: startup_trials is a whole number"),
        (TPE, {"candidates": 0}, "tpe: candidates is a whole number, 1 or more"),
    ],
)
def test_bad_settings_are_one_line(
    kind: type[Searcher], settings: dict[str, int], says: str
) -> None:
    with pytest.raises(SearcherError, match=says):
        kind(**settings)  # type: ignore[arg-type]
