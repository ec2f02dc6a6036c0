"""The most memory that one slot of each searcher needed, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from hpobench.report.drawing.bars import THICK, filling, rows_of_bars
from hpobench.report.drawing.downsampling import rounded
from hpobench.report.drawing.style import StyleName, themed

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


def memory_figure(data: pd.DataFrame, style: StyleName = "light") -> Figure:
    """The most over a searcher's cells, on the host and beside it on a GPU."""
    with themed(style):
        most = data.groupby("searcher", sort=False)[["host_mib", "device_mib"]].max()
        columns = ["host_mib", *(["device_mib"] if most["device_mib"].notna().any() else [])]
        figure, panels = rows_of_bars([str(name) for name in most.index], len(columns), top=0.35)
        words = {"host_mib": "host: MiB, peak of a slot", "device_mib": "GPU: MiB, peak of a slot"}
        for place, (axes, name) in enumerate(zip(panels, columns, strict=True)):
            axes.barh(range(len(most)), most[name].fillna(0.0), THICK, **filling(place, style))
            axes.set_xlabel(words[name])
    return figure
