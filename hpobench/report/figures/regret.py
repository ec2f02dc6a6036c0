"""Regret over the clock: that of each task on the page, all tasks in one file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.figure import Draw, FigureKind, RunFigure
from hpobench.report.drawing.panel import panel_of
from hpobench.report.drawing.regret_panels import NOTHING, figure_of
from hpobench.report.drawing.regret_plot import kind_of, regret_plot
from hpobench.report.drawing.regret_table import Panels, regret_table, steps_for
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import StyleName
from hpobench.results.regret import Clock, Curve

if TYPE_CHECKING:
    from hpobench.results.run import Results


def regret_figure(
    results: Results,
    tasks: Sequence[str] | None = None,
    curve: Curve = "incumbent",
    clock: Clock = "seconds",
    style: StyleName = "light",
) -> Figure:
    """Regret over the clock, the panels of ``tasks`` (all, unless told) one under the other.

    A task without a reference has no regret: its panel shows the test loss, and says so.
    """
    panels = [panel_of(results, task, curve, clock) for task in tasks or results.tasks]
    return figure_of(panels, clock, style)


def regret_figures(source: FigureSource) -> list[RunFigure]:
    """That of each task, over every clock and for both curves; the run's clock at first."""
    at_most = steps_for(len(source.panels) * len(source.searchers))
    return [_regret(source, task, at_most) for task in source.tasks]


def whole_regret(source: FigureSource) -> RunFigure:
    """All tasks in one drawing, for files, and for a page of very many figures."""
    references = source.results.references
    kinds = dict.fromkeys("regret" if references[task] else "test loss" for task in source.tasks)
    words = f"{' or '.join(kinds)} of the incumbent over {CLOCKS[source.clock].unit}, task by task"
    return RunFigure(
        section="regret",
        heading="",
        name="regret",
        label=f"Figure: {words}",
        caption="Of a run as large as this one, the other figures are drawn by the page's scripts.",
        data=pd.DataFrame(),
        static=partial(figure_of, source.incumbents, source.clock),
        interactive=None,
        spoken=f"Figure: {words}; the tables in the summary have the numbers",
    )


def _files(source: FigureSource) -> dict[str, Draw]:
    return {"regret": whole_regret(source).static}


REGRET = FigureKind(
    regret_figures, _files, of_large_runs=True, name="regret", section="regret", by_task=True
)


def _regret(source: FigureSource, task: str, at_most: int) -> RunFigure:
    panels: Panels = {
        (curve, clock): source.panels[task, curve, clock]
        for of_task, curve in source.shown_curves
        if of_task == task
        for clock in CLOCKS
    }
    first = panels["incumbent", source.clock]
    words = f"{kind_of(first)} of the incumbent over {CLOCKS[source.clock].unit}, on {task}"
    empty = not any(panel.has_curves for panel in panels.values())
    data = regret_table(panels, source.changes[task], at_most)
    shown = {  # of a run of many cells, the other clocks are in the data alone
        key: panel for key, panel in panels.items() if source.few_cells or key[1] == source.clock
    }
    return RunFigure(
        section="regret",
        heading=task,
        task=task,
        name=f"regret-{task}",
        label=f"Figure: {kind_of(first)} over a clock, on {task}",
        caption=NOTHING
        if empty
        else f"{words[0].upper()}{words[1:]}. Lower is better; a curve holds until the next step,"
        " that of the incumbent the default's level until the first full training. A line in front"
        " is a mean over seeds, with its 95 % band from five seeds on, else with each seed. With"
        " scripts, pointing at a line or its name brings it forward, and pressing the name keeps it"
        " there.",
        data=data,
        static=partial(figure_of, [first], source.clock),
        interactive=None
        if empty
        else partial(regret_plot, shown, data, source.clock, apart=source.few_cells),
        spoken=f"Figure: {words}; the table in the summary has the numbers",
    )
