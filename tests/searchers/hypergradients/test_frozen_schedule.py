"""A schedule that was learned on the way, followed by another training."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from searchers.errors import SearcherError
from searchers.gradient.greedy import Greedy
from searchers.gradient.hd import HD
from searchers.gradient.measured_points import measure
from searchers.gradient.rmd import RMD
from searchers.hypergradients.schedules import frozen_schedule, schedule
from searchers.hypergradients.training import start, train
from searchers.inner_problem import InnerProblem, Weights
from searchers.protocols import Brief, Chain, Evaluation, GradientSearcher
from trainables.tasks.digits import DIGITS

CPU = torch.device("cpu")
BRIEF, FULL = DIGITS.brief(0, 1), DIGITS.build(0, CPU).full()  # type: ignore[misc]


def followed(problem: InnerProblem, brief: Brief, found: Evaluation, training: int) -> Weights:
    """A training of the evaluation's schedule, as it is read back from a file."""
    learned = json.loads(json.dumps(found.notes["schedule"]))
    along = frozen_schedule(brief, problem, found.configuration, learned)
    draw = problem.draw(training)
    return train(problem, draw, along, start(draw, brief.rule), range(along.steps)).weights


@pytest.mark.slow
@pytest.mark.parametrize(
    ("searcher", "number"),  # calm trainings: a wild one makes much of seven digits
    [(HD(multiplicative_beta=(0.1, 0.9)), 0), (RMD(), 2), (Greedy(horizon=30), 0)],
)
def test_on_the_same_draw_it_is_the_training_that_learned_it(
    searcher: GradientSearcher, number: int
) -> None:
    problem, brief = DIGITS.build(0, CPU).inner, DIGITS.brief(0, 1)
    found = next(islice(searcher.search(problem, brief, Chain()), number, None))
    weights = found.weights.vector
    again = followed(problem, brief, found, found.training)
    assert float((again.vector - weights).abs().max()) < 1e-5
    other = followed(problem, brief, found, found.training + 1)
    by_windows = measure(problem, brief, found.configuration, brief.horizon, found.training)
    for different in (other, by_windows.weights):
        assert float((different.vector - weights).abs().max()) > 1e-2


def test_what_was_not_learned_is_as_the_configuration_says() -> None:
    problem, brief = DIGITS.build(0, CPU).inner, DIGITS.brief(0, 1)
    plain = schedule(brief, problem, brief.default, brief.horizon)
    frozen = frozen_schedule(brief, problem, brief.default, {})
    assert {name: v.tolist() for name, v in frozen.values.items()} == {
        name: v.tolist() for name, v in plain.values.items()
    }
    learned = np.linspace(1.0, 0.1, plain.steps).tolist()
    frozen = frozen_schedule(brief, problem, brief.default, {"learning_rate": learned})
    assert frozen.values["learning_rate"].tolist() == learned
    assert frozen.values["momentum"].tolist() == plain.values["momentum"].tolist()


@given(st.lists(st.floats(1e-3, 3.0), min_size=1, max_size=400))
def test_each_value_holds_for_its_part_of_a_training_of_another_length(values: list[float]) -> None:
    laid = laid_out(values)
    assert len(laid) == 9 * 43
    part = [step * len(values) // len(laid) for step in range(len(laid))]
    assert laid == [values[i] for i in part]
    if len(values) <= len(laid):  # more data: every value is used, about equally often
        used = [part.count(i) for i in range(len(values))]
        assert max(used) - min(used) <= 1


def laid_out(values: list[float]) -> list[float]:
    along = frozen_schedule(BRIEF, FULL, BRIEF.default, {"learning_rate": values})
    return along.values["learning_rate"].tolist()


@pytest.mark.parametrize(
    ("learned", "what"),
    [
        ({"learning_rate": []}, "learning_rate: a learned schedule is one finite number a step"),
        ({"momentum": [0.1, float("nan")]}, "momentum: a learned schedule is one finite number"),
        ({"temperature": [1.0]}, "the schedule has temperature, which is no hyperparameter"),
    ],
)
def test_what_cannot_be_followed_is_refused(learned: dict[str, list[float]], what: str) -> None:
    with pytest.raises(SearcherError, match=what):
        frozen_schedule(BRIEF, FULL, BRIEF.default, learned)
