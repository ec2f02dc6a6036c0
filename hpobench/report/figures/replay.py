"""Replay regret over the clock: what each incumbent is worth, trained again on fresh draws."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from hpobench.report.drawing.figure import Draw, FigureKind, RunFigure
from hpobench.report.drawing.panel import Panel, panels_from
from hpobench.report.drawing.regret_panels import figure_of
from hpobench.report.drawing.regret_plot import regret_plot
from hpobench.report.drawing.regret_table import Panels, regret_table
from hpobench.report.drawing.source import FigureSource
from hpobench.results.regret import Clock
from hpobench.statistics.curves import zero_tolerance

if TYPE_CHECKING:
    from hpobench.results.run import Results


def replayed_changes(results: Results, task: str) -> pd.DataFrame | None:
    """The incumbents of one task as the regret frame has them, with losses of their replays.

    test_loss: the mean over draws, the default's until the first full training; regret: over the
    reference's of the same draws; zero_tolerance: the reference's then. All are NaN in a cell of
    which not every incumbent was trained again. None unless every incumbent was asked for.
    """
    replays = results.replays
    if replays is None or not replays.every:
        return None
    changes = results.regret()
    changes = changes[(changes["task"] == task) & (changes["curve"] == "incumbent")]
    losses = results.replayed_losses().mean(axis=1, skipna=False)
    changes = changes.join(losses.rename("loss"), on=["cell", "evaluation"])
    yardsticks = _yardsticks(replays.lines[replays.lines["task"] == task], replays.draws)
    default, reference = (
        changes["seed"].map({s: found.mean() for (row, s), found in yardsticks.items() if row == r})
        for r in ("default", "reference")
    )
    loss = changes["loss"].where(changes["evaluation"].notna(), default)
    unknown = loss.isna().groupby(changes["cell"], sort=False).transform("any")
    loss = loss.where(~unknown)
    zero = {
        s: zero_tolerance(found) for (row, s), found in yardsticks.items() if row == "reference"
    }
    return changes.drop(columns="loss").assign(
        test_loss=loss,
        regret=loss - reference,
        zero_tolerance=changes["seed"].map(zero).astype(float),
    )


def _yardsticks(lines: pd.DataFrame, draws: int) -> dict[tuple[str, int], np.ndarray]:
    """By row (default or reference) and seed, the test losses, shape (draws,); NaN if missing."""
    rows = lines[(lines["row"] != "incumbent") & (lines["draw"] < draws)]
    rows = rows.drop_duplicates(["row", "seed", "draw"], keep="last")
    found: dict[tuple[str, int], np.ndarray] = {}
    for key, mine in rows.groupby(["row", "seed"]):
        losses = np.full(draws, math.nan)
        losses[mine["draw"]] = mine["test_loss"]
        found[cast("tuple[str, int]", key)] = losses
    return found


def replay_panel(results: Results, task: str, changes: pd.DataFrame) -> Panel:
    """The replayed curves of one task's cells; ``changes``: of `replayed_changes`."""
    ends: dict[Clock, dict[str, float]] = {"seconds": results.task_ends("seconds")}
    panel = panels_from(results, task, "incumbent", changes, ends)["seconds"]
    metric = results.task(task)["metric"]
    quantity = (
        f"replay regret: test {metric} above the reference, both trained again"
        if panel.regret
        else f"test {metric} of the incumbent, trained again"
    )
    return dataclasses.replace(panel, quantity=quantity)


def replay_panels(results: Results) -> list[Panel]:
    """That of each task; none unless every incumbent was asked for."""
    found = {task: replayed_changes(results, task) for task in results.tasks}
    return [
        replay_panel(results, task, changes)
        for task, changes in found.items()
        if changes is not None
    ]


def replay_figures(source: FigureSource) -> list[RunFigure]:
    """Replay regret over seconds, task by task, if every incumbent was trained again."""
    replayed = [
        (replay_panel(source.results, task, changes), changes)
        for task in source.tasks
        if (changes := replayed_changes(source.results, task)) is not None
    ]
    return [_replay(panel, changes) for panel, changes in replayed if panel.has_curves]


def _files(source: FigureSource) -> dict[str, Draw]:
    """All tasks in one."""
    panels = replay_panels(source.results)
    return {"replay": partial(figure_of, panels)} if panels else {}


REPLAY = FigureKind(
    replay_figures, _files, of_large_runs=True, name="replay", section="replays", by_task=True
)


def _replay(panel: Panel, changes: pd.DataFrame) -> RunFigure:
    kind = "replay regret" if panel.regret else "replayed test loss"
    words = f"{kind} of the incumbent over seconds, on {panel.task}"
    rows = changes[changes["status"] == "complete"].assign(hyperparameters=None)
    panels: Panels = {("incumbent", "seconds"): panel}
    data = regret_table(panels, rows)
    return RunFigure(
        section="replays",
        heading=panel.task,
        task=panel.task,
        name=f"replay-{panel.task}",
        label=f"Figure: {words}",
        caption=f"{words[0].upper()}{words[1:]}: every incumbent trained again. Like the search's"
        " own, it may rise: incumbents are chosen by one validation loss, and each point has the"
        " luck of its draws.",
        data=data,
        static=partial(figure_of, [panel], "seconds"),
        interactive=partial(regret_plot, panels, data, "seconds", kind, ", trained again"),
        spoken=f"Figure: {words}; the tables have the numbers",
    )
