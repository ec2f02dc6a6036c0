"""What each slot ran, and when: from each cell's start, its ledger and its evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hpobench.report.drawing.bars import (
    BOTTOM,
    PALE,
    RIGHT,
    ROW,
    THICK,
    WIDTH,
    searcher_filling,
)
from hpobench.report.drawing.downsampling import rounded
from hpobench.report.drawing.figure import FigureKind, RunFigure
from hpobench.report.drawing.interactive import (
    BAR,
    LIGHT,
    Interactive,
    Trace,
    area_colour,
    bold,
    escaped,
    plot_of,
    rows_layout,
    searcher_area,
    shown,
    told,
)
from hpobench.report.drawing.labels import shortened, text_width
from hpobench.report.drawing.scale import tick_text
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import Looks, StyleName, themed
from hpobench.text import plural

if TYPE_CHECKING:
    from hpobench.results.run import Results

COLUMNS = ("slot", "what", "task", "searcher", "seed", "evaluation", "status", "began", "ended")
MOST_CELLS, MOST_EVALUATIONS = 5000, 1500
"""That are drawn; of more evaluations, none."""

TALLEST, LOWEST_ROW = 7.5, 0.04  # inches
LEGEND_COLUMNS = 6
DIGITS = 7  # of a time: to a second in three months

ROW_PIXELS, LOW_ROW_PIXELS, MANY_SLOTS = 26, 14, 24


def timeline_data(results: Results, at_most: int = MOST_CELLS) -> pd.DataFrame:
    """A row for each span of a slot: "start-up", "cell", or "evaluation" within its cell.

    ``slot``: its slice, with the node if there are several, and its number if a cell has several.
    ``began``, ``ended``: seconds since the first start-up began. A cell's span is that of its
    clock, in its last attempt. A cell that does not say where and when it was is left out. Of more
    than ``at_most`` it is those that were under way at moments evenly spaced.
    """
    cells = timed_cells(results)
    if cells.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    cells = _by_slot(_timed(cells), results.study["width"])
    if len(cells) > at_most:
        cells = _sampled(cells, at_most)
    startups = cells.assign(
        what="start-up", began=cells["began"] - cells["startup"], ended=cells["began"]
    )
    parts = [startups[startups["began"] < startups["ended"]], cells]
    if len(results.evaluations) <= MOST_EVALUATIONS:
        parts.append(_evaluations(results, cells))
    table = pd.concat(parts, ignore_index=True).astype({"evaluation": "Int64"})
    table = table.sort_values(["place", "began"], kind="stable", ignore_index=True)
    return rounded(table[list(COLUMNS)], DIGITS)


def timed_cells(results: Results) -> pd.DataFrame:
    """The cells that say where and when they were."""
    cells = results.cells
    return cells[cells[["slice", "started", "wall"]].notna().all(axis=1)]


def _timed(cells: pd.DataFrame) -> pd.DataFrame:
    """With when they began and ended, and on which slice in words."""
    started = pd.to_datetime(cells["started"], utc=True, format="ISO8601")
    began = (started - started.min()).dt.total_seconds()
    startup = cells["startup"].fillna(0.0)
    began -= (began - startup).min()
    one_node = cells["node"].nunique() <= 1
    where = cells["slice"] if one_node else cells["node"].fillna("?") + ", " + cells["slice"]
    return cells.assign(
        what="cell", startup=startup, began=began, ended=began + cells["wall"], slot=where
    )


def _by_slot(cells: pd.DataFrame, width: int) -> pd.DataFrame:
    """A row for each slot of each cell; ``place``: the slot's among all of them."""
    slots = [cells.assign(number=number) for number in range(width)]
    table = pd.concat(slots, ignore_index=True)
    if width > 1:
        table["slot"] += ", slot " + table["number"].astype(str)
    digits = table["slot"].str.replace(r"\d+", lambda found: found[0].zfill(9), regex=True)
    return table.assign(place=digits.rank(method="dense").astype(int), evaluation=None)


def _sampled(cells: pd.DataFrame, at_most: int) -> pd.DataFrame:
    """The cells that were under way at moments evenly spaced, as many on each slot."""
    slots = [rows.sort_values("began") for _, rows in cells.groupby("place")]
    moments = np.linspace(0.0, float(cells["ended"].max()), max(at_most // len(slots), 2))
    found = []
    for rows in slots:
        last = np.searchsorted(rows["began"], moments, side="right") - 1
        under_way = (last >= 0) & (moments < rows["ended"].to_numpy()[last])
        found.append(rows.iloc[np.unique(last[under_way])])
    return pd.concat(found)


def _evaluations(results: Results, cells: pd.DataFrame) -> pd.DataFrame:
    """Those that say on which slot they were, and from when to when."""
    names = ["cell", "slot", "began", "ended", "evaluation", "status"]
    if not {*names} <= {*results.evaluations.columns}:
        return cells.iloc[:0]
    own = results.evaluations[names].dropna()
    own = own.rename(columns={"slot": "number", "began": "after", "ended": "until"})
    cells = cells.drop(columns=["evaluation", "status"])
    table = own.astype({"number": int}).merge(cells, on=["cell", "number"])
    ended = table["began"] + table["until"]
    return table.assign(what="evaluation", began=table["began"] + table["after"], ended=ended)


def timeline_figure(data: pd.DataFrame, looks: Looks, style: StyleName = "light") -> Figure:
    """A row for each slot: cells, pale where their evaluations are drawn; start-ups as thin lines.

    ``data``: of `timeline_data`; ``looks``: the searchers'.
    """
    with themed(style) as theme:
        slots = list(dict.fromkeys(data["slot"]))
        present = [name for name in looks if (data["searcher"] == name).any()]
        names = [shortened(name) for name in present]
        widest = max(map(text_width, names), default=0.0)
        columns = max(1, min(LEGEND_COLUMNS, int((WIDTH - 0.4) / (0.6 + widest))))
        lines = -(-len(present) // columns)
        figure, axes = _rows(slots, top=0.3 + 0.2 * lines)
        per, unit = unit_of(float(data["ended"].max()))
        row = data["slot"].map({slot: place for place, slot in enumerate(slots)})
        spans = data.assign(row=row, began=data["began"] / per, ended=data["ended"] / per)
        startup = spans[spans["what"] == "start-up"]
        axes.add_patch(_boxes(startup, 0.08, facecolor=theme.faint, lw=0))
        detailed = bool((data["what"] == "evaluation").any())
        for searcher, own in looks.items():
            mine = spans[spans["searcher"] == searcher]
            look = searcher_filling(own, style)
            cells = mine[mine["what"] == "cell"]
            faint = {"alpha": 0.5 * PALE} if detailed else {}
            axes.add_patch(_boxes(cells, THICK, lw=0.6, **look | faint))
            axes.add_patch(_boxes(mine[mine["what"] == "evaluation"], 0.6 * THICK, lw=0, **look))
        axes.set_xlim(0, float(spans["ended"].max()))
        axes.set_xlabel(f"{unit} since the first start-up")
        figure.legend(
            [Patch(lw=0.6, **searcher_filling(looks[name], style)) for name in present],
            names,
            loc="upper left",
            ncols=columns,
            frameon=False,
            fontsize=8,
            labelcolor=theme.text,
            borderaxespad=0.6,
        )
    return figure


def unit_of(seconds: float) -> tuple[float, str]:
    """In what so many seconds are told: how many make one, and its name."""
    for size, name in ((86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 3 * size:
            return size, name
    return 1.0, "seconds"


def _rows(slots: Sequence[str], top: float) -> tuple[Figure, Axes]:
    """As `bars.rows_of_bars`, but closer the more rows there are."""
    shown = [shortened(slot) for slot in slots]
    left = 0.25 + max(map(text_width, shown))
    height = min(ROW * len(slots), max(TALLEST, LOWEST_ROW * len(slots)))
    total = top + height + BOTTOM
    figure = Figure(figsize=(WIDTH, total))
    box = (left / WIDTH, BOTTOM / total, (WIDTH - left - RIGHT) / WIDTH, height / total)
    axes = figure.add_axes(box, label="timeline")
    axes.set_ylim(len(slots) - 0.5, -0.5)
    every = math.ceil(0.16 * len(slots) / height)
    axes.set_yticks(range(0, len(slots), every), shown[::every])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick_text(x)))
    return figure, axes


def _boxes(spans: pd.DataFrame, thick: float, **look: Any) -> PathPatch:
    """All spans as one shape."""
    began, ended, row = (spans[name].to_numpy(float) for name in ("began", "ended", "row"))
    low, high = row - thick / 2, row + thick / 2
    corners = np.array([[began, low], [ended, low], [ended, high], [began, high], [began, low]])
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    points = corners.transpose(2, 0, 1).reshape(-1, 2)
    return PathPatch(Path(points, codes * len(spans)), **look)


def timeline_plot(data: pd.DataFrame, looks: Looks) -> Interactive:
    """The same rows; a reader can hide searchers, and is told what a span was.

    Args:
        data: Of `timeline_data`.
        looks: The searchers'.
    """
    slots = tuple(dict.fromkeys(data["slot"]))
    per, unit = unit_of(float(data["ended"].max()))
    detailed = bool((data["what"] == "evaluation").any())
    bars: dict[str, tuple[float, float]] = {  # their thickness and that of their edge
        "start-up": (0.1, 0),
        "cell": (0.7, 0.6),
        "evaluation": (0.44, 0),
    }
    traces = []
    for what, (thick, edge) in bars.items():
        for searcher, own in looks.items():
            spans = data[(data["what"] == what) & (data["searcher"] == searcher)]
            if len(spans):
                faint = what == "cell" and detailed
                colour = area_colour(own, 0.3 if faint else 1.0)
                colour = LIGHT.faint if what == "start-up" else colour
                look = {"color": colour, "line": {"width": edge, "color": colour}}
                bar = BAR | {"width": thick, "marker": look, "meta": shown(searcher)}
                traces.append(bar | _spans(spans, per, unit))
    row = LOW_ROW_PIXELS if len(slots) > MANY_SLOTS else ROW_PIXELS
    rest = 70 + (row if len(slots) == 1 else 0)  # a single row looks lost without room
    ended = float(data["ended"].max()) / per
    axis = {"title": {"text": f"{unit} since the first start-up"}, "range": [0, ended]}
    present = set(data["searcher"])
    return Interactive(
        plot_of(traces, rows_layout(rest, row) | {"barmode": "overlay", "xaxis": axis}),
        legend=tuple(searcher_area(own, name, name in present) for name, own in looks.items()),
        rows=slots,
    )


def _spans(spans: pd.DataFrame, per: float, unit: str) -> Trace:
    """Where they are and what is said of them; ``per``: seconds that make one ``unit``."""
    began, ended = spans["began"] / per, spans["ended"] / per
    names = ("searcher", "task", "seed", "what", "evaluation", "status", "slot")
    columns = (spans[name] for name in names)
    text = []
    for searcher, task, seed, what, evaluation, status, slot, begin, end in zip(
        *columns, began, ended, strict=True
    ):
        what_of_it = {
            "start-up": "start-up",
            "cell": f"cell, {status}",
            "evaluation": f"evaluation {evaluation}, {status}",
        }[what]
        text.append(
            f"{bold(searcher)}, {escaped(task)}, seed {seed}<br>{what_of_it}<br>"
            f"{escaped(slot)}, {unit} {told(begin)} to {told(end)}"
        )
    lengths = (ended - began).tolist()
    return {"base": began.tolist(), "x": lengths, "y": spans["slot"].tolist(), "text": text}


def timeline_figures(source: FigureSource) -> list[RunFigure]:
    """One, where any cell says when it was, and on which slot."""
    data = timeline_data(source.results)
    if data.empty:
        return []
    return [_timeline(data, source.looks, _not_shown(source.results, data))]


TIMELINE = FigureKind(timeline_figures, name="timeline", section="timeline")


def _timeline(data: pd.DataFrame, looks: Looks, not_shown: str) -> RunFigure:
    inside = " Inside are its evaluations." if (data["what"] == "evaluation").any() else ""
    return RunFigure(
        section="timeline",
        heading="",
        name="timeline",
        label="Figure: what each slot ran, and when",
        caption="A bar for each cell, as long as its clock ran; before it, a thin line while its"
        f" slots started up. Of a cell it is the last attempt.{inside}{not_shown}",
        data=data,
        static=partial(timeline_figure, data, looks),
        interactive=partial(timeline_plot, data, looks),
    )


def _not_shown(results: Results, data: pd.DataFrame) -> str:
    """What is said of cells that have begun and are not drawn."""
    timed = len(timed_cells(results))
    if timed > MOST_CELLS:
        drawn = len(data[["task", "searcher", "seed"]].drop_duplicates())
        return f" {drawn} of {timed} cells are drawn: what is between them is not all idle."
    rest = int((results.cells["status"] != "missing").sum()) - timed
    return f" {plural(rest, 'cell')} did not say when, or on which slot." if rest else ""
