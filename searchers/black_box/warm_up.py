"""A short search on a made-up space: what is imported and built at first use is ready after it."""

from __future__ import annotations

import numpy as np

from searchers.protocols import BlackBoxSearcher, Brief
from searchers.space import Categorical, Float, Int, Space


def warm_up(searcher: BlackBoxSearcher, trainings: int) -> None:
    """Run a searcher for some trainings on one domain of each kind, under no task's name."""
    space = Space(
        {
            "a": Float(0.0, 1.0),
            "b": Float(1e-3, 1.0, log=True),
            "c": Int(1, 9),
            "d": Categorical(("left", "right")),
        }
    )
    middle = space.from_unit(np.full(len(space), 0.5))
    brief = Brief(space, (middle,), middle, budgets=(1,), compress=True, seed=0)
    suggester = searcher.suggester(brief)
    for _ in range(trainings):
        job = suggester.ask()
        if job is None:
            return
        suggester.tell(job, float(space.to_unit(job.configuration).sum()))
