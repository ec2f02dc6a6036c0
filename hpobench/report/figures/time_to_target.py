"""When each searcher came to a target of a task to stay; those that did not are shown as such."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.bars import THICK, rows_of_bars, searcher_filling
from hpobench.report.drawing.downsampling import rounded
from hpobench.report.drawing.figure import FigureKind, RunFigure
from hpobench.report.drawing.interactive import (
    BAR,
    CLEAR,
    HOVER,
    LIGHT,
    SCALES,
    Control,
    Interactive,
    Trace,
    bold,
    faded,
    line_colour,
    log_begin,
    plot_of,
    rows_layout,
    scale_layouts,
    searcher_entry,
    shown,
    told,
)
from hpobench.report.drawing.panel import Panel
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import Look, StyleName, themed
from hpobench.results.regret import Clock, worth_of
from hpobench.results.targets import TARGET_MEANINGS, TARGET_WORDS, TARGETS
from hpobench.statistics.curves import StepCurve, normalised, time_to_target
from hpobench.statistics.times import Times, median_time

if TYPE_CHECKING:
    from hpobench.results.run import Results

COLUMNS = ("target", "line", "searcher", "seed", "reached", "time")


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
    data: pd.DataFrame, panel: Panel, clock: Clock, style: StyleName = "light"
) -> Figure:
    """Bars until the median, a dot for each seed; open bars and ▷ for what was not reached.

    ``data``: of `time_to_target_data`; ``panel``: whose times.
    """
    looks = {drawn.searcher: drawn.look for drawn in panel.drawn}
    with themed(style) as theme:
        searchers = list(dict.fromkeys(data["searcher"]))
        data = data.assign(row=data["searcher"].map({name: i for i, name in enumerate(searchers)}))
        targets = [target for target in TARGETS if (data["target"] == target).any()]
        figure, panels = rows_of_bars(searchers, len(targets))
        late = {"facecolor": "none", "linestyle": (0, (3, 2)), "alpha": 1.0}
        for axes, target in zip(panels, targets, strict=True):
            axes.set_title(TARGET_MEANINGS[target], loc="left", fontsize=9, pad=8)
            for reached in (True, False):
                mine = data[(data["target"] == target) & (data["reached"] == reached)]
                bars, dots = mine[mine["line"] == "median"], mine[mine["line"] == "seed"]
                for searcher, row, time in zip(
                    bars["searcher"], bars["row"], bars["time"], strict=True
                ):
                    look = searcher_filling(looks[searcher], style)
                    look |= {"alpha": 0.45} if reached else late
                    axes.barh(row, time, THICK, lw=0.8, **look)
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
            axes.set_xlim(0, panel.end)
            axes.set_xlabel(CLOCKS[clock].unit)
    return figure


def time_to_target_plot(data: pd.DataFrame, panel: Panel, clock: Clock) -> Interactive:
    """A row for each searcher: ``data``, of `time_to_target_data`; ``panel``: whose times."""
    targets = list(dict.fromkeys(data["target"]))
    layouts = scale_layouts("across", log_begin(data["time"], panel.end), panel.end)
    layouts += [
        (
            {"target": target},
            {"title": {"text": f"{CLOCKS[clock].unit} to {TARGET_MEANINGS[target]}"}},
        )
        for target in targets
    ]
    traces = []
    for drawn in panel.drawn:
        rows = data[data["searcher"] == drawn.searcher]
        for target in targets:
            of_target = rows[rows["target"] == target]
            traces += _traces(drawn.searcher, drawn.look, of_target, clock)
    known = set(data["searcher"])
    layout = {**rows_layout(110), "xaxis": {"title": {"text": CLOCKS[clock].axis}}}
    return Interactive(
        plot_of(traces, layout),
        (
            Control("target", "target", tuple((t, TARGET_WORDS[t]) for t in targets), targets[0]),
            Control("across", "horizontal", SCALES[::-1], "linear"),
        ),
        tuple(
            searcher_entry(d.look, d.searcher, d.label, d.searcher in known) for d in panel.drawn
        ),
        tuple(layouts),
    )


def _traces(searcher: str, own: Look, rows: pd.DataFrame, clock: Clock) -> list[Trace]:
    """A bar until half of the seeds had reached the target, and a mark for each seed."""
    colour, found = line_colour(own), []
    for (line, reached), some in rows.groupby(["line", "reached"], sort=False):
        when = {"target": some["target"].iloc[0]}
        who = ["half of the seeds" if line == "median" else f"seed {seed}" for seed in some["seed"]]
        text = [
            f"{bold(searcher)}, {one}<br>{'at' if reached else 'not by'} {told(time)}"
            f" {CLOCKS[clock].unit}"
            for one, time in zip(who, some["time"], strict=True)
        ]
        trace: Trace = {"x": some["time"].tolist(), "y": [searcher] * len(some), "text": text}
        trace |= {"hovertemplate": HOVER, "meta": shown(searcher, when)}
        if line == "median":
            fill = faded(colour, 0.5) if reached else CLEAR
            look: Trace = {"color": fill, "line": {"width": 1.2, "color": colour}}
            found.append(trace | BAR | {"marker": look})
        else:
            fill, symbol = (
                (LIGHT.text, "circle") if reached else (LIGHT.background, "triangle-right")
            )
            look = {"symbol": symbol, "size": 8, "color": fill}
            look |= {"line": {"width": 1.2, "color": LIGHT.text}}
            dots = {"type": "scatter", "mode": "markers", "cliponaxis": False, "marker": look}
            found.append(trace | dots)
    return found


def time_to_target_figures(source: FigureSource) -> list[RunFigure]:
    """That of each task that has a reference."""
    timed = [(panel, time_to_target_data(source.results, panel)) for panel in source.incumbents]
    return [_time_to_target(panel, data, source.clock) for panel, data in timed if len(data)]


TIME_TO_TARGET = FigureKind(
    time_to_target_figures, name="time-to-target", section="times", by_task=True
)


def _time_to_target(panel: Panel, data: pd.DataFrame, clock: Clock) -> RunFigure:
    unit = CLOCKS[clock].unit
    label = f"Figure: {unit} to a target, on {panel.task}"
    return RunFigure(
        section="times",
        heading=panel.task,
        task=panel.task,
        name=f"time-to-target-{panel.task}",
        label=label,
        caption=f"{unit[0].upper()}{unit[1:]} until a target was reached to stay: a dot for each"
        " seed, a bar until half of them had. ▷ and an open bar: not reached by the end.",
        data=data,
        static=partial(time_to_target_figure, data, panel, clock),
        interactive=partial(time_to_target_plot, data, panel, clock),
        spoken=f"{label}; the table in the summary has the numbers",
    )
