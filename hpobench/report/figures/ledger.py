"""Where the slot-seconds of each searcher went, as stacked bars."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hpobench.report.drawing.bars import THICK, filling, rows_of_bars
from hpobench.report.drawing.downsampling import rounded
from hpobench.report.drawing.figure import FigureKind, RunFigure
from hpobench.report.drawing.interactive import (
    BAR,
    Control,
    Interactive,
    Layout,
    bold,
    part_colours,
    part_entry,
    plot_of,
    rows_layout,
    shown,
    told,
)
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import StyleName, themed
from hpobench.report.tables.ledger import MEANING
from hpobench.results.schema import PARTS

if TYPE_CHECKING:
    from hpobench.results.run import Results

COLUMNS = ("searcher", "part", "slot_seconds", "share")


def ledger_data(results: Results) -> pd.DataFrame:
    """A row for each searcher that has a ledger and each part that took time, in order.

    ``slot_seconds``: over all of its cells with a ledger; ``share``: of their slots × wall.
    """
    cells = results.cells[results.cells["wall"].notna()]
    parts = [part for part in PARTS if (cells[part] > 0).any()]
    rows = []
    for searcher in results.searchers:
        mine = cells[cells["searcher"] == searcher]
        total = float((mine["wall"] * mine["slots"]).sum())
        if total:
            spent = {part: float(mine[part].sum()) for part in parts}
            rows += [(searcher, part, took, took / total) for part, took in spent.items()]
    return rounded(pd.DataFrame(rows, columns=list(COLUMNS)))


def ledger_figure(data: pd.DataFrame, style: StyleName = "light") -> Figure:
    """Shares of the slot-seconds, a bar for each searcher; ``data``: of `ledger_data`."""
    with themed(style) as theme:
        searchers, parts = (list(dict.fromkeys(data[name])) for name in ("searcher", "part"))
        legend_rows = -(-len(parts) // 6)
        figure, (axes,) = rows_of_bars(searchers, top=0.55 + 0.2 * legend_rows)
        shares = data.pivot(index="searcher", columns="part", values="share").fillna(0.0)
        start = pd.Series(0.0, index=searchers)
        for place, part in enumerate(parts):
            share = shares.loc[searchers, part]
            look = filling(place, style)
            axes.barh(range(len(searchers)), 100 * share, THICK, 100 * start, lw=0.6, **look)
            start = start + share
        axes.set_xlim(0, 100 * max(1.0, float(start.max())))
        axes.set_xlabel("share of the slot-seconds, %")
        figure.legend(
            [Patch(lw=0.6, **filling(place, style)) for place in range(len(parts))],
            parts,
            loc="upper left",
            ncols=6,
            frameon=False,
            fontsize=8,
            labelcolor=theme.text,
            borderaxespad=0.6,
        )
    return figure


def ledger_plot(data: pd.DataFrame) -> Interactive:
    """The same bars, of shares or of slot-seconds; a reader can hide parts of them."""
    parts = list(dict.fromkeys(data["part"]))
    traces = []
    for place, part in enumerate(parts):
        rows = data[data["part"] == part]
        shares, took = (100 * rows["share"]).tolist(), rows["slot_seconds"].tolist()
        text = [
            f"{bold(searcher)}, {part}: {MEANING.get(part, part)}<br>{told(share)} %,"
            f" {told(seconds)} slot-seconds"
            for searcher, share, seconds in zip(rows["searcher"], shares, took, strict=True)
        ]
        colour, edge = part_colours(place)
        look = {"color": colour, "line": {"width": 1, "color": edge}}
        meta = shown(part, variants=[({"bars": "slot_seconds"}, {"x": took})])
        points = {"x": shares, "y": rows["searcher"].tolist(), "text": text}
        traces.append(BAR | points | {"marker": look, "meta": meta})
    units = {"share": "share of the slot-seconds, %", "slot_seconds": "slot-seconds"}
    layouts: list[Layout] = [
        ({"bars": unit}, {"xaxis": {"title": {"text": words}}}) for unit, words in units.items()
    ]
    options = (("share", "share"), ("slot_seconds", "slot-seconds"))
    return Interactive(
        plot_of(traces, rows_layout(90) | {"barmode": "stack", "xaxis": {"rangemode": "tozero"}}),
        (Control("bars", "bars", options, "share"),),
        tuple(part_entry(place, part) for place, part in enumerate(parts)),
        tuple(layouts),
        rows=tuple(dict.fromkeys(data["searcher"])),
    )


def ledger_figures(source: FigureSource) -> list[RunFigure]:
    """One, where any cell has a ledger."""
    data = ledger_data(source.results)
    return [_ledger(data)] if len(data) else []


LEDGER = FigureKind(ledger_figures, of_large_runs=True, name="ledger", section="ledger")


def _ledger(data: pd.DataFrame) -> RunFigure:
    label = "Figure: where the slot-seconds went, by searcher"
    return RunFigure(
        section="ledger",
        heading="",
        name="ledger",
        label=label,
        caption="Where the slot-seconds of each searcher went, over all of its cells.",
        data=data,
        static=partial(ledger_figure, data),
        interactive=partial(ledger_plot, data),
        spoken=f"{label}; the table beside it has the numbers",
    )
