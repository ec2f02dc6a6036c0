"""The regret figure of one task on the page, over every clock and for both curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.panel import Panel
from hpobench.report.drawing.regret_table import Panels, changes_of, regret_table, steps_for
from hpobench.report.drawing.scale import tick_text
from hpobench.report.figures.regret import NOTHING, figure_of, regret_figure, scale_of
from hpobench.report.page.figure import Drawing, PageFigure, control, look, page_figure
from hpobench.results.csv_text import csv_of
from hpobench.results.json_files import Record
from hpobench.results.regret import Clock, Curve

if TYPE_CHECKING:
    from hpobench.results.run import Results

CURVES: dict[Curve, str] = {"incumbent": "incumbent", "in_hand": "model in hand"}


def regret_figures(
    results: Results, panels: Mapping[tuple[str, Curve, Clock], Panel], clock: Clock
) -> list[PageFigure]:
    """The figure of each task, over ``clock`` at first.

    ``panels``: of `panels_of`, for each of the `shown_curves` and every clock.
    """
    curves = shown_curves(results)
    at_most = steps_for(len(panels) * len(results.searchers))
    changes = changes_of(results, results.tasks)
    return [
        _figure(
            {(c, k): panels[task, c, k] for t, c in curves if t == task for k in CLOCKS},
            changes[task],
            clock,
            at_most,
        )
        for task in results.tasks
    ]


def whole_regret(results: Results, clock: Clock) -> Drawing:
    """All tasks in one drawing, as in `figures/regret.svg`, for a page of many figures."""
    kinds = dict.fromkeys("regret" if results.references[t] else "test loss" for t in results.tasks)
    words = f"{' or '.join(kinds)} of the incumbent over {CLOCKS[clock].unit}, task by task"
    spoken = f"Figure: {words}; the tables in the summary have the numbers"
    return Drawing(
        partial(regret_figure, results, clock=clock), "whole-", f"Figure: {words}", spoken
    )


def shown_curves(results: Results) -> list[tuple[str, Curve]]:
    """Of each task the incumbents', and that of the models in hand where it differs."""
    return [(task, curve) for task in results.tasks for curve in _curves(results, task)]


def _curves(results: Results, task: str) -> tuple[Curve, ...]:
    return ("incumbent", "in_hand") if len(results.task(task)["budgets"]) > 1 else ("incumbent",)


def _figure(panels: Panels, changes: pd.DataFrame, clock: Clock, at_most: int) -> PageFigure:
    curves = tuple(dict.fromkeys(curve for curve, _ in panels))
    task = panels[curves[0], clock].task
    first = panels[curves[0], clock]
    words = _label(first, curves[0], clock)
    spoken = f"Figure: {words}; the table in the summary has the numbers"
    empty = not any(panel.has_curves for panel in panels.values())
    return page_figure(
        section="regret",
        heading=task,
        name=f"regret-{task}",
        label=f"Figure: {_shown(first)} over a clock, on {task}",
        caption=NOTHING
        if empty
        else f"{words[0].upper()}{words[1:]}. Lower is better; a curve holds until the next step,"
        " that of the incumbent the default's level until the first full training.",
        drawing=Drawing(
            partial(figure_of, [first], clock), f"{task}-{curves[0]}-", f"Figure: {words}", spoken
        ),
        csv=csv_of(regret_table(panels, changes, at_most)),
        plot=None if empty else regret_plot(panels, curves, clock),
    )


def _shown(panel: Panel) -> str:
    return "regret" if panel.regret else "test loss"


def _label(panel: Panel, curve: Curve, clock: Clock) -> str:
    return f"{_shown(panel)} of the {CURVES[curve]} over {CLOCKS[clock].unit}, on {panel.task}"


def regret_plot(panels: Panels, curves: tuple[Curve, ...], clock: Clock) -> Record:
    """The controls and the axes; a control with one choice is none."""
    first = panels[curves[0], clock]
    clocks = {name: words for name, words in CLOCKS.items() if (curves[0], name) in panels}
    banded = any(drawn.banded for panel in panels.values() for drawn in panel.drawn)
    scales = {curve: _scale(panels[curve, clock]) for curve in curves}
    log_too = any("low" in scale for scale in scales.values())
    both = [("log", "log"), ("linear", "linear")]
    controls = [
        control("clock", "clock", [(name, words.unit) for name, words in clocks.items()], clock),
        control("curve", "curve", [(curve, CURVES[curve]) for curve in curves], curves[0]),
        control("lines", "lines", [("mean", "mean and band"), ("seed", "each seed")], "mean"),
        control("across", "horizontal", both, "log"),
        control("up", "vertical", both, "log"),
    ]
    usable = {"clock": len(clocks) > 1, "curve": len(curves) > 1, "lines": banded, "up": log_too}
    return {
        "kind": "regret",
        "controls": [c for c in controls if usable.get(c["name"], True)],
        "searchers": [
            {
                "name": d.searcher,
                "label": d.label,
                "drawn": bool(d.curves),
                "seeds": len(d.curves),
                **look(d.place),
            }
            for d in first.drawn
        ],
        "clocks": {
            name: {
                "axis": words.axis,
                "unit": words.unit,
                "end": panels[curves[0], name].end,
                "budget": panels[curves[0], name].end_is_budget,
            }
            for name, words in clocks.items()
        },
        "curves": {curve: {"quantity": panels[curve, clock].quantity} for curve in curves},
        "scales": scales,
        "shown": _shown(first),
    }


def _scale(panel: Panel) -> Record:
    """The log scale of a curve's plot; empty where the values ask for none."""
    if not panel.has_curves:
        return {}
    scale = scale_of(panel)
    if scale.kind == "linear":
        return {}
    return {
        "low": scale.low,
        "high": scale.high,
        "linear_below": None if math.isnan(scale.linear_below) else scale.linear_below,
        "ticks": [[tick, tick_text(tick)] for tick in scale.ticks()],
    }
