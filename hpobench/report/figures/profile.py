"""Performance profiles: the share of cells whose final regret is at or below each level."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from hpobench.report.drawing.downsampling import MOST_STEPS, rounded
from hpobench.report.drawing.figure import FigureKind, RunFigure
from hpobench.report.drawing.interactive import (
    SCALES,
    Control,
    Interactive,
    Layout,
    Trace,
    band,
    bold,
    faded,
    held,
    line_colour,
    line_look,
    log_axis,
    plot_of,
    searcher_entry,
    shown,
    told,
)
from hpobench.report.drawing.labels import Entry, draw_labels, height_of, width_of
from hpobench.report.drawing.regret_table import steps_for
from hpobench.report.drawing.scale import log_ticks, tick_text
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import Looks, StyleName, line_style, themed
from hpobench.results.flat_curves import FlatCurves
from hpobench.statistics.curves import FEWEST_SEEDS_FOR_A_BAND, Array
from hpobench.statistics.profiles import performance_profile
from hpobench.text import plural

if TYPE_CHECKING:
    from hpobench.results.run import Results

COLUMNS = ("searcher", "level", "share", "low", "high", "cells", "missing")
LOWEST = 0.1
"""Per cent of the default's regret: no log axis begins lower."""

PAGE_STEPS = 10_000
"""Steps of profiles on a page."""

FEW = 4
"""Searchers whose bands can be told apart."""


def profile_data(results: Results, curves: FlatCurves, at_most: int = MOST_STEPS) -> pd.DataFrame:
    """Rows for each searcher, at every level at which its share steps, at most ``at_most``.

    ``level``: of final regret, in % of the default's; the first is the lowest of all searchers, and
    the last the highest. ``share``: of its cells at or below, with its 95 % interval; a cell that
    is not complete is above every level. No rows where no normalised regret is known.
    """
    finals = curves.finals(curves.normalised)[curves.normalised_tasks()]
    known = finals[~np.isnan(finals)]
    if not len(known):
        return pd.DataFrame(columns=list(COLUMNS))
    values = dict(zip(results.searchers, finals.swapaxes(0, 1), strict=True))
    parts = []
    for searcher, of_searcher in values.items():
        own = np.unique(of_searcher[~np.isnan(of_searcher)])
        kept = np.unique(np.linspace(0, len(own) - 1, min(len(own), at_most)).round().astype(int))
        levels = np.unique([known.min(), *own[kept], known.max()])
        profile = performance_profile(of_searcher, levels)
        parts.append(
            pd.DataFrame(
                {
                    "searcher": searcher,
                    "level": 100 * levels,
                    "share": profile.share,
                    "low": profile.low,
                    "high": profile.high,
                    "cells": profile.n,
                    "missing": profile.missing,
                }
            )
        )
    return rounded(pd.concat(parts, ignore_index=True))


def log_span(data: pd.DataFrame) -> tuple[float, float]:
    """Where a log axis of levels begins and ends."""
    positive = data.loc[data["level"] > 0, "level"]
    begin = max(LOWEST, 0.8 * float(positive.min())) if len(positive) else LOWEST
    return min(begin, 50.0), max(1.1 * float(data["level"].max()), 110.0)


def profile_figure(data: pd.DataFrame, looks: Looks, style: StyleName = "light") -> Figure:
    """Higher is better. Bands are drawn of few searchers alone.

    ``data``: of `profile_data`; ``looks``: the searchers'.
    """
    with themed(style) as theme:
        begin, end = log_span(data)
        steps = {str(name): _steps(rows, begin, end) for name, rows in data.groupby("searcher")}
        entries = []
        for searcher, own in looks.items():
            ends = (float(steps[searcher]["share"][-1]),) if searcher in steps else ()
            text = theme.text if ends else theme.faint
            look = line_style(own, style)
            entries.append(Entry(searcher, ends, look.line(1.7), None, text))
        width, height = 8.8 - 0.75 - width_of(entries), max(2.2, height_of(entries))
        total = height + 1.2
        figure = Figure(figsize=(8.8, total))
        box = (0.75 / 8.8, 0.6 / total, width / 8.8, height / total)
        axes = figure.add_axes(box, label="performance profile")
        axes.set_xscale("log")
        axes.set_xlim(begin, end)
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_locator(FixedLocator(log_ticks(begin, end)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick_text(x)))
        axes.set_xlabel("final regret, % of the default's")
        axes.set_title(
            "share of cells at or below, higher is better", loc="left", fontsize=9, pad=8
        )
        for searcher, own in looks.items():
            if searcher not in steps:
                continue
            mine, look = steps[searcher], line_style(own, style)
            if _banded(data) and len(steps) <= FEW:
                between = (mine["low"], mine["high"])
                shade: dict[str, Any] = {"color": look.colour, "alpha": 0.12, "lw": 0}
                axes.fill_between(mine["level"], *between, step="post", **shade)
            axes.plot(mine["level"], mine["share"], drawstyle="steps-post", **look.line(1.7))
        draw_labels(axes, entries, end, (width, height))
    return figure


def _steps(rows: pd.DataFrame, begin: float, end: float) -> dict[str, Array]:
    """One searcher's steps from the axis' begin to its end."""
    before = rows[rows["level"] <= begin].tail(1)
    inside = rows[(rows["level"] > begin) & (rows["level"] <= end)]
    found = {"level": np.array([begin, *inside["level"], end])}
    for name in ("share", "low", "high"):
        first = (
            float(before[name].iloc[0]) if len(before) else (0.0 if name != "high" else math.nan)
        )
        values = [first, *inside[name]]
        found[name] = np.array([*values, values[-1]])
    return found


def profile_plot(data: pd.DataFrame, looks: Looks) -> Interactive:
    """Higher is better. Bands are drawn while few searchers are shown.

    Args:
        data: Of `profile_data`.
        looks: The searchers'.
    """
    log, linear = log_span(data), _linear_span(data)
    bands: list[Trace] = []
    lines: list[Trace] = []
    for searcher, own in looks.items():
        rows = data[data["searcher"] == searcher]
        for scale, (begin, end) in {"log": log, "linear": linear}.items():
            steps, when = _from(rows, begin), {"across": scale}
            levels = [*steps["level"].clip(lower=begin), end]
            if _banded(data):
                low, high = (held(steps[name].tolist()) for name in ("low", "high"))
                meta = shown(searcher, when, most=FEW)
                bands += band(levels, low, high, faded(line_colour(own), 0.12), meta)
            look = line_look(own, 2.0)
            look["marker"] |= {"maxdisplayed": 6}
            points = {"x": levels, "y": held(steps["share"].tolist()), "text": held(_texts(steps))}
            lines.append(look | points | {"meta": shown(searcher, when)})
    layouts: list[Layout] = [
        ({"across": "log"}, {"xaxis": log_axis(*log)}),
        ({"across": "linear"}, {"xaxis": {"type": "linear", "range": [*linear]}}),
    ]
    layout = {
        "title": {"text": "share of cells at or below a regret, higher is better"},
        "xaxis": {"title": {"text": "final regret, % of the default's"}},
        "yaxis": {"range": [0, 1.02], "tickformat": ".0%"},
    }
    return Interactive(
        plot_of([*bands, *lines], layout),
        (Control("across", "horizontal", SCALES, "log"),),
        tuple(searcher_entry(own, name) for name, own in looks.items()),
        tuple(layouts),
    )


def _linear_span(data: pd.DataFrame) -> tuple[float, float]:
    """Where a linear axis of levels begins and ends: around the reference's and the default's."""
    lowest, highest = min(0.0, data["level"].min()), max(100.0, data["level"].max())
    return lowest, highest + 0.05 * (highest - lowest)


def _from(rows: pd.DataFrame, begin: float) -> pd.DataFrame:
    """One searcher's steps from that on which holds where an axis begins."""
    before = int((rows["level"] <= begin).sum())
    return rows.iloc[max(before - 1, 0) :]


def _texts(steps: pd.DataFrame) -> list[str]:
    columns = (steps[name] for name in ("searcher", "cells", "level", "share", "low", "high"))
    return [
        f"{bold(searcher)}<br>{_percent(share)} of {cells} cells at or below {told(level)} %"
        f"<br>95 % interval {_percent(low)} to {_percent(high)}"
        for searcher, cells, level, share, low, high in zip(*columns, strict=True)
    ]


def _percent(share: float) -> str:
    return f"{told(100 * share)} %"


def _banded(data: pd.DataFrame) -> bool:
    """Whether each searcher has cells enough for an interval."""
    return bool(data["cells"].min() >= FEWEST_SEEDS_FOR_A_BAND)


def profile_figures(source: FigureSource) -> list[RunFigure]:
    """One, where a normalised regret is known."""
    at_most = steps_for(len(source.searchers), PAGE_STEPS)
    data = profile_data(source.results, source.curves, at_most)
    return [_profile(data, source.looks)] if len(data) else []


PROFILE = FigureKind(profile_figures, name="performance-profile", section="across")


def _profile(data: pd.DataFrame, looks: Looks) -> RunFigure:
    counts = data.drop_duplicates("searcher")
    missing = int(counts["missing"].sum())
    bands = f" Bands, of up to {FEW} searchers, are 95 % intervals, at each level by itself."
    gone = f" {plural(missing, 'cell')} not complete: above every level."
    return RunFigure(
        section="across",
        heading="Performance profile",
        name="performance-profile",
        label="Figure: performance profile, over all tasks and seeds",
        caption=f"The share of each searcher's {plural(int(counts['cells'].iloc[0]), 'cell')} that"
        " ended at or below a regret, in % of the default's (100 is the default, 0 the reference):"
        f" the higher the better.{bands if _banded(data) else ''} On a log axis, what is lower than"
        f" its left end counts there.{gone if missing else ''}",
        data=data,
        static=partial(profile_figure, data, looks),
        interactive=partial(profile_plot, data, looks),
    )
