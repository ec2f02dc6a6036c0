"""What figures are made from: a run over a clock, and what several of them need of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.evaluated import Evaluated
from hpobench.report.drawing.panel import Panel, panels_of
from hpobench.report.drawing.regret_table import changes_of
from hpobench.report.drawing.style import Look, looks_of
from hpobench.results.flat_curves import FlatCurves
from hpobench.results.regret import Clock, Curve

if TYPE_CHECKING:
    from hpobench.results.run import Results

MOST_CELLS = 500
"""Plotly takes a third of a millisecond for a trace, over each clock and for both curves."""


@dataclass(frozen=True)
class FigureSource:
    """A run, seen over one clock; each part is computed once, when it is first asked for."""

    results: Results
    clock: Clock = "seconds"
    only: str | None = None

    def of_task(self, task: str) -> FigureSource:
        """The same of a single task; nothing is asked of the others."""
        return FigureSource(self.results, self.clock, task)

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.results.tasks if self.only is None else (self.only,)

    @property
    def searchers(self) -> tuple[str, ...]:
        """The study's, in its order."""
        return self.results.searchers

    @property
    def few_cells(self) -> bool:
        """Whether each cell's curve can be a trace of its own, over every clock."""
        return len(self.results.cells) <= MOST_CELLS

    @cached_property
    def looks(self) -> dict[str, Look]:
        """What tells each searcher apart, in the study's order."""
        return looks_of(self.results.study["searchers"])

    @property
    def shown_curves(self) -> list[tuple[str, Curve]]:
        """Of each task the incumbents', and that of the models in hand where it differs."""
        both: tuple[Curve, ...] = ("incumbent", "in_hand")
        return [
            (task, curve)
            for task in self.tasks
            for curve in (both if len(self.results.task(task)["budgets"]) > 1 else both[:1])
        ]

    @cached_property
    def panels(self) -> dict[tuple[str, Curve, Clock], Panel]:
        """The curves of complete cells, by task, curve and clock, for each of `shown_curves`."""
        return panels_of(self.results, self.shown_curves, [*CLOCKS])

    @property
    def incumbents(self) -> list[Panel]:
        """The incumbents' curves over the clock, a task each."""
        return [self.panels[task, "incumbent", self.clock] for task in self.tasks]

    @cached_property
    def changes(self) -> dict[str, pd.DataFrame]:
        """By task, the changes of the curves; see `changes_of`."""
        return changes_of(self.results, self.tasks)

    @cached_property
    def curves(self) -> FlatCurves:
        """The incumbents' curves of all complete cells, over the clock."""
        return FlatCurves.of(self.results, self.clock)

    @cached_property
    def evaluated(self) -> Evaluated:
        """The full evaluations of complete cells, with their hyperparameters."""
        return Evaluated.of(self.results)
