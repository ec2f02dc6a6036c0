"""Every gradient-based searcher trains the digits: none makes its first training worse than a start
without a search, as one whose steps are too long would."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from searchers.catalog import SEARCHERS
from searchers.protocols import BlackBoxSearcher, Chain
from trainables.tasks.digits import DIGITS

GRADIENT_BASED = [s for s in SEARCHERS.values() if not isinstance(s, BlackBoxSearcher)]


@pytest.mark.slow
@pytest.mark.parametrize("searcher", GRADIENT_BASED, ids=lambda s: s.name)
def test_the_first_trainings_learn(searcher) -> None:
    problem = DIGITS.build(0, torch.device("cpu")).inner
    found = islice(searcher.search(problem, DIGITS.brief(0, 1), Chain(0, 1)), 4)
    losses = [each.metrics.loss for each in found if each.epochs == DIGITS.budgets[-1]]
    assert min(losses) < 0.4  # chance is 2.3
