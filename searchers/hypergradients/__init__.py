"""Derivatives of a whole training by its hyperparameters.

An engine (`Auto` picks the cheapest exact one) trains a problem along a `Schedule` and gives the
`Hypergradient`; `hpobench audit` checks one of your own against them.

Inside: `schedules` says which value each step uses, `training` runs the steps; `reverse`, `forward`
and `reversible` are the engines, `engines` what they have in common.
"""

from searchers.hypergradients.auto import Auto
from searchers.hypergradients.engines import Engine, Hypergradient
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Binomial, Checkpointed, Graphs, Stored
from searchers.hypergradients.reversible import Reversible
from searchers.hypergradients.scaled import Scaled
from searchers.hypergradients.schedules import (
    Schedule,
    by_unit,
    frozen_schedule,
    per_step,
    schedule,
)
from searchers.hypergradients.training import Trained, start, train

__all__ = [
    "Auto",
    "Binomial",
    "Checkpointed",
    "Engine",
    "Forward",
    "Graphs",
    "Hypergradient",
    "Reversible",
    "Scaled",
    "Schedule",
    "Stored",
    "Trained",
    "by_unit",
    "frozen_schedule",
    "per_step",
    "schedule",
    "start",
    "train",
]
