"""Replay regret beside search regret on the page, and how much sooner by replayed losses."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from hpobench.report.drawing.panel import Panel
from hpobench.report.drawing.regret_table import regret_table
from hpobench.report.figures.regret import figure_of
from hpobench.report.figures.replay import replay_panel, replayed_changes
from hpobench.report.page.figure import Drawing, PageFigure, page_figure
from hpobench.report.page.regret import regret_plot
from hpobench.report.tables.speedup import factor_of
from hpobench.results.csv_text import csv_of
from hpobench.results.json_files import Record
from hpobench.results.replayed import END, lowest_replayed
from hpobench.text import UNKNOWN, number, plus_minus, seconds

if TYPE_CHECKING:
    import pandas as pd

    from hpobench.results.run import Results


def replay_section(results: Results) -> list[Record]:
    """What the page shows of each task that was trained again; empty if nobody asked."""
    if results.replays is None:
        return []
    summary = results.replay_summary()
    return [_task(results, task, mine) for task, mine in summary.groupby("task", sort=False)]


def replay_figures(results: Results) -> list[PageFigure]:
    """Replay regret over seconds, task by task, if every incumbent was trained again."""
    found = []
    for task in results.tasks:
        changes = replayed_changes(results, task)
        panel = None if changes is None else replay_panel(results, task, changes)
        if changes is not None and panel is not None and panel.has_curves:
            found.append(_figure(panel, changes))
    return found


def _figure(panel: Panel, changes: pd.DataFrame) -> PageFigure:
    kind = "replay regret" if panel.regret else "replayed test loss"
    words = f"{kind} of the incumbent over seconds, on {panel.task}"
    spoken = f"Figure: {words}; the tables have the numbers"
    rows = changes[changes["status"] == "complete"].assign(hyperparameters=None)
    plot = regret_plot({("incumbent", "seconds"): panel}, ("incumbent",), "seconds")
    return page_figure(
        section="replays",
        heading=panel.task,
        name=f"replay-{panel.task}",
        label=f"Figure: {words}",
        caption=f"{words[0].upper()}{words[1:]}: every incumbent trained again. Like the search's"
        " own, it may rise: incumbents are chosen by one validation loss, and each point has the"
        " luck of its draws.",
        drawing=Drawing(
            partial(figure_of, [panel], "seconds"),
            f"replay-{panel.task}-",
            f"Figure: {words}",
            spoken,
        ),
        csv=csv_of(regret_table({("incumbent", "seconds"): panel}, rows)),
        plot=plot | {"shown": kind, "again": True},
    )


def _task(results: Results, task: Any, summary: pd.DataFrame) -> Record:
    last = summary[summary["at"] == summary["at"].iloc[-1]]
    times = list(dict.fromkeys(summary["at"]))
    lowest = lowest_replayed(summary, results.summary())
    trained_on = next(iter(summary["trained_on"].dropna()), None)
    has_reference = results.references[task] is not None
    value = "replay_regret" if has_reference else "replay_test_loss"
    by_time = {
        (row["searcher"], row["at"]): number(row[value]) for row in summary.to_dict("records")
    }
    return {
        "name": task,
        "when": _when(times[-1]),
        "trained_on": trained_on,
        "rows": [_row(row) for row in last.to_dict("records")],
        "shown": "replay regret" if has_reference else "replayed test loss",
        "times": [_when(time) for time in times],
        "by_time": [
            {"searcher": searcher, "values": [by_time[searcher, time] for time in times]}
            for searcher in last["searcher"]
        ],
        "lowest": lowest,
        "sooner": [] if lowest is None else sooner_rows(results, task, lowest),
    }


def sooner_rows(results: Results, task: str, searcher: str) -> list[Record]:
    """How many times sooner a searcher came to each other's final replayed loss, in words."""
    table = results.replay_times()
    rows = table[(table["task"] == task) & (table["searcher"] == searcher)].to_dict("records")
    return [
        {
            "final_of": row["to_final_of"],
            "factor": _factor(row),
            "seconds": _between(row["seconds_at_least"], row["seconds_at_most"]),
            "own_seconds": _between(row["own_seconds_at_least"], row["own_seconds_at_most"]),
            "reached": f"{row['seeds'] - row['not_reached']} of {row['seeds']}",
        }
        for row in rows
    ]


def _row(row: dict[Any, Any]) -> Record:
    return {
        "searcher": row["searcher"],
        "absent": row["replay_n"] == 0,
        "values": [
            f"{row['replay_n']} of {row['seeds_planned']}",
            plus_minus(row["replay_regret"], row["replay_regret_se"]),
            number(row["search_regret"]),
            number(row["replay_test_loss"]),
        ],
    }


def _when(at: str) -> str:
    return "the end" if at == END else f"{at} s"


def _factor(row: dict[Any, Any]) -> str:
    if not row["sooner_at_least"] and math.isinf(row["sooner_at_most"]):
        return "not known"
    interval = row["sooner_low"], row["sooner_high"]
    known = None if math.isnan(interval[0]) else interval
    return factor_of(row["sooner_at_least"], row["sooner_at_most"], known)


def _between(low: float, high: float) -> str:
    if math.isnan(low) or (low == 0 and math.isinf(high)):
        return UNKNOWN
    if low == high:
        return seconds(low)
    return f"after {seconds(low)}" if math.isinf(high) else f"{seconds(low)} to {seconds(high)}"
