"""Critical difference diagram: mean ranks over tasks and seeds, and who is not set apart.

After Demšar, "Statistical comparisons of classifiers over multiple data sets", 2006, but with
pairwise tests; see `hpobench.statistics.ranks`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from hpobench.report.drawing.bars import WIDTH
from hpobench.report.drawing.downsampling import rounded
from hpobench.report.drawing.figure import FigureKind, RunFigure
from hpobench.report.drawing.interactive import (
    HOVER,
    LIGHT,
    Interactive,
    Trace,
    aside_layout,
    bold,
    escaped,
    line_colour,
    plot_of,
    rows_layout,
    searcher_entry,
    shown,
    told,
)
from hpobench.report.drawing.labels import shortened, text_width
from hpobench.report.drawing.scale import tick_text
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import PLOTLY_MARKERS, Look, Looks, StyleName, line_style, themed
from hpobench.results.flat_curves import FlatCurves
from hpobench.statistics.ranks import CriticalDifference, critical_difference
from hpobench.text import number, plural

COLUMNS = ("line", "searcher", "other", "group", "rank", "p")
MOST_WORK = 2e9
"""Additions of exact tests, which take about blocks³ for a pair: some seconds."""

MOST_GROUPS = 12
"""Drawn; the data have all."""

MOST_STRETCHES = 8
"""Between the ticks of an axis that is narrow on a small screen."""

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
        f"by ranks, {found.groups} {what} set no two of {len(found.mean_ranks)} searchers apart,"
        f" whatever the values: that takes at least {found.fewest_groups}"
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
    data: pd.DataFrame, looks: Looks, note: str = "", style: StyleName = "light"
) -> Figure:
    """Names on both sides of an axis of mean ranks, the lowest on the left; bars join groups.

    A dot marks each member of a group: one whose rank lies between may be set apart. ``data``: of
    `critical_difference_data`; ``looks``: the searchers'; ``note``: what stands below.
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
            look = line_style(looks[name], style)
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


def critical_difference_plot(data: pd.DataFrame, looks: Looks) -> Interactive:
    """A row for each searcher at its mean rank; at the right, a line for each group.

    Args:
        data: Of `critical_difference_data`.
        looks: The searchers'.
    """
    ranked = data[data["line"] == "searcher"]
    names, ranks = ranked["searcher"].tolist(), ranked["rank"].tolist()
    members = data[data["line"] == "group"].groupby("group")
    groups = [rows["searcher"].tolist() for _, rows in members][:MOST_GROUPS]
    p_values = _p_values(data)
    begin, end = 1 - 0.03 * len(names), len(names) + 0.1
    traces: list[Trace] = []
    for name, rank in zip(names, ranks, strict=True):
        traces += _rank_traces(name, rank, p_values[name], begin, looks[name])
    traces += [_group_trace(str(number), group) for number, group in enumerate(groups, start=1)]
    heading = "mean rank, 1 is best"
    if groups:
        heading += "; at the right, a line joins those that are not set apart"
    few_ticks = {"tick0": 1, "dtick": math.ceil((len(names) - 1) / MOST_STRETCHES), "tickangle": 0}
    axis = {"title": {"text": "mean rank"}, "range": [begin, end], "fixedrange": True, **few_ticks}
    rows, aside = rows_layout(110), aside_layout()
    layout = {**rows, **aside, "meta": {**rows["meta"], **aside["meta"]}}
    return Interactive(
        plot_of(traces, {**layout, "title": {"text": heading}, "xaxis": axis}),
        legend=tuple(searcher_entry(look, name) for name, look in looks.items()),
        rows=tuple(names),
    )


def _p_values(data: pd.DataFrame) -> dict[str, dict[str, float]]:
    """By searcher, the adjusted p against each other, in order of mean rank."""
    names = data.loc[data["line"] == "searcher", "searcher"].tolist()
    of_pair: dict[tuple[str, str], float] = {}
    for row in data[data["line"] == "pair"].to_dict("records"):
        one, other = row["searcher"], row["other"]
        of_pair[one, other] = of_pair[other, one] = row["p"]
    return {
        name: {other: of_pair[name, other] for other in names if other != name} for name in names
    }


def _rank_traces(
    name: str, rank: float, p_values: dict[str, float], begin: float, look: Look
) -> list[Trace]:
    """A stem from the axis' begin to a mean rank, and the searcher's mark there."""
    colour = line_colour(look)
    lines = [[None, f"{bold(name)}, mean rank {told(rank)}"]]
    lines += [[other, f"p = {told(p)} against {escaped(other)}"] for other, p in p_values.items()]
    stem: Trace = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
    stem |= {"x": [begin, rank], "y": [name, name], "line": {"width": 1.5, "color": colour}}
    symbol = PLOTLY_MARKERS[look.marker]
    dot: Trace = {"type": "scatter", "mode": "markers", "hovertemplate": HOVER, "x": [rank]}
    dot |= {"y": [name], "cliponaxis": False, "meta": shown(name, lines=[lines])}
    dot |= {"marker": {"size": 9, "color": colour, "symbol": symbol}}
    return [stem | {"meta": shown(name)}, dot]


def _group_trace(column: str, names: Sequence[str]) -> Trace:
    """A line beside the rows of searchers that are not set apart; two or more of them."""
    lines = [[None, "not set apart:"], *([name, escaped(name)] for name in names)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "hovertemplate": HOVER,
        "x": [column] * len(names),
        "y": list(names),
        "xaxis": "x2",
        "line": {"width": 3, "color": LIGHT.text},
        "marker": {"size": 7, "color": LIGHT.text},
        "meta": shown(each=list(names), fewest=2, lines=[lines] * len(names)),
    }


def critical_difference_figures(source: FigureSource) -> list[RunFigure]:
    """One, of two blocks of two searchers or more."""
    standing = standing_of(source.curves)
    return [_critical_difference(standing, source.looks)] if standing else []


CRITICAL_DIFFERENCE = FigureKind(
    critical_difference_figures, name="critical-difference", section="across"
)


def _critical_difference(standing: Standing, looks: Looks) -> RunFigure:
    data = critical_difference_data(standing.found, tuple(looks))
    return RunFigure(
        section="across",
        heading="Critical difference",
        name="critical-difference",
        label="Figure: critical difference of mean ranks, over all tasks and seeds",
        caption=_caption(standing),
        data=data,
        static=partial(critical_difference_figure, data, looks, few_blocks(standing.found)),
        interactive=partial(critical_difference_plot, data, looks),
    )


def _caption(standing: Standing) -> str:
    found = standing.found
    if standing.averaged:
        blocks = f"{plural(found.blocks, 'task')}, of each the mean over its seeds"
    else:
        blocks = f"{found.blocks} blocks, a task with a seed each"
    together = "; the blocks of a seed count together" if found.groups < found.blocks else ""
    p = found.friedman.p_value
    caption = (
        f"Mean ranks over {blocks}: 1 is the lowest. A line joins a group of which no two are set"
        f" apart by the signed-rank test, at 5 % for all pairs together (Holm){together}; a dot"
        f" marks each member. That all rank alike has p"
        f" {'< 0.001' if p < 0.001 else f'= {number(p, 2)}'} (Friedman, each block by itself)."
    )
    if few_blocks(found):
        caption += f" But {few_blocks(found)}."
    missing = int(found.missing.sum())
    if missing:
        caption += f" {plural(missing, 'missing value')} ranked last."
    if len(found.cliques) > MOST_GROUPS:
        caption += f" Of {len(found.cliques)} groups the first {MOST_GROUPS} are drawn."
    return caption
