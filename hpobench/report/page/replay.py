"""The page's tables of replays: regret beside the search's, and how much sooner by their losses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hpobench.report.tables.speedup import factor_of
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
