"""Hyperparameters as a gradient-based search learns them: over the search, and along a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from hpobench.report.drawing.downsampling import rounded
from hpobench.report.drawing.evaluated import Cell, Evaluated, Rows
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
    faded,
    held,
    line_colour,
    plain_list,
    plot_of,
    searcher_entry,
    shown,
    told,
)
from hpobench.report.drawing.labels import shortened
from hpobench.report.drawing.priors import Prior, priors_of
from hpobench.report.drawing.scale import Scale, log_ticks, tick_text
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import Look, Looks, StyleName, line_style, themed
from hpobench.results.json_files import Record

COLUMNS: dict[str, type] = {
    **{"line": object, "searcher": object, "seed": int, "evaluation": int, "seconds": float},
    **{"validation_loss": float, "hyperparameter": object, "part": int, "at": float},
    "value": float,
}
View: TypeAlias = Literal["training", "evaluation", "seconds"]
AXES: dict[View, str] = {
    "training": "share of the training, %",
    "evaluation": "outer step: the evaluation's number",
    "seconds": "seconds on the cell's clock",
}
WORDS: dict[View, str] = {
    "training": "the training",
    "evaluation": "outer step",
    "seconds": "seconds",
}
MOST_EVALUATIONS = 100
MOST_TRAININGS = 16
MOST_STEPS = 50
PAGE_VALUES = 6_000
"""Values over the searches on a page: what keeps it small."""
PALEST = 0.25
WIDTH, LEFT, PITCH, TALL, BOTTOM = 8.8, 0.75, 1.75, 1.3, 0.3  # inches
MOST_COLUMNS = 4
MOST_TICKS = 6


def evaluations_for(panels: int, values: int) -> int:
    """Of how many evaluations a page can show so many values, in so many panels."""
    return int(np.clip(PAGE_VALUES // max(panels * values, 1), 8, MOST_EVALUATIONS))


def schedule_data(evaluated: Evaluated, task: str, at_most: int = MOST_EVALUATIONS) -> pd.DataFrame:
    """What each gradient-based searcher's first complete cell on a task tried, number by number.

    A "search" line is one value of one evaluation's configuration; ``part`` is its number in a
    vector. Of a cell, there are at most ``at_most`` evaluations, by `kept_steps`. A "training" line
    is a value that holds from the share ``at`` of the training on, for at most `MOST_TRAININGS` of
    the evaluations: as the searcher noted it (its ``schedule``, at most `MOST_STEPS` of the steps),
    else as the windows of its configuration say. Choices have no lines.
    """
    priors = [p for p in priors_of(evaluated.results.task(task)) if p.choices is None]
    parts = [
        part
        for cell, rows in evaluated.searches(task).values()
        for part in (
            _over_search(evaluated, cell, priors, evaluated.kept(rows, at_most)),
            _along(evaluated, cell, priors, evaluated.kept(rows, min(at_most, MOST_TRAININGS))),
        )
    ]
    columns = {
        name: np.concatenate([np.empty(0, kind), *(part[name] for part in parts)])
        for name, kind in COLUMNS.items()
    }
    columns = {name: values[~np.isnan(columns["value"])] for name, values in columns.items()}
    part = columns.pop("part")
    table = pd.DataFrame(columns)
    whole = pd.Series(pd.arrays.IntegerArray(part, part < 0))
    table.insert(list(COLUMNS).index("part"), "part", whole)
    return rounded(table)


def _over_search(
    evaluated: Evaluated, cell: Cell, priors: Sequence[Prior], rows: Rows
) -> dict[str, NDArray[Any]]:
    """The "search" lines of some evaluations, as columns."""
    of = [(prior.name, part) for prior in priors for part in range(len(prior.names))]
    values = list(evaluated.configurations(priors, rows).values())
    return _columns(
        evaluated,
        "search",
        cell,
        np.repeat(rows, len(of)),
        np.tile(np.array([name for name, _ in of], object), len(rows)),
        np.tile(np.array([part for _, part in of], int), len(rows)),
        np.full(len(rows) * len(of), np.nan),
        np.column_stack([np.empty((len(rows), 0)), *values]).ravel(),
    )


def _along(
    evaluated: Evaluated, cell: Cell, priors: Sequence[Prior], rows: Rows
) -> dict[str, NDArray[Any]]:
    """The "training" lines of some evaluations, as columns."""
    tried = evaluated.configurations(priors, rows)
    found: list[tuple[Any, ...]] = []
    for number, schedule in enumerate(evaluated.noted(rows, "schedule")):
        for prior in priors:
            learned = schedule.get(prior.name) if isinstance(schedule, dict) else None
            if isinstance(learned, list) and learned:
                every = np.linspace(0, len(learned) - 1, min(len(learned), MOST_STEPS))
                steps = [(i / len(learned), learned[i]) for i in every.round().astype(int)]
            elif prior.windows:
                n = len(prior.names)
                steps = [(i / n, tried[name][number]) for i, name in enumerate(prior.names)]
            else:
                continue
            found += [(rows[number], prior.name, at, value) for at, value in steps]
    row, name, at, value = zip(*found, strict=True) if found else ((), (), (), ())
    return _columns(
        evaluated,
        "training",
        cell,
        np.array(row, int),
        np.array(name, object),
        np.full(len(row), -1),
        np.array(at, float),
        np.array(value, float),
    )


def _columns(
    evaluated: Evaluated,
    line: str,
    cell: Cell,
    rows: Rows,
    hyperparameter: NDArray[Any],
    part: NDArray[Any],
    at: NDArray[Any],
    value: NDArray[Any],
) -> dict[str, NDArray[Any]]:
    copied = ("evaluation", "seconds", "validation_loss")
    return {
        "line": np.full(len(rows), line, object),
        "searcher": np.full(len(rows), cell.searcher, object),
        "seed": np.full(len(rows), cell.seed),
        **{name: evaluated.values[name][rows] for name in copied},
        "hyperparameter": hyperparameter,
        "part": part,
        "at": at,
        "value": value,
    }


def moving(data: pd.DataFrame) -> list[str]:
    """The hyperparameters that change along some training."""
    lines = data[data["line"] == "training"]
    several = lines.groupby("hyperparameter", sort=False)["at"].max() > 0
    return [str(name) for name in several.index[several]]


def scales_of(task: Record, data: pd.DataFrame) -> dict[str, bool]:
    """The hyperparameters of some data, and whether each is on a log scale."""
    known = set(data["hyperparameter"])
    return {prior.name: prior.log for prior in priors_of(task) if prior.name in known}


def schedule_figure(
    data: pd.DataFrame,
    view: View,
    looks: Looks,
    scales: Mapping[str, bool],
    style: StyleName = "light",
) -> Figure:
    """Panels for each hyperparameter, one for each searcher.

    ``data``: of `schedule_data`. ``view``: what is across; along the training there is a line for
    each evaluation, the fainter the earlier in the search, otherwise a line for each value of the
    configuration, the fainter the earlier in the training. ``looks``: the
    searchers'. ``scales``: the hyperparameters to draw, and whether each is on a log scale.
    """
    data = data[(data["line"] == "training") == (view == "training")]
    present = [name for name in looks if (data["searcher"] == name).any()]
    columns = min(len(present), MOST_COLUMNS)
    rows = [
        (name, present[first : first + columns])
        for name in scales
        for first in range(0, len(present), columns)
    ]
    height = len(rows) * PITCH + BOTTOM
    width = (WIDTH - LEFT) / columns
    with themed(style):
        figure = Figure(figsize=(WIDTH, height))
        for row, (name, in_row) in enumerate(rows):
            of_name = data[data["hyperparameter"] == name]
            low, high = _room(of_name["value"], scales[name])
            for column, searcher in enumerate(in_row):
                left, floor = LEFT + column * width, height - (row + 1) * PITCH + 0.2
                box = (left / WIDTH, floor / height, (width - 0.3) / WIDTH, TALL / height)
                axes = figure.add_axes(box, label=f"{name} of {searcher}")
                colour = line_style(looks[searcher], style).colour
                mine = of_name[of_name["searcher"] == searcher]
                _draw(axes, mine, view, colour)
                head: dict[str, Any] = {"loc": "left", "fontsize": 9, "pad": 4, "y": 1.0}
                axes.set_title(shortened(searcher), color=colour, **head)
                axes.set_yscale("log" if scales[name] else "linear")
                axes.set_ylim(low, high)
                axes.yaxis.set_minor_locator(NullLocator())
                axes.yaxis.set_major_locator(FixedLocator(_ticks(low, high, scales[name])))
                axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: tick_text(y)))
                if column:
                    axes.tick_params(labelleft=False)
                else:
                    axes.set_ylabel(f"{name}{', log' if scales[name] else ''}", fontsize=8)
                    axes.yaxis.set_label_coords(-0.58 / (width - 0.3), 0.5)
        figure.text(LEFT / WIDTH, 0.08 / height, AXES[view], va="bottom", fontsize=9)
    return figure


def _draw(axes: Axes, data: pd.DataFrame, view: View, colour: str) -> None:
    """A line for each evaluation along a training, else for each part of the configuration."""
    along = view == "training"
    groups = [rows for _, rows in data.groupby("evaluation" if along else "part", sort=True)]
    lines = []
    for rows in groups:
        x = rows["at"].to_numpy() * 100 if along else rows[view].to_numpy(float)
        y = rows["value"].to_numpy()
        if along:  # values hold until the next
            x, y = np.append(np.repeat(x, 2), 100.0)[1:], np.repeat(y, 2)
        lines.append(np.column_stack([x, y]))
    alpha = _strengths(len(lines))
    axes.add_collection(LineCollection(lines, colors=colour, linewidths=1.2, alpha=alpha))
    begin_at_zero(axes, 100.0 if along else float(data[view].max()), 4)


def _strengths(lines: int) -> NDArray[np.float64]:
    """How strongly each of so many lines is drawn, the first of several the faintest."""
    return np.linspace(PALEST, 1.0, lines) if lines > 1 else np.ones(lines)


def begin_at_zero(axes: Axes, last: float, most: int) -> None:
    """The horizontal axis until ``last``, with about so many ticks; until 1 if that is no time."""
    last = last if last > 0 else 1.0
    axes.set_xlim(0, last)
    ticks = MaxNLocator(most, integer=last >= 2).tick_values(0, last)
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if 0 <= tick <= last]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick_text(x)))


def _ticks(low: float, high: float, log: bool) -> list[float]:
    """Few enough for a panel."""
    ticks = log_ticks(low, high) if log else Scale("linear", low, high).ticks()
    ticks = [tick for tick in ticks if low <= tick <= high]
    return ticks[:: -(-len(ticks) // MOST_TICKS)] if ticks else []


def _room(values: pd.Series, log: bool) -> tuple[float, float]:
    """The ends of an axis for some values."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (1.0, 1.0)
    if log:
        margin = max((high / low) ** 0.06, 1.1)
        return low / margin, high * margin
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 0.1
    return low - margin, high + margin


def schedule_plot(data: pd.DataFrame, looks: Looks, scales: Mapping[str, bool]) -> Interactive:
    """The panels of `schedule_figure` of one hyperparameter and view, both the reader's choice.

    Args:
        data: Of `schedule_data`.
        looks: The searchers'.
        scales: The hyperparameters, and whether each is on a log scale.
    """
    views, first = _views(data), _first(data, scales)
    present = set(data["searcher"])
    drawn = {name: look for name, look in looks.items() if name in present}
    across = {view: {"title": {"text": AXES[view]}} for view in views}
    layouts: list[Layout] = [({"against": view}, {"xaxis": axis}) for view, axis in across.items()]
    layouts.append(({"against": "training"}, {"xaxis": {"range": [0, 100]}}))
    lines = _Lines.of(data)
    traces = []
    for name, log in scales.items():
        values = data[data["hyperparameter"] == name]
        for view in views:
            when = {"hyperparameter": name, "against": view}
            of_view = (values["line"] == "training") == (view == "training")
            layouts.append((when, _vertical(name, values["value"][of_view], log)))
            for searcher, look in drawn.items():
                traces += lines.traces(name, searcher, view, look, when)
    return Interactive(
        plot_of(traces, {"xaxis": {"rangemode": "tozero", "nticks": 5}}),
        (
            Control("hyperparameter", "hyperparameter", tuple((n, n) for n in scales), first),
            Control("against", "against", tuple((v, WORDS[v]) for v in views), views[0]),
        ),
        tuple(searcher_entry(look, name) for name, look in drawn.items()),
        tuple(layouts),
        panels=tuple(drawn),
    )


@dataclass(frozen=True)
class _Lines:
    """The lines of every panel, as `_draw` has them; n rows of `schedule_data`.

    Frames are taken apart once: there are many lines, and most are short.

    Args:
        columns: What can be across, and the values, n each.
        texts: What is shown beside the pointer, n.
        rows: Of each line, by hyperparameter, searcher and whether it is along a training.
    """

    columns: Mapping[str, list[Any]]
    texts: list[str]
    rows: Mapping[tuple[str, str, bool], list[NDArray[np.intp]]]

    @staticmethod
    def of(data: pd.DataFrame) -> _Lines:
        rows: dict[tuple[str, str, bool], list[NDArray[np.intp]]] = {}
        for along, line in ((True, "evaluation"), (False, "part")):
            places = np.flatnonzero((data["line"] == "training") == along)
            grouped = data.iloc[places].groupby(["hyperparameter", "searcher", line])
            indices: Any = grouped.indices
            for name, searcher, number in sorted(indices):
                positions = indices[name, searcher, number]
                rows.setdefault((name, searcher, along), []).append(places[positions])
        columns = {name: data[name].tolist() for name in ("evaluation", "seconds", "value")}
        return _Lines(columns | {"training": (data["at"] * 100).tolist()}, _texts(data), rows)

    def traces(self, name: str, searcher: str, view: View, look: Look, when: When) -> list[Trace]:
        """Those of a hyperparameter; ``look``: the searcher's."""
        along = view == "training"
        lines = self.rows.get((name, searcher, along), [])
        traces = []
        for rows, strength in zip(lines, _strengths(len(lines)), strict=True):
            x, y, text = (
                [column[row] for row in rows]
                for column in (self.columns[view], self.columns["value"], self.texts)
            )
            if along:  # values hold until the next
                x, y, text = [*x, 100.0], held(y), held(text)
            paint = faded(line_colour(look), strength)
            trace: Trace = {"type": "scatter", "x": x, "y": y, "text": text}
            trace |= {"hovertemplate": HOVER, "mode": "lines" if len(x) > 1 else "markers"}
            trace |= {"line": {"shape": "hv" if along else "linear", "width": 1.5, "color": paint}}
            trace |= {"marker": {"size": 6, "color": paint}}
            meta = shown(searcher, when, panel=searcher, colour=line_colour(look))
            traces.append(trace | {"meta": meta})
        return traces


def _texts(rows: pd.DataFrame) -> list[str]:
    names = ("searcher", "seed", "evaluation", "seconds", "hyperparameter", "part", "value", "at")
    columns = [plain_list(rows[name]) for name in (*names, "validation_loss")]
    return [
        f"{bold(searcher)}, seed {seed}, evaluation {evaluation} at {told(seconds)} seconds"
        f"<br>{escaped(name)}{'' if part is None else f' {part}'} = {told(value)}"
        f"{'' if at is None else f' from {told(100 * at)} % of the training on'}"
        f"<br>validation loss {told(loss)}"
        for searcher, seed, evaluation, seconds, name, part, value, at, loss in zip(
            *columns, strict=True
        )
    ]


def _vertical(name: str, values: pd.Series, log: bool) -> Record:
    """What is said above the panels, and their vertical axis."""
    low, high = _room(values, log)
    if not log:
        axis: Record = {"type": "linear", "range": [low, high], "nticks": MOST_TICKS + 1}
        return {"title": {"text": name}, "yaxis": axis}
    axis = {"type": "log", "range": [math.log10(low), math.log10(high)]}
    if low < 1e-4:
        axis |= {"dtick": 1, "exponentformat": "power"}
    else:
        ticks = log_ticks(low, high)
        axis |= {"tickvals": ticks, "ticktext": [tick_text(tick) for tick in ticks]}
    return {"title": {"text": f"{name} (log scale)"}, "yaxis": axis}


def _views(data: pd.DataFrame) -> list[View]:
    """What can be across; along the training only where something changes in one."""
    along: list[View] = ["training"] if moving(data) else []
    return [*along, "evaluation", "seconds"]


def _first(data: pd.DataFrame, scales: Mapping[str, bool]) -> str:
    """The hyperparameter that is shown at first: one that changes, if any does."""
    return next(iter(moving(data) or scales))


def schedule_figures(source: FigureSource) -> list[RunFigure]:
    """That of each task on which something was learned by gradients."""
    evaluated = source.evaluated
    searches = sum(len(evaluated.searches(task)) for task in source.tasks)
    figures = []
    for task in source.tasks:
        values = sum(len(prior.names) for prior in priors_of(source.results.task(task)))
        data = schedule_data(evaluated, task, evaluations_for(searches, values))
        if len(data):
            scales = scales_of(source.results.task(task), data)
            figures.append(_schedules(task, data, source.looks, scales))
    return figures


def _files(source: FigureSource) -> dict[str, Draw]:
    """Of each task against the training, if anything changes in one, and against the search."""
    files: dict[str, Draw] = {}
    for task in source.tasks:
        data = schedule_data(source.evaluated, task)
        scales = scales_of(source.results.task(task), data)
        draw = partial(schedule_figure, data, looks=source.looks, scales=scales)
        if moving(data):
            files[f"schedules-{task}"] = partial(draw, view="training")
        if len(data):
            files[f"outer-steps-{task}"] = partial(draw, view="evaluation")
    return files


SCHEDULES = FigureKind(
    schedule_figures,
    _files,
    name="schedules",
    section="learned",
    by_task=True,
    also=("outer-steps",),
)


def _schedules(
    task: str, data: pd.DataFrame, looks: Looks, scales: Mapping[str, bool]
) -> RunFigure:
    first = _first(data, scales)
    return RunFigure(
        section="learned",
        heading=task,
        task=task,
        name=f"schedules-{task}",
        label=f"Figure: hyperparameters as they were learned, on {task}",
        caption="Hyperparameters as they were learned. Against the training: each line is what one"
        " evaluation trained with from its first step to its last, the fainter the earlier in the"
        " search. Otherwise each line is one value of the configurations that were tried one after"
        " the other, the fainter the earlier in the training it holds; of what changes with each"
        f" step it is a window's mean. {of_one_cell(data)}",
        data=data,
        static=partial(schedule_figure, data, _views(data)[0], looks, {first: scales[first]}),
        interactive=partial(schedule_plot, data, looks, scales),
    )


def of_one_cell(data: pd.DataFrame) -> str:
    """Which cell of each searcher a figure is of, in a sentence."""
    seeds = data.drop_duplicates("searcher")["seed"].unique()
    which = str(seeds[0]) if len(seeds) == 1 else "that the data name"
    first = "Of each gradient-based searcher it is the first complete cell, that of seed"
    return f"{first} {which}."
