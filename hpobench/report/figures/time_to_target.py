"""When each searcher came to a target of a task to stay; those that did not are shown as such."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.bars import THICK, filling, rows_of_bars
from hpobench.report.drawing.downsampling import rounded
from hpobench.report.drawing.panel import Panel
from hpobench.report.drawing.style import StyleName, themed
from hpobench.results.regret import Clock, worth_of
from hpobench.results.targets import TARGETS
from hpobench.statistics.curves import StepCurve, normalised, time_to_target
from hpobench.statistics.times import Times, median_time

if TYPE_CHECKING:
    from hpobench.results.run import Results

COLUMNS = ("target", "line", "searcher", "seed", "reached", "time")
WORDS = {
    "10_percent": "10 % of the default's regret",
    "1_percent": "1 % of the default's regret",
    "zero": "zero, within the reference's error",
}


def time_to_target_data(results: Results, panel: Panel) -> pd.DataFrame:
    """For each target and searcher a "median" row, and a "seed" row for each cell that ended.

    ``panel``: the incumbents' regret over a clock, the clock of ``time``. A seed that is not
    ``reached`` came to the target later than its time, the end of what is drawn, if ever; a failed
    cell reached nothing. The median is the time by which half of them had, as in the summary; not
    ``reached``, and at the end, if fewer did. No rows without a reference.
    """
    if not panel.regret:
        return pd.DataFrame(columns=list(COLUMNS))
    cells = results.cells[results.cells["task"] == panel.task]
    failed = cells[cells["status"] == "failed"].groupby("searcher")["seed"].apply(list).to_dict()
    splits = {
        (panel.task, seed): results.split(panel.task, seed) for seed in results.study["seeds"]
    }
    worth = worth_of(panel.task, splits)
    rows: list[tuple[object, ...]] = []
    for target, level in TARGETS.items():
        for drawn in panel.drawn:
            times: dict[int, float | None] = {}
            for seed, curve in zip(drawn.seeds, drawn.curves, strict=True):
                if target == "zero":
                    values = curve.values - splits[panel.task, seed].tolerance
                else:
                    values = normalised(curve.values, worth)
                if not math.isnan(values[-1]):
                    times[seed] = time_to_target(StepCurve(curve.times, values), level)
            if not times:
                continue
            times |= dict.fromkeys(failed.get(drawn.searcher, []))
            median = median_time(Times.until(list(times.values()), end=0.0)).at_most
            found = [("median", None, median), *(("seed", *item) for item in sorted(times.items()))]
            for line, of_seed, time in found:
                reached = time is not None and math.isfinite(time)
                shown = time if reached else panel.end
                rows.append((target, line, drawn.searcher, of_seed, reached, shown))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return rounded(table.astype({"seed": "Int64", "time": float, "reached": bool}))


def time_to_target_figure(
    data: pd.DataFrame, clock: Clock, end: float, style: StyleName = "light"
) -> Figure:
    """Bars until the median, a dot for each seed; open bars and ▷ for what was not reached."""
    with themed(style) as theme:
        searchers = list(dict.fromkeys(data["searcher"]))
        data = data.assign(row=data["searcher"].map({name: i for i, name in enumerate(searchers)}))
        targets = [target for target in TARGETS if (data["target"] == target).any()]
        figure, panels = rows_of_bars(searchers, len(targets))
        late = {"facecolor": "none", "linestyle": (0, (3, 2)), "alpha": 1.0}
        for axes, target in zip(panels, targets, strict=True):
            axes.set_title(WORDS[target], loc="left", fontsize=9, pad=8)
            for reached in (True, False):
                mine = data[(data["target"] == target) & (data["reached"] == reached)]
                bars, dots = mine[mine["line"] == "median"], mine[mine["line"] == "seed"]
                look = filling(0, style) | ({"alpha": 0.45} if reached else late)
                axes.barh(bars["row"], bars["time"], THICK, lw=0.8, **look)
                axes.plot(
                    dots["time"],
                    dots["row"],
                    linestyle="none",
                    marker="o" if reached else ">",
                    markersize=3.6,
                    markeredgewidth=0.8,
                    markerfacecolor=theme.text if reached else theme.background,
                    color=theme.text,
                    clip_on=False,
                )
            axes.set_xlim(0, end)
            axes.set_xlabel(CLOCKS[clock].unit)
    return figure
