"""The most memory that one slot of each searcher needed, as bars."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from hpobench.report.drawing.bars import THICK, rows_of_bars, searcher_filling
from hpobench.report.drawing.downsampling import rounded
from hpobench.report.drawing.figure import FigureKind, RunFigure
from hpobench.report.drawing.interactive import (
    BAR,
    HOVER,
    LIGHT,
    Control,
    Interactive,
    Trace,
    bold,
    escaped,
    faded,
    line_colour,
    plot_of,
    rows_layout,
    searcher_entry,
    shown,
    told,
)
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import Look, Looks, StyleName, themed

if TYPE_CHECKING:
    from hpobench.results.run import Results

COLUMNS = ("task", "searcher", "seed", "host_mib", "device_mib")
MIB = 2**20


def memory_data(results: Results) -> pd.DataFrame:
    """A row for each cell of which it is known: MiB on the host, and on a GPU where one was used.

    Cells are in the order of the study's searchers.
    """
    cells = results.cells[results.cells["host_memory"].notna()]
    place = cells["searcher"].map({name: i for i, name in enumerate(results.searchers)})
    cells = cells.assign(
        place=place, host_mib=cells["host_memory"] / MIB, device_mib=cells["device_memory"] / MIB
    ).sort_values(["place", "task", "seed"], kind="stable")
    return rounded(cells[list(COLUMNS)].reset_index(drop=True))


def memory_figure(data: pd.DataFrame, looks: Looks, style: StyleName = "light") -> Figure:
    """The most over a searcher's cells, on the host and beside it on a GPU.

    ``data``: of `memory_data`; ``looks``: the searchers'.
    """
    with themed(style):
        most = data.groupby("searcher", sort=False)[["host_mib", "device_mib"]].max()
        columns = ["host_mib", *(["device_mib"] if most["device_mib"].notna().any() else [])]
        figure, panels = rows_of_bars([str(name) for name in most.index], len(columns), top=0.35)
        words = {"host_mib": "host: MiB, peak of a slot", "device_mib": "GPU: MiB, peak of a slot"}
        for axes, name in zip(panels, columns, strict=True):
            bars = most[name].fillna(0.0).items()
            for row, (searcher, amount) in enumerate(bars):
                look = searcher_filling(looks[str(searcher)], style)
                axes.barh(row, amount, THICK, **look)
            axes.set_xlabel(words[name])
    return figure


def memory_plot(data: pd.DataFrame, looks: Looks) -> Interactive:
    """A bar for the most over a searcher's cells and a stroke for each, on the host or on a GPU.

    Args:
        data: Of `memory_data`.
        looks: The searchers'.
    """
    of_host, of_gpu = ("host_mib", "host"), ("device_mib", "GPU")
    places = (of_host, of_gpu) if data["device_mib"].notna().any() else (of_host,)
    traces: list[Trace] = []
    for searcher, look in looks.items():
        for column, _ in places:
            cells = data[(data["searcher"] == searcher) & data[column].notna()]
            if len(cells):
                traces += _traces(cells, searcher, look, column)
    present = set(data["searcher"])
    axis = {"title": {"text": "MiB, peak of a slot"}, "rangemode": "tozero"}
    return Interactive(
        plot_of(traces, rows_layout(90) | {"xaxis": axis}),
        (Control("where", "memory of the", places, "host_mib"),),
        tuple(searcher_entry(look, name, drawn=name in present) for name, look in looks.items()),
    )


def _traces(cells: pd.DataFrame, searcher: str, own: Look, column: str) -> list[Trace]:
    """A searcher's bar, and over it a stroke for each of its cells; ``column``: what is shown."""
    meta, colour = shown(searcher, {"where": column}), line_colour(own)
    amounts, most = cells[column].tolist(), float(cells[column].max())
    look = {"color": faded(colour, 0.5), "line": {"width": 1.2, "color": colour}}
    at_most = f"{bold(searcher)}<br>at most {told(most)} MiB"
    bar: Trace = BAR | {"x": [most], "y": [searcher], "text": [at_most], "marker": look}
    text = [
        f"{bold(searcher)}, {escaped(task)}, seed {seed}<br>{told(amount)} MiB"
        for task, seed, amount in zip(cells["task"], cells["seed"], amounts, strict=True)
    ]
    strokes: Trace = {"x": amounts, "y": [searcher] * len(amounts), "text": text}
    strokes |= {"type": "scatter", "mode": "markers", "hovertemplate": HOVER}
    strokes |= {"marker": {"symbol": "line-ns-open", "size": 10, "color": LIGHT.text}}
    return [bar | {"meta": meta}, strokes | {"meta": meta}]


def memory_figures(source: FigureSource) -> list[RunFigure]:
    """One, where it is known of any cell."""
    data = memory_data(source.results)
    return [_memory(data, source.looks)] if len(data) else []


MEMORY = FigureKind(memory_figures, of_large_runs=True, name="memory", section="memory")


def _memory(data: pd.DataFrame, looks: Looks) -> RunFigure:
    label = "Figure: peak memory of a slot, by searcher"
    return RunFigure(
        section="memory",
        heading="",
        name="memory",
        label=label,
        caption="The most memory that a slot needed: a bar for the most over a searcher's cells,"
        " and with scripts a stroke for each.",
        data=data,
        static=partial(memory_figure, data, looks),
        interactive=partial(memory_plot, data, looks),
        spoken=f"{label}; the summary has the numbers",
    )
