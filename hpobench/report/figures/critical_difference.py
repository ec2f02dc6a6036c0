"""Critical difference diagram: mean ranks over tasks and seeds, and who is not set apart.

After Demšar, "Statistical comparisons of classifiers over multiple data sets", 2006, but with
pairwise tests; see `hpobench.statistics.ranks`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from hpobench.report.drawing.bars import WIDTH, shortened
from hpobench.report.drawing.downsampling import rounded
from hpobench.report.drawing.labels import text_width
from hpobench.report.drawing.scale import tick_text
from hpobench.report.drawing.style import StyleName, line_style, themed
from hpobench.results.flat_curves import FlatCurves
from hpobench.statistics.ranks import CriticalDifference, critical_difference
from hpobench.text import number

COLUMNS = ("line", "searcher", "other", "group", "rank", "p")
MOST_WORK = 2e9
"""Additions of exact tests, which take about blocks³ for a pair: some seconds."""

MOST_GROUPS = 12
"""Drawn; the data have all."""

LABEL, GROUP = 0.24, 0.13  # inches, from one line to the next
TOP, BOTTOM = 0.62, 0.12


@dataclass(frozen=True)
class Standing:
    """``averaged``: a block is a task, of which it has the mean over seeds; else it has a seed."""

    found: CriticalDifference
    averaged: bool


def standing_of(curves: FlatCurves) -> Standing | None:
    """By what the cells ended with; None for fewer than two blocks of two searchers.

    Of a study so large that exact tests would take long, each task is averaged over its seeds.
    """
    blocks, seeds = curves.blocks()
    pairs = math.comb(blocks.shape[1], 2)
    averaged = len(blocks) ** 3 * pairs > MOST_WORK
    groups: NDArray[np.int64] | None = seeds
    if averaged:
        blocks, groups = curves.finals(curves.values).mean(axis=2), None
    if len(blocks) < 2 or not pairs:
        return None
    return Standing(critical_difference(blocks, groups), averaged)


def few_blocks(found: CriticalDifference) -> str:
    """What is said where there are too few of them; else nothing."""
    if found.groups >= found.fewest_groups:
        return ""
    what = "blocks" if found.groups == found.blocks else "seeds"
    return (
        f"{found.groups} {what} set no two of {len(found.mean_ranks)} searchers apart, whatever the"
        f" values: it takes at least {found.fewest_groups}"
    )


def critical_difference_data(found: CriticalDifference, searchers: Sequence[str]) -> pd.DataFrame:
    """A "searcher" row for each with its mean rank, in order of it; a "group" row for each member
    of each set of searchers that are not set apart; a "pair" row with the adjusted p of each two.
    """
    order = np.argsort(found.mean_ranks, kind="stable").tolist()
    ranks = dict(zip(searchers, found.mean_ranks.tolist(), strict=True))
    rows: list[tuple[object, ...]] = [
        ("searcher", searchers[i], None, None, ranks[searchers[i]], None) for i in order
    ]
    for group, members in enumerate(found.cliques, start=1):
        rows += [
            ("group", name, None, group, ranks[name], None) for name in _names(members, searchers)
        ]
    for i, j in itertools.combinations(order, 2):
        rows.append(("pair", searchers[i], searchers[j], None, None, found.p_values[i, j]))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return rounded(table.astype({"group": "Int64", "rank": float, "p": float}))


def critical_difference_figure(
    data: pd.DataFrame, searchers: Sequence[str], note: str = "", style: StyleName = "light"
) -> Figure:
    """Names on both sides of an axis of mean ranks, the lowest on the left; bars join groups.

    A dot marks each member of a group: one whose rank lies between may be set apart. ``data``: of
    `critical_difference_data`; ``searchers``: the study's, which decide how they look; ``note``:
    what stands below.
    """
    with themed(style) as theme:
        ranked = data[data["line"] == "searcher"]
        names, ranks = ranked["searcher"].tolist(), ranked["rank"].tolist()
        groups = [
            rows["rank"].tolist() for _, rows in data[data["line"] == "group"].groupby("group")
        ]
        left = (len(names) + 1) // 2
        shown = [
            f"{shortened(name)}  {number(rank)}" for name, rank in zip(names, ranks, strict=True)
        ]
        margin = 0.45 + max(map(text_width, shown), default=0.0)
        bars = min(len(groups), MOST_GROUPS)
        height = 0.2 + GROUP * bars + LABEL * left
        bottom = BOTTOM + (LABEL if note else 0.0)
        total = TOP + height + bottom
        figure = Figure(figsize=(WIDTH, total))
        box = (margin / WIDTH, bottom / total, (WIDTH - 2 * margin) / WIDTH, height / total)
        axes = figure.add_axes(box, label="critical difference")
        axes.set_xlim(0.8, len(names) + 0.2)
        axes.set_ylim(height, 0)
        _rank_axis(axes)
        figure.text(0.5, 0.06 / total, note, ha="center", va="bottom", color=theme.faint)
        for place, group in enumerate(groups[:MOST_GROUPS]):
            y = 0.14 + GROUP * place
            axes.plot(
                [group[0], group[-1]], [y, y], color=theme.text, lw=2.2, solid_capstyle="round"
            )
            axes.plot(group, [y] * len(group), "o", color=theme.text, ms=4)
        for place, (name, rank) in enumerate(zip(names, ranks, strict=True)):
            on_left = place < left
            row = place if on_left else len(names) - 1 - place
            y = 0.2 + GROUP * bars + LABEL * (row + 0.5)
            side = 0.0 if on_left else 1.0
            edge = axes.get_xlim()[0 if on_left else 1]
            look = line_style(searchers.index(name), style)
            axes.plot([rank, rank, edge], [0, y, y], color=look.colour, lw=1.0, clip_on=False)
            axes.plot([rank], [0], clip_on=False, zorder=5, **look.points(5))
            axes.annotate(
                shown[place],
                (side, y),
                xycoords=("axes fraction", "data"),
                xytext=(-5 if on_left else 5, 0),
                textcoords="offset points",
                ha="right" if on_left else "left",
                va="center",
                color=theme.text,
            )
    return figure


def _names(places: Sequence[int], searchers: Sequence[str]) -> list[str]:
    return [searchers[place] for place in places]


def _rank_axis(axes: Axes) -> None:
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.spines["top"].set_visible(True)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick_text(x)))
    axes.set_xlabel("mean rank, 1 is best; a bar joins those that are not set apart", labelpad=6)
