"""Figures of the page about hyperparameters: as they were learned, and all that were tried."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hpobench.report.drawing.evaluated import Evaluated
from hpobench.report.drawing.priors import Prior, priors_of
from hpobench.report.drawing.scale import loss_scale
from hpobench.report.figures import hypergradients, parallel, schedules
from hpobench.report.page.figure import Drawing, PageFigure, control, look, page_figure
from hpobench.results.csv_text import csv_of
from hpobench.results.json_files import Record
from hpobench.results.run import Results

DRAWN_LINES = 100
"""Lines of parallel coordinates in a drawing on the page."""

ONE_CELL = "Of each gradient-based searcher it is the first complete cell, that of seed"


def learned_figures(results: Results) -> list[PageFigure]:
    """Each of them; a figure that would have nothing to show is not there."""
    evaluated = Evaluated.of(results)
    searches = sum(len(evaluated.searches(task)) for task in results.tasks)
    found: list[PageFigure] = []
    for task in results.tasks:
        record = results.task(task)
        values = sum(len(prior.names) for prior in priors_of(record))
        most = schedules.evaluations_for(searches, values)
        learned = schedules.schedule_data(evaluated, task, most)
        if len(learned):
            found.append(_schedules(learned, record, results.searchers))
        most = hypergradients.evaluations_for(searches)
        slopes = hypergradients.hypergradient_data(evaluated, task, most)
        if len(slopes):
            found.append(_hypergradients(slopes, task, results.searchers))
    for task in results.tasks:
        tried, count = parallel.parallel_data(
            evaluated, task, parallel.lines_for(len(results.tasks))
        )
        if len(tried):
            found.append(_parallel(tried, count, results.task(task), results.searchers))
    return found


def _schedules(data: pd.DataFrame, task: Record, searchers: tuple[str, ...]) -> PageFigure:
    name, scales = task["name"], schedules.scales_of(task, data)
    along: list[schedules.View] = ["training"] if schedules.moving(data) else []
    views: list[schedules.View] = [*along, "evaluation", "seconds"]
    first = next(iter(schedules.moving(data) or scales))
    label = f"Figure: hyperparameters as they were learned, on {name}"
    figure = partial(
        schedules.schedule_figure, data, views[0], _places(searchers), {first: scales[first]}
    )
    words = {"training": "the training", "evaluation": "outer step", "seconds": "seconds"}
    shown = [(hyperparameter, hyperparameter) for hyperparameter in scales]
    controls = [
        control("hyperparameter", "hyperparameter", shown, first),
        control("against", "against", [(view, words[view]) for view in views], views[0]),
    ]
    return page_figure(
        section="learned",
        heading=name,
        name=f"schedules-{name}",
        label=label,
        caption="Hyperparameters as they were learned. Against the training: each line is what one"
        " evaluation trained with from its first step to its last, the fainter the earlier in the"
        " search. Otherwise each line is one value of the configurations that were tried one after"
        " the other, the fainter the earlier in the training it holds; of what changes with each"
        f" step it is a window's mean. {_one_cell(data)}",
        drawing=Drawing(figure, f"schedules-{name}-", label),
        csv=csv_of(data),
        plot={
            "kind": "schedules",
            "controls": [one for one in controls if len(one["options"]) > 1],
            "searchers": _looks(searchers, set(data["searcher"])),
            "log": scales,
            "first": first,
            "axes": schedules.AXES,
            "palest": schedules.PALEST,
        },
    )


def _hypergradients(data: pd.DataFrame, task: str, searchers: tuple[str, ...]) -> PageFigure:
    names = list(dict.fromkeys(data["hyperparameter"]))
    label = f"Figure: hypergradient against outer step, on {task}"
    figure = partial(
        hypergradients.hypergradient_figure, data, "evaluation", _places(searchers), names
    )
    across = [("evaluation", "outer step"), ("seconds", "seconds")]
    controls = [
        control("hyperparameter", "by", [(name, name) for name in names], names[0]),
        control("against", "against", across, "evaluation"),
    ]
    return page_figure(
        section="learned",
        heading=f"{task}: hypergradient",
        name=f"hypergradients-{task}",
        label=label,
        caption="How much the validation loss changes with a hyperparameter: the norm of its"
        " derivatives by the fractions of the range, over all values that the hyperparameter has"
        " (RMD has one for each step). ×: one of them was inf or NaN; ▽: zero."
        f" {_one_cell(data)}",
        drawing=Drawing(figure, f"hypergradients-{task}-", label),
        csv=csv_of(data),
        plot={
            "kind": "hypergradients",
            "controls": [one for one in controls if len(one["options"]) > 1],
            "searchers": _looks(searchers, set(data["searcher"])),
            "first": names[0],
            "axes": schedules.AXES,
        },
    )


def _parallel(
    data: pd.DataFrame, count: int, task: Record, searchers: tuple[str, ...]
) -> PageFigure:
    name, priors = task["name"], parallel.shown_priors(task, data)
    scale = loss_scale(data["validation_loss"].tolist())
    label = f"Figure: hyperparameters that were tried and what came of them, on {name}"
    colours = [("loss", "validation loss"), ("searcher", "searcher")]
    lines = [("all", "all"), ("best", "the best of each searcher")]
    loss: Record = {"name": f"validation {task['metric']}", "column": "validation_loss"}
    loss |= {"log": scale.kind == "log", "low": scale.low, "high": scale.high}
    loss |= {"ends": parallel.loss_ends(scale)}
    return page_figure(
        section="tried",
        heading=name,
        name=f"parallel-{name}",
        label=label,
        caption=f"Each line is a full training: where it crosses an axis is its value, on the"
        " scale of the range that all searchers had, and at the bottom its validation loss. The"
        f" stronger a line, the lower its loss, in fifths. {_how_many(data, count)}"
        f"{_how_few(task, priors)}",
        drawing=Drawing(
            partial(_parallel_drawing, data, priors, task["metric"], searchers),
            f"parallel-{name}-",
            label,
        ),
        csv=csv_of(data),
        plot={
            "kind": "parallel",
            "controls": [
                control("colour", "colour", colours, "loss"),
                *([control("lines", "lines", lines, "all")] if not data["best"].all() else []),
            ],
            "searchers": _looks(searchers, set(data["searcher"]), all_of_them=True),
            "axes": [*(_axis(flat, prior) for flat, prior in priors.items()), loss],
            "shades": parallel.SHADES,
        },
    )


def _parallel_drawing(
    data: pd.DataFrame, priors: dict[str, Prior], metric: str, searchers: tuple[str, ...]
) -> Figure:
    """With a part of the lines, for a drawing is large."""
    few = parallel.sample(len(data), np.flatnonzero(data["best"]), DRAWN_LINES)
    return parallel.parallel_figure(data.iloc[few], priors, metric, _places(searchers))


def _axis(name: str, prior: Prior) -> Record:
    axis: Record = {"name": name, "column": parallel.PREFIX + name, "log": prior.log}
    axis |= {"low": prior.low, "high": prior.high, "ends": parallel.end_texts(prior)}
    return axis | ({} if prior.choices is None else {"choices": prior.choices})


def _one_cell(data: pd.DataFrame) -> str:
    seeds = data.drop_duplicates("searcher")["seed"].unique()
    which = str(seeds[0]) if len(seeds) == 1 else "that the data name"
    return f"{ONE_CELL} {which}."


def _how_many(data: pd.DataFrame, count: int) -> str:
    if len(data) == count:
        return f"All {count:,} of the complete cells are shown."
    return (
        f"{len(data):,} of the {count:,} of the complete cells are shown: the best of each"
        f" searcher, and of the others every {(count - 1) / (len(data) - 1):.3g}th or so."
        f" Where the page is drawn without scripts, {DRAWN_LINES} of them."
    )


def _how_few(task: Record, priors: dict[str, Prior]) -> str:
    values = sum(len(prior.names) for prior in priors_of(task))
    more = values > parallel.MOST_AXES
    return f" Of {values} hyperparameters there are axes for {len(priors)}." if more else ""


def _places(searchers: tuple[str, ...]) -> dict[str, int]:
    return {name: place for place, name in enumerate(searchers)}


def _looks(
    searchers: tuple[str, ...], present: set[str], all_of_them: bool = False
) -> list[Record]:
    return [
        {"name": name, "label": name, "drawn": name in present, **look(place)}
        for name, place in _places(searchers).items()
        if all_of_them or name in present
    ]
