"""Parallel coordinates: each line an evaluation, from its hyperparameters to its loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hpobench.report.drawing.downsampling import rounded
from hpobench.report.drawing.evaluated import Evaluated
from hpobench.report.drawing.figure import Draw, FigureKind, RunFigure
from hpobench.report.drawing.interactive import (
    CLEAR,
    HOVER,
    LIGHT,
    Control,
    Interactive,
    Layout,
    Trace,
    bold,
    escaped,
    faded,
    line_colour,
    plain_list,
    plot_of,
    searcher_entry,
    shown,
    told,
    wrapped,
)
from hpobench.report.drawing.labels import shortened, text_width
from hpobench.report.drawing.priors import Prior, priors_of
from hpobench.report.drawing.scale import Scale, loss_scale, tick_text
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import PLOTLY_DASHES, Looks, StyleName, line_style, themed
from hpobench.results.json_files import Record

MOST_LINES = 2000
PAGE_LINES = 4000
DRAWN_LINES = 100
"""Lines of a drawing on the page, for each makes it larger."""
MOST_AXES = 24
PREFIX = "hyperparameters."
SHADES = (0.6, 0.35, 0.22, 0.14, 0.08)
"""How strongly the lines of each fifth of the losses are drawn, the lowest fifth first."""
COLOURS = (("loss", "validation loss"), ("searcher", "searcher"))
WHICH = (("all", "all"), ("best", "the best of each searcher"))
WIDTH, ROW, TOP, BOTTOM = 8.8, 0.36, 0.25, 0.25  # inches


def lines_for(tasks: int) -> int:
    """How many lines each of so many tasks may have on a page."""
    return int(np.clip(PAGE_LINES // max(tasks, 1), 100, MOST_LINES))


def parallel_data(
    evaluated: Evaluated, task: str, at_most: int = MOST_LINES
) -> tuple[pd.DataFrame, int]:
    """Full trainings of a task's complete cells, a row each, and how many there are in all.

    By searcher in the study's order: seed, evaluation, whether it is its searcher's ``best``, the
    values of its hyperparameters (``hyperparameters.…``, at most `MOST_AXES`), validation_loss. If
    there are more than ``at_most``, the best of each searcher and an even sample of the others.
    Failed ones are left out; diverged ones have the task's ceiling.
    """
    cells = evaluated.cells[task]
    counts = [cell.end - cell.begin for cell in cells]
    every = np.concatenate([np.empty(0, int), *(cell.rows for cell in cells)])
    of = np.repeat(np.arange(len(cells)), counts)
    fine = evaluated.usable[every]
    every, of = every[fine], of[fine]
    loss = evaluated.values["validation_loss"][every]
    best = best_of(np.array([cell.place for cell in cells], int)[of], loss)
    keep = sample(len(every), best, at_most)
    mine = [cells[number] for number in of[keep]]
    tried = evaluated.configurations(priors_of(evaluated.results.task(task)), every[keep])
    table = pd.DataFrame(
        {
            "searcher": np.array([cell.searcher for cell in mine], object),
            "seed": np.array([cell.seed for cell in mine], int),
            "evaluation": evaluated.values["evaluation"][every[keep]],
            "best": np.isin(keep, best),
            **{PREFIX + name: values for name, values in [*tried.items()][:MOST_AXES]},
            "validation_loss": loss[keep],
        }
    )
    return rounded(table), len(every)


def best_of(groups: NDArray[np.int64], losses: NDArray[np.float64]) -> NDArray[np.int64]:
    """Where the lowest loss of each group is, the first of several; a group stands together."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    ends = np.append(starts, len(groups))[1:]
    return np.array([a + losses[a:b].argmin() for a, b in zip(starts, ends, strict=True)], int)


def sample(count: int, best: NDArray[np.int64], at_most: int) -> NDArray[np.int64]:
    """Which of so many to show, ascending: all, or the best ones and the others evenly."""
    if count <= at_most:
        return np.arange(count)
    others = np.delete(np.arange(count), best)
    room = min(max(at_most - len(best), 0), len(others))
    evenly = others[np.linspace(0, len(others) - 1, room).round().astype(int)]
    return np.sort(np.concatenate([best, evenly]))


def shown_priors(task: Record, data: pd.DataFrame) -> dict[str, Prior]:
    """By flat name, the axes of ``data`` (of `parallel_data`), with the choices that were tried."""
    found = {}
    for prior in priors_of(task):
        for name in prior.names:
            values = data.get(PREFIX + name, pd.Series(dtype=float)).dropna()
            if len(values):
                choices = prior.choices
                if choices is not None:
                    choices = tuple(dict.fromkeys([*choices, *sorted(set(values))]))
                found[name] = replace(prior, choices=choices)
    return found


def end_texts(prior: Prior) -> tuple[str, str]:
    """What stands at the two ends of an axis."""
    if prior.choices is not None:
        return prior.choices[0], prior.choices[-1]
    return tick_text(prior.low), tick_text(prior.high)


def loss_ends(scale: Scale) -> tuple[str, str]:
    """What stands at the two ends of the axis of losses."""
    low, high = (tick_text(float(f"{end:.2g}")) for end in (scale.low, scale.high))
    return low, high


def fifths(losses: pd.Series) -> NDArray[np.int64]:
    """For each loss, which fifth of them it is in, from 0, the lowest; ties in order."""
    order = np.argsort(losses.to_numpy(), kind="stable")
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    return len(SHADES) * place // max(len(order), 1)


def parallel_figure(
    data: pd.DataFrame,
    priors: Mapping[str, Prior],
    metric: str,
    looks: Looks,
    style: StyleName = "light",
) -> Figure:
    """The axes one under the other, the validation loss last; stronger lines have lower losses.

    ``data``: of `parallel_data`; ``priors``: of `shown_priors`. The best of each of the
    searchers is in its own colour; ``looks``: theirs.
    """
    scale = loss_scale(data["validation_loss"].tolist())
    names = _names(priors, metric, scale)
    with themed(style) as theme:
        best = data[data["best"]]
        drawn = [name for name in looks if (best["searcher"] == name).any()]
        top = TOP + 0.2 * -(-len(drawn) // 5)
        left = 0.25 + max(map(text_width, names))
        height = top + ROW * (len(names) - 1) + BOTTOM
        figure = Figure(figsize=(WIDTH, height))
        box = (left / WIDTH, BOTTOM / height)
        size = ((WIDTH - left - 0.3) / WIDTH, ROW * (len(names) - 1) / height)
        axes = figure.add_axes((*box, *size), label="axes")
        axes.set_xlim(0, 1)
        axes.set_ylim(len(names) - 1, 0)
        axes.set_xticks([])
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        at = places(data, priors, scale)
        down = np.broadcast_to(np.arange(at.shape[1]), at.shape)
        lines, fifth = np.stack([at, down], axis=2), fifths(data["validation_loss"])
        axes.hlines(range(len(names)), 0, 1, color=theme.faint, lw=0.9, clip_on=False)
        for shade in range(len(SHADES) - 1, -1, -1):
            some = LineCollection(list(lines[fifth == shade]), colors=theme.text, lw=0.6)
            some.set_alpha(SHADES[shade])
            axes.add_collection(some)
        handles = []
        for searcher in drawn:
            look = line_style(looks[searcher], style)
            (own,) = np.flatnonzero(data["best"] & (data["searcher"] == searcher))
            axes.plot(*lines[own].T, clip_on=False, **look.line(1.6))
            handles.append(Line2D([], [], **look.line(1.6)))
        small: dict[str, Any] = {"fontsize": 7, "color": theme.faint, "va": "top"}
        for row, (low, high) in enumerate(_ends(priors, scale)):
            axes.text(0, row + 0.06, low, ha="left", **small)
            axes.text(1, row + 0.06, high, ha="right", **small)
        figure.legend(
            handles,
            [f"best of {shortened(name)}" for name in drawn],
            loc="upper left",
            ncols=5,
            frameon=False,
            fontsize=8,
            labelcolor=theme.text,
            borderaxespad=0.3,
        )
    return figure


def _names(priors: Mapping[str, Prior], metric: str, scale: Scale) -> list[str]:
    """What stands beside the axes."""
    names = [name + (", log" if prior.log else "") for name, prior in priors.items()]
    return [*names, f"validation {metric}{', log' if scale.kind == 'log' else ''}"]


def _ends(priors: Mapping[str, Prior], scale: Scale) -> list[tuple[str, str]]:
    """What stands at the two ends of the axes."""
    return [*map(end_texts, priors.values()), loss_ends(scale)]


def places(data: pd.DataFrame, priors: Mapping[str, Prior], scale: Scale) -> NDArray[np.float64]:
    """Where each line crosses each axis, from 0 to 1, NaN where it does not; (lines, axes)."""
    columns = [prior.place(data[PREFIX + name].tolist()) for name, prior in priors.items()]
    return np.column_stack([*columns, _along(scale, data["validation_loss"])])


def _along(scale: Scale, losses: pd.Series) -> NDArray[np.float64]:
    ends = np.array([scale.low, scale.high])
    values, ends = (np.log(losses), np.log(ends)) if scale.kind == "log" else (losses, ends)
    return np.asarray((values - ends[0]) / (ends[1] - ends[0]), dtype=float)


def parallel_plot(
    data: pd.DataFrame, priors: Mapping[str, Prior], metric: str, looks: Looks
) -> Interactive:
    """The lines of `parallel_figure`, of those searchers that the reader chooses.

    Args:
        data: Of `parallel_data`.
        priors: Of `shown_priors`.
        metric: What the task's validation loss is.
        looks: The searchers'.
    """
    scale = loss_scale(data["validation_loss"].tolist())
    present = {n: look for n, look in looks.items() if (data["searcher"] == n).any()}
    lines = _Lines(data, places(data, priors, scale), _texts(data, priors, metric))
    layouts: list[Layout] = [
        ({"colour": colour}, {"title": {"text": f"thick: the best of each searcher; {others}"}})
        for colour, others in (
            ("loss", "the others: the stronger, the lower the loss"),
            ("searcher", "the others in its colour"),
        )
    ]
    for screen, letters in (("narrow", 18), ("wide", 60)):
        names = [wrapped(name, letters) for name in _names(priors, metric, scale)]
        layouts.append(({"screen": screen}, {"yaxis": {"ticktext": names}}))
    all_the_best = data["best"].all()
    return Interactive(
        plot_of(lines.traces(present), _layout(_ends(priors, scale))),
        (
            Control("colour", "colour", COLOURS, "loss"),
            Control("lines", "lines", () if all_the_best else WHICH, "all"),
        ),
        tuple(searcher_entry(look, n, drawn=n in present) for n, look in looks.items()),
        tuple(layouts),
    )


@dataclass(frozen=True)
class _Lines:
    """Lines down through the axes.

    Args:
        data: Of `parallel_data`, a row each.
        across: Where they cross the axes, (lines, axes).
        texts: What is said of each.
    """

    data: pd.DataFrame
    across: NDArray[np.float64]
    texts: NDArray[np.object_]

    def traces(self, looks: Looks) -> list[Trace]:
        """By loss, the strongest on top, by searcher, and the best of each over them."""
        of, best = self.data["searcher"].to_numpy(), self.data["best"].to_numpy(bool)
        fifth, every = fifths(self.data["validation_loss"]), {"lines": "all"}
        traces = []
        for shade in range(len(SHADES) - 1, -1, -1):
            some = ~best & (fifth == shade)
            meta = shown(None, {"colour": "loss", **every}, each=of[some].tolist())
            traces.append(self._trace(some, meta, 1, faded(LIGHT.text, SHADES[shade])))
        for name, look in looks.items():
            meta = shown(name, {"colour": "searcher", **every})
            colour = faded(line_colour(look), 0.3)
            traces.append(self._trace(~best & (of == name), meta, 1, colour))
        for name, look in looks.items():
            some, dash = best & (of == name), PLOTLY_DASHES[look.dash]
            traces.append(self._trace(some, shown(name), 2.5, line_colour(look), dash))
        return [trace for trace in traces if trace["x"]]

    def _trace(
        self, some: NDArray[np.bool_], meta: Record, width: float, colour: str, dash: str = "solid"
    ) -> Trace:
        """``some``: which of the lines. A gap follows each; its text is said once for all of it."""
        across = np.column_stack([self.across[some], np.full(int(some.sum()), np.nan)])
        lines, points = across.shape
        return {
            "type": "scatter",
            "mode": "lines",
            "x": plain_list(pd.Series(across.ravel().round(4))),
            "y": [*range(points - 1), None] * lines,
            "text": self.texts[some].tolist(),
            "hovertemplate": HOVER,
            "connectgaps": False,
            "cliponaxis": False,
            "line": {"width": width, "color": colour, "dash": dash},
            "meta": {**meta, "repeat": points},
        }


def _texts(data: pd.DataFrame, priors: Mapping[str, Prior], metric: str) -> NDArray[np.object_]:
    """What is said of each line: who tried it, all of its values, and its loss."""
    heads = zip(*(data[name].tolist() for name in ("searcher", "seed", "evaluation")), strict=True)
    texts = [f"{bold(name)}, seed {seed}, evaluation {number}" for name, seed, number in heads]
    columns = [(name, data[PREFIX + name], prior.choices) for name, prior in priors.items()]
    columns.append((f"validation {metric}", data["validation_loss"], None))
    for name, values, choices in columns:
        said = told if choices is None else _choice
        lines = (f"<br>{escaped(name)} = {said(value)}" for value in plain_list(values))
        texts = [text + line for text, line in zip(texts, lines, strict=True)]
    return np.array(texts, object)


def _choice(choice: str | None) -> str:
    return "" if choice is None else escaped(choice)


def _layout(ends: Sequence[tuple[str, str]]) -> Record:
    """The axes, one under the other; ``ends``: what stands at the two ends of each."""
    axis: Record = {"range": [0, 1], "showticklabels": False, "ticks": "", "showgrid": False}
    names: Record = {"tickvals": [*range(len(ends))], "range": [len(ends) - 0.5, -0.3]}
    names |= {"ticks": "outside", "ticklen": 6, "tickcolor": CLEAR, "gridcolor": LIGHT.faint}
    bare: Record = {"fixedrange": True, "showline": False}
    small = {"size": 10, "color": LIGHT.faint}
    texts = [
        {
            **{"x": end, "y": row, "text": escaped(text), "font": small, "showarrow": False},
            **{"xanchor": ("left", "right")[end], "yanchor": "top", "yshift": -1},
        }
        for row, both in enumerate(ends)
        for end, text in enumerate(both)
    ]
    size = {"height": 70 + 40 * len(ends), "margin": {"b": 14}}
    return {**size, "xaxis": axis | bare, "yaxis": names | bare, "annotations": texts}


def parallel_figures(source: FigureSource) -> list[RunFigure]:
    """That of each task on which something was trained to the end."""
    at_most, figures = lines_for(len(source.tasks)), []
    for task in source.tasks:
        data, count = parallel_data(source.evaluated, task, at_most)
        if len(data):
            record = source.results.task(task)
            figures.append(_parallel(record, data, count, source.looks))
    return figures


def _files(source: FigureSource) -> dict[str, Draw]:
    """The same, with more lines than a page can hold."""
    files: dict[str, Draw] = {}
    for task in source.tasks:
        data, _ = parallel_data(source.evaluated, task)
        if len(data):
            record = source.results.task(task)
            axes, metric = shown_priors(record, data), record["metric"]
            files[f"parallel-{task}"] = partial(parallel_figure, data, axes, metric, source.looks)
    return files


PARALLEL = FigureKind(parallel_figures, _files, name="parallel", section="tried", by_task=True)


def _parallel(task: Record, data: pd.DataFrame, count: int, looks: Looks) -> RunFigure:
    priors = shown_priors(task, data)
    few = sample(len(data), np.flatnonzero(data["best"]), DRAWN_LINES)
    return RunFigure(
        section="tried",
        heading=task["name"],
        task=task["name"],
        name=f"parallel-{task['name']}",
        label=f"Figure: hyperparameters that were tried and what came of them, on {task['name']}",
        caption="Each line is a full training: where it crosses an axis is its value, on the scale"
        " of the range that all searchers had, and at the bottom its validation loss. The stronger"
        f" a line, the lower its loss, in fifths. {_how_many(len(data), count)}"
        f"{_how_few(task, priors)}",
        data=data,
        static=partial(parallel_figure, data.iloc[few], priors, task["metric"], looks),
        interactive=partial(parallel_plot, data, priors, task["metric"], looks),
    )


def _how_many(lines: int, count: int) -> str:
    if lines == count:
        return f"All {count:,} of the complete cells are shown."
    return (
        f"{lines:,} of the {count:,} of the complete cells are shown: the best of each"
        f" searcher, and of the others every {(count - 1) / (lines - 1):.3g}th or so."
        f" Where the page is drawn without scripts, {DRAWN_LINES} of them."
    )


def _how_few(task: Record, priors: Mapping[str, Prior]) -> str:
    values = sum(len(prior.names) for prior in priors_of(task))
    more = values > MOST_AXES
    return f" Of {values} hyperparameters there are axes for {len(priors)}." if more else ""
