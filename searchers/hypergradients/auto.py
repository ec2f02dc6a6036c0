"""The cheapest engine that is exact for what is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from searchers.hypergradients.engines import Engine, Hypergradient
from searchers.hypergradients.forward import Directions, Forward
from searchers.hypergradients.reverse import Checkpointed, Graphs, Stored, step_bytes
from searchers.hypergradients.schedules import Schedule
from searchers.inner_problem import Draw, InnerProblem
from searchers.settings import make_plain, whole

GRAPHS, REPEATED, FORWARD = 3.0, 4.4, 2.5
"""Measured costs in training steps: with every graph kept; with every step run twice; of one
tangent of forward mode, beside the training's own step."""


@dataclass(frozen=True)
class Auto:
    """Picks the cheapest exact engine within a memory bound, and says which and why.

    Reverse mode with every graph kept where they fit; for so few coefficients that tangents are
    cheaper, forward mode; else reverse mode with stored states or, where these do not fit either,
    checkpoints.

    Args:
        memory: into which graphs or states have to fit, in bytes.
        name: what it is called in tables and files.
    """

    memory: int = 1 << 30
    name: str = "auto"

    def __post_init__(self) -> None:
        make_plain(self)
        whole("memory, in bytes,", self.memory, 0)

    def hypergradient(self, problem: InnerProblem, draw: Draw, schedule: Schedule) -> Hypergradient:
        engine, why = self.choose(problem, draw, schedule)
        result = engine.hypergradient(problem, draw, schedule)
        return replace(result, engine=f"{result.engine}: {why}")

    def choose(self, problem: InnerProblem, draw: Draw, schedule: Schedule) -> tuple[Engine, str]:
        """The engine and the reason, in words."""
        state, graph = step_bytes(problem, draw, schedule)
        all_graphs, all_states = schedule.steps * graph, schedule.steps * state
        cost = GRAPHS if all_graphs <= self.memory else REPEATED
        forward = 1 + FORWARD * _mean_tangents(schedule)
        if not schedule.constants and forward < cost:
            return Forward(), f"{forward:.1f} steps a step, memory without the horizon"
        if all_graphs <= self.memory:
            return Graphs(), f"all graphs fit, {_mib(all_graphs)}"
        if all_states <= self.memory:
            return Stored(), f"all states fit, {_mib(all_states)}; graphs need {_mib(all_graphs)}"
        return Checkpointed(), f"all states need {_mib(all_states)}"


def _mean_tangents(schedule: Schedule) -> float:
    """How many tangents a step carries on average."""
    directions = Directions(schedule)
    return sum(map(directions.moving, range(schedule.steps))) / schedule.steps


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
