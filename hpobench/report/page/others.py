"""The figures of the page beside regret: times to targets, ranks, where the time went, memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.panel import Panel
from hpobench.report.drawing.regret_table import steps_for
from hpobench.report.drawing.style import STYLES
from hpobench.report.figures.ledger import ledger_data, ledger_figure
from hpobench.report.figures.memory import memory_data, memory_figure
from hpobench.report.figures.rank import rank_data, rank_figure
from hpobench.report.figures.time_to_target import (
    WORDS,
    time_to_target_data,
    time_to_target_figure,
)
from hpobench.report.page.figure import Drawing, PageFigure, control, look, page_figure
from hpobench.report.tables.ledger import MEANING
from hpobench.results.csv_text import csv_of
from hpobench.results.json_files import Record
from hpobench.results.regret import Clock
from hpobench.results.targets import TARGET_WORDS

if TYPE_CHECKING:
    from hpobench.results.run import Results

PAGE_STEPS = 10_000
"""Steps of mean ranks on a page."""

SCALES = [("log", "log"), ("linear", "linear")]
NUMBERS = "the table beside it has the numbers"


def other_figures(results: Results, panels: Sequence[Panel], clock: Clock) -> list[PageFigure]:
    """Each of them; a figure that would have nothing to show is not there.

    ``panels``: the incumbents over the clock, a task each.
    """
    at_most = steps_for(len(results.tasks) * len(results.searchers), PAGE_STEPS)
    found: list[PageFigure] = []
    for panel in panels:
        times = time_to_target_data(results, panel)
        if len(times):
            found.append(_times(times, panel, clock))
        if sum(bool(drawn.curves) for drawn in panel.drawn) > 1:
            found.append(_ranks(panel, results.study["seeds"], clock, at_most))
    ledger, memory = ledger_data(results), memory_data(results)
    if len(ledger):
        found.append(_ledger(ledger))
    if len(memory):
        found.append(_memory(memory, results.searchers))
    return found


def _times(data: pd.DataFrame, panel: Panel, clock: Clock) -> PageFigure:
    targets = [(target, TARGET_WORDS[target]) for target in dict.fromkeys(data["target"])]
    label = f"Figure: {CLOCKS[clock].unit} to a target, on {panel.task}"
    drawing = Drawing(
        partial(time_to_target_figure, data, clock, panel.end),
        f"times-{panel.task}-",
        label,
        f"{label}; the table in the summary has the numbers",
    )
    return page_figure(
        section="times",
        heading=panel.task,
        name=f"time-to-target-{panel.task}",
        label=label,
        caption=f"{CLOCKS[clock].unit[0].upper()}{CLOCKS[clock].unit[1:]} until a target was"
        " reached to stay: a dot for each seed, a bar until half of them had. ▷ and an open bar:"
        " not reached by the end.",
        drawing=drawing,
        csv=csv_of(data),
        plot={
            "kind": "times",
            "controls": [
                control("target", "target", targets, targets[0][0]),
                control("across", "horizontal", SCALES[::-1], "linear"),
            ],
            "searchers": _searchers(panel, set(data["searcher"])),
            "words": WORDS,
            "unit": CLOCKS[clock].unit,
            "axis": CLOCKS[clock].axis,
            "end": panel.end,
        },
    )


def _ranks(panel: Panel, seeds: Sequence[int], clock: Clock, at_most: int) -> PageFigure:
    data = rank_data(panel, seeds, at_most)
    label = f"Figure: mean rank over {CLOCKS[clock].unit}, on {panel.task}"
    drawing = Drawing(partial(rank_figure, data, panel, clock), f"rank-{panel.task}-", label)
    return page_figure(
        section="ranks",
        heading=panel.task,
        name=f"rank-{panel.task}",
        label=label,
        caption="Mean rank of the incumbents over seeds: 1 is the lowest, ties share theirs. A cell"
        " that is not complete ranks last.",
        drawing=drawing,
        csv=csv_of(data),
        plot={
            "kind": "rank",
            "controls": [control("across", "horizontal", SCALES, "log")],
            "searchers": _searchers(panel, set(data["searcher"])),
            "unit": CLOCKS[clock].unit,
            "axis": CLOCKS[clock].axis,
            "end": panel.end,
        },
    )


def _searchers(panel: Panel, drawn: set[str]) -> list[Record]:
    return [
        {"name": d.searcher, "label": d.label, "drawn": d.searcher in drawn, **look(d.place)}
        for d in panel.drawn
    ]


def _ledger(data: pd.DataFrame) -> PageFigure:
    label = "Figure: where the slot-seconds went, by searcher"
    drawing = Drawing(partial(ledger_figure, data), "ledger-", label, f"{label}; {NUMBERS}")
    shown = [("share", "share"), ("slot_seconds", "slot-seconds")]
    return page_figure(
        section="ledger",
        heading="",
        name="ledger",
        label=label,
        caption="Where the slot-seconds of each searcher went, over all of its cells.",
        drawing=drawing,
        csv=csv_of(data),
        plot={
            "kind": "ledger",
            "controls": [control("shown", "bars", shown, "share")],
            "searchers": [
                {"name": part, "label": part, "meaning": MEANING.get(part, part), **_square(place)}
                for place, part in enumerate(dict.fromkeys(data["part"]))
            ],
        },
    )


def _square(place: int) -> Record:
    """As `figures.bars.filling` has it."""
    colours = len(STYLES["light"].lines)
    pale = place // colours % 2 == 1
    return {"colour": f"line-{place % colours}", "square": True, "pale": pale}


def _memory(data: pd.DataFrame, searchers: Sequence[str]) -> PageFigure:
    label = "Figure: peak memory of a slot, by searcher"
    spoken = f"{label}; the summary has the numbers"
    drawing = Drawing(partial(memory_figure, data), "memory-", label, spoken)
    on = [("host_mib", "host"), ("device_mib", "GPU")]
    on_gpu = bool(data["device_mib"].notna().any())
    known = set(data["searcher"])
    return page_figure(
        section="memory",
        heading="",
        name="memory",
        label=label,
        caption="The most memory that a slot needed: a bar for the most over a searcher's cells,"
        " and with scripts a stroke for each.",
        drawing=drawing,
        csv=csv_of(data),
        plot={
            "kind": "memory",
            "controls": [control("where", "memory of the", on, "host_mib")] if on_gpu else [],
            "searchers": [
                {"name": name, "label": name, "drawn": name in known, **look(place)}
                for place, name in enumerate(searchers)
            ],
        },
    )
