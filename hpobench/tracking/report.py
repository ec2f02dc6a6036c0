"""What the W&B Report of a study says and shows, as plain data.

W&B draws its panels from the runs of a project. What it can draw of several seeds is a median and
a range, so every title says that it is one; what rests on intervals is told in words.
"""

from __future__ import annotations

from typing import Any

from hpobench.report.answer import answers
from hpobench.report.clocks import CLOCKS
from hpobench.report.disturbances import incomplete
from hpobench.report.ledger_table import MEANING
from hpobench.report.terminal_table import TARGETS, reached
from hpobench.report.wording import (
    budget,
    configuration,
    listed,
    number,
    pairs,
    plain,
    plural,
    plus_minus,
)
from hpobench.results.curves import Clock
from hpobench.results.fields import MEMORY
from hpobench.results.records import Record
from hpobench.results.run import Results
from hpobench.running.ledger import PARTS
from hpobench.tracking.content import AT_LEAST, POINTS_A_DECADE
from hpobench.tracking.track import study_id

LONGEST_TITLE = 128
MOST_RUNS = 1000  # in a panel: W&B would leave out all but the first few
WIDTH, HEIGHT = 12, 8  # of a panel: two beside each other
SPREAD = "median over seeds and their range (lowest to highest), not an interval"


def report_of(results: Results, entity: str, project: str) -> Record:
    """The report of a run, whose runs are in a project of W&B's.

    Nested records; "class" is a class of `wandb_workspaces.reports.v2`, the rest its arguments.
    """
    study = results.study
    counts = [(study["tasks"], "task"), (study["searchers"], "searcher"), (study["seeds"], "seed")]
    size = " × ".join(plural(len(items), noun) for items, noun in counts)
    return _made(
        "Report",
        entity=entity,
        project=project,
        title=f"hpobench {study['name']}"[:LONGEST_TITLE],
        description=f"{size}, {budget(study['budget'])} for each cell. {marker(results)}",
        width="fluid",
        blocks=[
            _heading("Verdict"),
            *_paragraphs(answers(results)),
            *_paragraphs(results.notes),
            *[block for task in results.tasks for block in _task(results, task)],
            *_method(results),
        ],
    )


def marker(results: Results) -> str:
    """What a report's description says of its study, and of no other's."""
    return f"Study {study_id(results.study)}."


def _task(results: Results, task: str) -> list[Record]:
    absent = incomplete(results, task)
    missing = [f"Cells that are not complete, and not drawn: {'; '.join(absent)}."]
    return [
        _heading(task),
        *_paragraphs([_measured_from(results, task), *(missing if absent else [])]),
        *_times(results, task),
        _made(
            "PanelGrid",
            runsets=[_run_set(results, task)],
            panels=_placed(_panels(results, task)),
        ),
    ]


def _run_set(results: Results, task: str) -> Record:
    """W&B calls a run finished if its cell is complete, and failed if its cell has failed."""
    conditions = {"Config('study_id')": study_id(results.study), "Config('task')": task}
    chosen = " and ".join(f"{key} = {value!r}" for key, value in conditions.items())
    return _made(
        "Runset",
        name=f"{task}: complete cells",
        filters=f"{chosen} and State = 'finished'",
        pinned_columns=["run:displayName", "config:searcher.value", "config:seed.value"],
    )


def _panels(results: Results, task: str) -> list[Record]:
    measured = results.references[task] is not None
    metric = results.task(task)["metric"]
    curves = {"regret": "regret"} if measured else {}
    curves |= {"validation_loss": f"validation {metric}", "test_loss": f"test {metric}"}
    first, *others = curves
    return [
        _curve(results, task, "seconds", first, curves[first]),
        _curve(results, task, "steps", first, curves[first]),
        *[_curve(results, task, "seconds", name, curves[name]) for name in others],
        *([_time(target, words) for target, words in TARGETS.items()] if measured else []),
        _ledger(results, task),
        _bars("peak memory of a slot, in bytes", _known(results, task, list(MEMORY))),
        *_hyperparameters(results, task),
        _made("WeavePanelSummaryTable", table_name="evaluations"),
    ]


def _curve(results: Results, task: str, clock: Clock, name: str, words: str) -> Record:
    return _line(
        f"{_upper(words)} of the incumbent over {CLOCKS[clock].unit}, by searcher",
        clock,
        [name],
        log_y=_positive(results, task, name),
        title_y=words,
    )


def _positive(results: Results, task: str, name: str) -> bool:
    """Whether a curve fits on a log axis: zero and negative regret would vanish from it."""
    regret = results.regret()
    mine = (regret["task"] == task) & (regret["curve"] == "incumbent")
    values = regret.loc[mine & (regret["status"] == "complete"), name].dropna()
    return bool(len(values)) and bool((values > 0).all())


def _line(title: str, clock: Clock, names: list[str], **others: Any) -> Record:
    return _made(
        "LinePlot",
        title=f"{title}: {SPREAD}",
        x=f"over_{clock}/{clock}",
        y=[f"over_{clock}/{name}" for name in names],
        log_x=True,
        title_x=CLOCKS[clock].axis,
        groupby="config.searcher",
        groupby_aggfunc="median",
        groupby_rangefunc="minmax",
        smoothing_type="none",
        max_runs_to_show=MOST_RUNS,
        **others,
    )


def _bars(title: str, metrics: list[str]) -> Record:
    return _made(
        "BarPlot",
        title=f"{_upper(title)}, by searcher: {SPREAD}",
        metrics=[_made("SummaryMetric", name=name) for name in metrics],
        orientation="h",
        groupby="config.searcher",
        groupby_aggfunc="median",
        groupby_rangefunc="minmax",
        max_runs_to_show=MOST_RUNS,
    )


def _time(target: str, words: str) -> Record:
    """Bars that leave no seed out: one that did not get there counts with the time that it had."""
    return _bars(
        f"seconds to {words} regret (a cell that did not get there counts with all of its time)",
        [AT_LEAST.format(target)],
    )


def _times(results: Results, task: str) -> list[Record]:
    """When the targets were reached, and by how many, as a table."""
    if results.references[task] is None:
        return []
    summary = results.summary()
    columns = [f"seconds to {words} regret" for words in TARGETS.values()]
    rows = [
        [
            row["searcher"],
            plus_minus(row["final_regret"], row["final_regret_se"]),
            *(reached(row, target, "seconds") for target in TARGETS),
            f"{row['seeds_complete']} of {row['seeds_planned']}",
        ]
        for row in summary[summary["task"] == task].to_dict("records")
    ]
    heads = ["searcher", "final regret ± s.e.", *columns, "complete cells"]
    lines = [heads, ["---"] * len(heads), *rows]
    text = "\n".join(f"| {' | '.join(_cell(word) for word in line)} |" for line in lines)
    note = (
        "A time is the one by which at least half of the seeds that ended had come to the target"
        " to stay, with how many did in brackets; – where fewer did, and a failed cell did not."
    )
    return [_made("MarkdownBlock", text=text), *_paragraphs([note])]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _ledger(results: Results, task: str) -> Record:
    parts = [f"slot_seconds/{part}" for part in _known(results, task, list(PARTS))]
    return _bars("slot-seconds of a cell by part", parts)


def _known(results: Results, task: str, columns: list[str]) -> list[str]:
    """Those of the columns of cells that say anything; all of them if none does."""
    cells = results.cells[results.cells["task"] == task]
    return [column for column in columns if (cells[column] > 0).any()] or columns


def _hyperparameters(results: Results, task: str) -> list[Record]:
    """The incumbents' as the search went on; of a schedule also the last one, window by window."""
    panels = []
    for stem, names in _stems(results.task(task)["default"]).items():
        keys = [f"incumbent/{name}" for name in names]
        title = f"{stem} of the incumbent over {CLOCKS['seconds'].unit}, by searcher"
        panels.append(_line(title, "seconds", keys, title_y=stem))
        if len(names) > 1:
            panels.append(_bars(f"schedule of {stem} that the final incumbent has", keys))
    return panels


def _stems(flat: Record) -> dict[str, list[str]]:
    """The names of numbers in a configuration; those of a vector (name_0, name_1, …) together."""
    stems: dict[str, list[str]] = {}
    for name, value in flat.items():
        stem, _, index = name.rpartition("_")
        vector = stem and index.isdigit() and f"{stem}_0" in flat
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            stems.setdefault(stem if vector else name, []).append(name)
    return stems


def _measured_from(results: Results, task: str) -> str:
    reference = results.references[task]
    if reference is None:
        return f"{task} has no reference: losses are shown, and there is no regret."
    own = reference.get("standard_error")
    certainty = "" if own is None else f", known to ± {number(own, 2)}"
    return (
        f"Regret in test {results.task(task)['metric']}, measured from the {reference['kind']}"
        f" reference{certainty}: {configuration(reference['hyperparameters'])}."
        " It is signed: below zero is better than the reference."
    )


def _method(results: Results) -> list[Record]:
    study = results.study
    given = [
        f"Budget: {budget(study['budget'])} for each cell, on {plural(study['width'], 'slot')}.",
        f"Seeds: {listed([str(seed) for seed in study['seeds']])}. Equal seeds have the same data"
        " split for every searcher, and equal evaluation numbers the same initial weights.",
        *(f"{_upper(words.unit)}: {words.meaning}" for words in CLOCKS.values()),
        f"Curves are drawn at {POINTS_A_DECADE} places a decade, the same for every cell; the runs"
        " also have every change. Over training steps cells end at different places: from there on"
        " a median is over those that went on.",
        "The test set guides no searcher: it is measured after the cell, for each incumbent.",
        "The parts of the ledger: "
        + "; ".join(f"{part}: {meaning}" for part, meaning in MEANING.items())
        + ".",
    ]
    return [
        _heading("Method"),
        _list(given),
        *[block for task in study["tasks"] for block in _given_by(task)],
        _heading("Searchers", 2),
        _list([_searcher(searcher) for searcher in study["searchers"]]),
    ]


def _given_by(task: Record) -> list[Record]:
    smaller = {
        "compress": "the whole schedule in fewer steps",
        "truncate": "the first part of the schedule",
    }[task["smaller_budget"]]
    epochs = listed([str(epochs) for epochs in task["budgets"]])
    return [
        _heading(f"What {task['name']} gives to every searcher", 2),
        _list(
            [
                f"What is trained: {plain(task['summary'])}, by {task['update_rule']}.",
                *(f"Range of {name}: {words}" for name, words in task["space"].items()),
                *(f"Offered first: {configuration(flat)}" for flat in task["initial"]),
                f"Default: {configuration(task['default'])}",
                f"A training has {epochs} epochs; a smaller budget is {smaller}.",
            ]
        ),
    ]


def _searcher(searcher: Record) -> str:
    settings = pairs(searcher["settings"])
    return f"{searcher['name']}: {plain(searcher['summary'])}" + (
        f" (its own settings: {settings})" if settings else ""
    )


def _placed(panels: list[Record]) -> list[Record]:
    """Two beside each other, from the top down."""
    return [
        panel
        | {
            "layout": _made(
                "Layout",
                x=WIDTH * (place % 2),
                y=HEIGHT * (place // 2),
                w=WIDTH,
                h=HEIGHT,
            )
        }
        for place, panel in enumerate(panels)
    ]


def _heading(text: str, level: int = 1) -> Record:
    return _made(f"H{level}", text=text)


def _paragraphs(texts: list[str] | tuple[str, ...]) -> list[Record]:
    return [_made("P", text=text) for text in texts]


def _list(items: list[str]) -> Record:
    return _made("UnorderedList", items=items)


def _made(kind: str, /, **arguments: Any) -> Record:
    return {"class": kind, **arguments}


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
