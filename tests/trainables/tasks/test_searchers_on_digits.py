"""Every gradient-based searcher trains the digits, and says where the time went."""

from __future__ import annotations

import pytest

from searchers.protocols import Evaluation
from tests.trainables.timed_search import GRADIENT_BASED, assert_parts_make_the_whole, timed
from trainables.tasks.digits import DIGITS


@pytest.fixture(scope="module", params=GRADIENT_BASED, ids=lambda searcher: searcher.name)
def found(request: pytest.FixtureRequest) -> list[tuple[Evaluation, float]]:
    """A searcher's first evaluations, with what each took."""
    return list(timed(request.param, DIGITS, 4))


@pytest.mark.slow
def test_the_first_trainings_learn(found: list[tuple[Evaluation, float]]) -> None:
    """None makes its first training worse than a start without a search, as one whose steps are too
    long would."""
    losses = [each.metrics.loss for each, _ in found if each.epochs == DIGITS.budgets[-1]]
    assert min(losses) < 0.4  # chance is 2.3


@pytest.mark.slow
def test_parts_are_no_more_than_the_whole_and_little_less(
    found: list[tuple[Evaluation, float]],
) -> None:
    assert_parts_make_the_whole(found, most=0.05)
