"""Figures of the page over all tasks: critical difference, performance profile, slots over time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from hpobench.report.drawing.regret_table import steps_for
from hpobench.report.figures.critical_difference import (
    MOST_GROUPS,
    Standing,
    critical_difference_data,
    critical_difference_figure,
    few_blocks,
    standing_of,
)
from hpobench.report.figures.profile import FEW, log_span, profile_data, profile_figure
from hpobench.report.figures.timeline import (
    MOST_CELLS,
    timed_cells,
    timeline_data,
    timeline_figure,
    unit_of,
)
from hpobench.report.page.figure import Drawing, PageFigure, control, look, page_figure
from hpobench.results.csv_text import csv_of
from hpobench.results.flat_curves import FlatCurves
from hpobench.results.json_files import Record
from hpobench.statistics.curves import FEWEST_SEEDS_FOR_A_BAND
from hpobench.text import number, plural

if TYPE_CHECKING:
    from hpobench.results.run import Results

PAGE_STEPS = 10_000
"""Steps of profiles on a page."""


def standing_figures(results: Results, curves: FlatCurves) -> list[PageFigure]:
    """Each of them; a figure that would have nothing to show is not there."""
    searchers = results.searchers
    found: list[PageFigure] = []
    standing = standing_of(curves)
    if standing:
        found.append(_critical_difference(standing, searchers))
    profiles = profile_data(results, curves, steps_for(len(searchers), PAGE_STEPS))
    if len(profiles):
        found.append(_profile(profiles, searchers))
    timeline = timeline_data(results)
    if len(timeline):
        found.append(_timeline(timeline, searchers, _not_shown(results, timeline)))
    return found


def _critical_difference(standing: Standing, searchers: Sequence[str]) -> PageFigure:
    data = critical_difference_data(standing.found, searchers)
    label = "Figure: critical difference of mean ranks, over all tasks and seeds"
    drawing = Drawing(
        partial(critical_difference_figure, data, searchers, few_blocks(standing.found)),
        "critical-difference-",
        label,
    )
    return page_figure(
        section="across",
        heading="Critical difference",
        name="critical-difference",
        label=label,
        caption=_said(standing),
        drawing=drawing,
        csv=csv_of(data),
        plot={
            "kind": "criticalDifference",
            "controls": [],
            "searchers": _looks(searchers),
            "groups": MOST_GROUPS,
        },
    )


def _said(standing: Standing) -> str:
    found = standing.found
    if standing.averaged:
        blocks = f"{plural(found.blocks, 'task')}, of each the mean over its seeds"
    else:
        blocks = f"{found.blocks} blocks, a task with a seed each"
    together = "; the blocks of a seed count together" if found.groups < found.blocks else ""
    p = found.friedman.p_value
    said = (
        f"Mean ranks over {blocks}: 1 is the lowest. A line joins a group of which no two are set"
        f" apart by the signed-rank test, at 5 % for all pairs together (Holm){together}; a dot"
        f" marks each member. That all rank alike has p"
        f" {'< 0.001' if p < 0.001 else f'= {number(p, 2)}'} (Friedman, each block by itself)."
    )
    if few_blocks(found):
        said += f" But {few_blocks(found)}."
    missing = int(found.missing.sum())
    if missing:
        said += f" {plural(missing, 'missing value')} ranked last."
    if len(found.cliques) > MOST_GROUPS:
        said += f" Of {len(found.cliques)} groups the first {MOST_GROUPS} are drawn."
    return said


def _profile(data: pd.DataFrame, searchers: Sequence[str]) -> PageFigure:
    label = "Figure: performance profile, over all tasks and seeds"
    drawing = Drawing(partial(profile_figure, data, searchers), "profile-", label)
    counts = data.drop_duplicates("searcher")
    missing = int(counts["missing"].sum())
    gone = f" {plural(missing, 'cell')} not complete: above every level." if missing else ""
    banded = bool(counts["cells"].min() >= FEWEST_SEEDS_FOR_A_BAND)
    bands = f" Bands, of up to {FEW} searchers, are 95 % intervals, at each level by itself."
    bands = bands if banded else ""
    begin, end = log_span(data)
    scales = [("log", "log"), ("linear", "linear")]
    return page_figure(
        section="across",
        heading="Performance profile",
        name="performance-profile",
        label=label,
        caption=f"The share of each searcher's {plural(int(counts['cells'].iloc[0]), 'cell')} that"
        " ended at or below a regret, in % of the default's (100 is the default, 0 the reference):"
        f" the higher the better.{bands} On a log axis, what is lower than its left end counts"
        f" there.{gone}",
        drawing=drawing,
        csv=csv_of(data),
        plot={
            "kind": "profile",
            "controls": [control("across", "horizontal", scales, "log")],
            "searchers": _looks(searchers),
            "banded": banded,
            "begin": begin,
            "end": end,
        },
    )


def _timeline(data: pd.DataFrame, searchers: Sequence[str], not_shown: str) -> PageFigure:
    label = "Figure: what each slot ran, and when"
    inside = " Inside are its evaluations." if (data["what"] == "evaluation").any() else ""
    drawing = Drawing(partial(timeline_figure, data, searchers), "timeline-", label)
    size, unit = unit_of(float(data["ended"].max()))
    present = set(data["searcher"])
    looks = [
        {**one, "square": True, "pale": place // 6 % 2 == 1, "drawn": one["name"] in present}
        for place, one in enumerate(_looks(searchers))
    ]
    return page_figure(
        section="timeline",
        heading="",
        name="timeline",
        label=label,
        caption="A bar for each cell, as long as its clock ran; before it, a thin line while its"
        " slots started up. Of a cell it is the last attempt."
        f"{inside}{not_shown}",
        drawing=drawing,
        csv=csv_of(data),
        plot={
            "kind": "timeline",
            "controls": [],
            "searchers": looks,
            "size": size,
            "unit": unit,
        },
    )


def _not_shown(results: Results, data: pd.DataFrame) -> str:
    """What is said of cells that have begun and are not drawn."""
    timed = len(timed_cells(results))
    if timed > MOST_CELLS:
        shown = len(data[["task", "searcher", "seed"]].drop_duplicates())
        return f" {shown} of {timed} cells are drawn: what is between them is not all idle."
    rest = int((results.cells["status"] != "missing").sum()) - timed
    return f" {plural(rest, 'cell')} did not say when, or on which slot." if rest else ""


def _looks(searchers: Sequence[str]) -> list[Record]:
    return [{"name": name, "label": name, **look(place)} for place, name in enumerate(searchers)]
