"""Performance profiles: the share of cells whose final regret is at or below each level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from hpobench.report.drawing.downsampling import MOST_STEPS, rounded
from hpobench.report.drawing.labels import Entry, draw_labels, height_of, width_of
from hpobench.report.drawing.scale import log_ticks, tick_text
from hpobench.report.drawing.style import StyleName, line_style, themed
from hpobench.results.flat_curves import FlatCurves
from hpobench.statistics.curves import FEWEST_SEEDS_FOR_A_BAND, Array
from hpobench.statistics.profiles import performance_profile

if TYPE_CHECKING:
    from hpobench.results.run import Results

COLUMNS = ("searcher", "level", "share", "low", "high", "cells", "missing")
LOWEST = 0.1
"""Per cent of the default's regret: no log axis begins lower."""

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


def profile_figure(
    data: pd.DataFrame, searchers: Sequence[str], style: StyleName = "light"
) -> Figure:
    """Higher is better. Bands are drawn of few searchers alone.

    ``data``: of `profile_data`; ``searchers``: the study's, which decide how they look.
    """
    with themed(style) as theme:
        begin, end = log_span(data)
        banded = data["cells"].min() >= FEWEST_SEEDS_FOR_A_BAND
        steps = {str(name): _steps(rows, begin, end) for name, rows in data.groupby("searcher")}
        entries = []
        for place, searcher in enumerate(searchers):
            ends = (float(steps[searcher]["share"][-1]),) if searcher in steps else ()
            text = theme.text if ends else theme.faint
            look = line_style(place, style)
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
        for place, searcher in enumerate(searchers):
            if searcher not in steps:
                continue
            mine, look = steps[searcher], line_style(place, style)
            if banded and len(steps) <= FEW:
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
