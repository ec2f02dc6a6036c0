"""The hypergradient against the outer step: how much each hyperparameter moved the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from hpobench.report.drawing.downsampling import rounded
from hpobench.report.drawing.evaluated import Evaluated
from hpobench.report.drawing.figure import Draw, FigureKind, RunFigure
from hpobench.report.drawing.interactive import (
    HOVER,
    Control,
    Interactive,
    Layout,
    Trace,
    When,
    bold,
    escaped,
    line_colour,
    line_look,
    plain_list,
    plot_of,
    searcher_entry,
    shown,
    told,
)
from hpobench.report.drawing.labels import shortened
from hpobench.report.drawing.priors import Prior, priors_of
from hpobench.report.drawing.scale import log_ticks, tick_text
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import LineStyle, Look, Looks, StyleName, line_style, themed
from hpobench.report.figures.schedules import AXES, WORDS, begin_at_zero, of_one_cell
from hpobench.results.json_files import Record

COLUMNS = ("searcher", "seed", "evaluation", "seconds", "hyperparameter", "norm")
Across: TypeAlias = Literal["evaluation", "seconds"]
ACROSS: tuple[Across, ...] = ("evaluation", "seconds")
MOST_EVALUATIONS = 200
PAGE_EVALUATIONS = 1500
"""Evaluations on a page of which hypergradients are shown: what keeps it small."""
WIDTH, LEFT, PITCH, TALL, BOTTOM = 8.8, 0.75, 1.95, 1.45, 0.35  # inches
MOST_COLUMNS = 3


def evaluations_for(panels: int) -> int:
    """Of how many evaluations each of so many panels on a page can show hypergradients."""
    return int(np.clip(PAGE_EVALUATIONS // max(panels, 1), 8, MOST_EVALUATIONS))


def hypergradient_data(
    evaluated: Evaluated, task: str, at_most: int = MOST_EVALUATIONS
) -> pd.DataFrame:
    """What each gradient-based searcher's first complete cell on a task noted of hypergradients.

    A row for each hyperparameter of at most ``at_most`` evaluations, by `kept_steps`, and the
    Euclidean ``norm`` of the derivatives of the validation loss by the fractions of its range, over
    all values that it has; NaN if one of them was inf or NaN.
    """
    priors = priors_of(evaluated.results.task(task))
    found = []
    for cell, mine in evaluated.searches(task).values():
        rows = evaluated.kept(mine, at_most)
        for row, derivatives, lost in zip(
            rows,
            evaluated.noted(rows, "hypergradient"),
            evaluated.noted(rows, "nonfinite"),
            strict=True,
        ):
            for prior in priors if derivatives or lost else ():
                norm = _norm(prior, derivatives or {}, lost or [])
                if norm is not None:
                    found.append((cell.searcher, cell.seed, row, prior.name, norm))
    table = pd.DataFrame(found, columns=["searcher", "seed", "row", "hyperparameter", "norm"])
    rows = table["row"].to_numpy(int)
    times = {name: evaluated.values[name][rows] for name in ACROSS}
    return rounded(table.assign(**times).astype({"norm": float})[list(COLUMNS)])


def _norm(prior: Prior, noted_of: Record, lost: Sequence[str]) -> float | None:
    """Over the values of a hyperparameter; None if nothing was noted of it."""
    names = {prior.name, *prior.names}
    if names.intersection(lost):
        return math.nan
    known = [float(noted_of[name]) for name in (prior.name, *prior.names) if name in noted_of]
    return math.hypot(*known[: len(prior.names)]) if known else None


def hypergradient_figure(
    data: pd.DataFrame,
    across: Across,
    looks: Looks,
    hyperparameters: Sequence[str],
    style: StyleName = "light",
) -> Figure:
    """A panel for each hyperparameter, a line for each searcher, on a log scale.

    ``data``: of `hypergradient_data`. ``looks``: the searchers'. A cross on top: a
    derivative was inf or NaN; a triangle at the bottom: zero.
    """
    drawn = [name for name in looks if (data["searcher"] == name).any()]
    columns = min(len(hyperparameters), MOST_COLUMNS)
    rows = -(-len(hyperparameters) // columns)
    with themed(style) as theme:
        names = [shortened(name) for name in drawn]
        legend_rows = -(-len(names) // 5)
        height = rows * PITCH + BOTTOM + 0.2 * legend_rows - 0.05
        width = (WIDTH - LEFT) / columns
        figure = Figure(figsize=(WIDTH, height))
        for number, name in enumerate(hyperparameters):
            row, column = divmod(number, columns)
            left = LEFT + column * width
            floor = BOTTOM + 0.2 + (rows - 1 - row) * PITCH
            box = (left / WIDTH, floor / height, (width - 0.65) / WIDTH, TALL / height)
            axes = figure.add_axes(box, label=name)
            axes.set_title(name, loc="left", fontsize=9, pad=4, y=1.0)
            mine = data[data["hyperparameter"] == name]
            low, high = ends_of(mine["norm"])
            axes.set_yscale("log")
            axes.set_ylim(low, high)
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_locator(FixedLocator(log_ticks(low, high)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: power_text(y)))
            begin_at_zero(axes, float(mine[across].max()), 5)
            for searcher in drawn:
                own = mine[mine["searcher"] == searcher]
                _draw(axes, own, across, line_style(looks[searcher], style), (low, high))
        handles = [Line2D([], [], **line_style(looks[n], style).line(1.6)) for n in drawn]
        figure.legend(
            handles,
            names,
            loc="upper left",
            ncols=5,
            frameon=False,
            fontsize=8,
            labelcolor=theme.text,
            borderaxespad=0.3,
        )
        figure.text(LEFT / WIDTH, 0.08 / height, AXES[across], va="bottom", fontsize=9)
    return figure


def ends_of(norms: pd.Series) -> tuple[float, float]:
    """The ends of a log axis for some norms, whole powers of ten."""
    known = norms[np.isfinite(norms) & (norms > 0)]
    if not len(known):
        return 0.1, 10.0
    low, high = np.floor(np.log10(known.min()) - 0.1), np.ceil(np.log10(known.max()) + 0.1)
    return float(10.0**low), float(10.0**high)


def power_text(value: float) -> str:
    """A power of ten on an axis."""
    exponent = round(math.log10(value))
    return tick_text(value) if -4 <= exponent <= 5 else f"1e{exponent}".replace("-", "−")


def _draw(
    axes: Axes, data: pd.DataFrame, across: Across, look: LineStyle, ends: tuple[float, float]
) -> None:
    norms = data["norm"].to_numpy()
    x = data[across].to_numpy(float)
    axes.plot(x, np.where(norms > 0, norms, np.nan), **look.line(1.3))
    axes.plot(x, np.where(norms > 0, norms, np.nan), linestyle="none", **look.points(2.6))
    for where, marker, end in ((np.isnan(norms), "x", ends[1]), (norms == 0, "v", ends[0])):
        axes.plot(
            x[where],
            np.full(int(where.sum()), end),
            linestyle="none",
            marker=marker,
            markersize=4,
            color=look.colour,
            clip_on=False,
        )


def hypergradient_plot(data: pd.DataFrame, looks: Looks) -> Interactive:
    """One of the panels of `hypergradient_figure`, the reader's choice.

    ``data``: of `hypergradient_data`. ``looks``: the searchers'.
    """
    hyperparameters, present = _hyperparameters(data), set(data["searcher"])
    drawn = {name: look for name, look in looks.items() if name in present}
    traces: list[Trace] = []
    layouts: list[Layout] = []
    for name in hyperparameters:
        rows, when = data[data["hyperparameter"] == name], {"hyperparameter": name}
        ends = ends_of(rows["norm"])
        title = {"text": f"hypergradient by {name}: norm (log scale)"}
        layouts.append(
            (when, {"title": title, "yaxis": {"range": [math.log10(end) for end in ends]}})
        )
        for across in ACROSS:
            axis = {"title": {"text": AXES[across]}, "range": [0, float(rows[across].max()) or 1]}
            layouts.append(({**when, "against": across}, {"xaxis": axis}))
        for searcher, look in drawn.items():
            traces += _traces(rows[rows["searcher"] == searcher], look, when, ends)
    by = tuple((name, name) for name in hyperparameters)
    return Interactive(
        plot_of(traces, {"yaxis": {"type": "log", "exponentformat": "power", "nticks": 8}}),
        (
            Control("hyperparameter", "by", by, hyperparameters[0]),
            Control("against", "against", tuple((a, WORDS[a]) for a in ACROSS), "evaluation"),
        ),
        tuple(searcher_entry(look, name) for name, look in drawn.items()),
        tuple(layouts),
    )


def _traces(rows: pd.DataFrame, look: Look, when: When, ends: tuple[float, float]) -> list[Trace]:
    """A searcher's line, and marks at the ``ends`` of the axis for what is not on it.

    ``rows``: of one hyperparameter; ``look``: the searcher's.
    """
    if not len(rows):
        return []
    colour, norms = line_colour(look), rows["norm"]
    line = line_look(look, 1.6)
    line["line"] |= {"shape": "linear"}
    line["marker"] |= {"size": 5}
    traces = [_trace(rows, plain_list(norms.where(norms > 0)), line, when)]
    for off, symbol, end in (
        (norms.isna(), "x-thin-open", ends[1]),
        (norms == 0, "triangle-down-open", ends[0]),
    ):
        if off.any():
            mark = {"symbol": symbol, "size": 9, "color": colour}
            mark |= {"line": {"width": 2, "color": colour}}
            marks: Trace = {"type": "scatter", "mode": "markers", "cliponaxis": False}
            marks |= {"marker": mark, "hovertemplate": HOVER}
            traces.append(_trace(rows[off], [end] * int(off.sum()), marks, when))
    return traces


def _trace(rows: pd.DataFrame, y: list[float | None], look: Trace, when: When) -> Trace:
    """Where the norms of some rows are drawn, over either axis."""
    columns = [plain_list(rows[name]) for name in COLUMNS]
    text = [
        f"{bold(searcher)}, seed {seed}, evaluation {evaluation} at {told(seconds)} seconds"
        f"<br>norm by {escaped(name)}: {'inf or NaN' if norm is None else told(norm)}"
        for searcher, seed, evaluation, seconds, name, norm in zip(*columns, strict=True)
    ]
    over_seconds = [({"against": "seconds"}, {"x": rows["seconds"].tolist()})]
    meta = shown(rows["searcher"].iloc[0], when, over_seconds)
    return look | {"x": rows["evaluation"].tolist(), "y": y, "text": text, "meta": meta}


def _hyperparameters(data: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(data["hyperparameter"]))


def hypergradient_figures(source: FigureSource) -> list[RunFigure]:
    """That of each task on which some searcher noted hypergradients."""
    at_most = evaluations_for(sum(len(source.evaluated.searches(task)) for task in source.tasks))
    noted = [(task, hypergradient_data(source.evaluated, task, at_most)) for task in source.tasks]
    return [_hypergradients(task, data, source.looks) for task, data in noted if len(data)]


def _files(source: FigureSource) -> dict[str, Draw]:
    """The same, of more evaluations than a page can hold."""
    noted = {task: hypergradient_data(source.evaluated, task) for task in source.tasks}
    return {
        f"hypergradients-{task}": _static(data, source.looks)
        for task, data in noted.items()
        if len(data)
    }


HYPERGRADIENTS = FigureKind(
    hypergradient_figures, _files, name="hypergradients", section="learned", by_task=True
)


def _static(data: pd.DataFrame, looks: Looks) -> Draw:
    return partial(hypergradient_figure, data, "evaluation", looks, _hyperparameters(data))


def _hypergradients(task: str, data: pd.DataFrame, looks: Looks) -> RunFigure:
    return RunFigure(
        section="learned",
        heading=f"{task}: hypergradient",
        task=task,
        name=f"hypergradients-{task}",
        label=f"Figure: hypergradient against outer step, on {task}",
        caption="How much the validation loss changes with a hyperparameter: the norm of its"
        " derivatives by the fractions of the range, over all values that the hyperparameter has"
        " (RMD has one for each step). ×: one of them was inf or NaN; ▽: zero."
        f" {of_one_cell(data)}",
        data=data,
        static=_static(data, looks),
        interactive=partial(hypergradient_plot, data, looks),
    )
