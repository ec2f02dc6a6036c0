"""The panels of a task in the W&B Report, as plain data, and the runs that they are drawn from.

What W&B can draw of several seeds is a median and a range, so every title says that it is one; what
rests on intervals is told in words.
"""

from __future__ import annotations

from typing import Any

from hpobench.report.clocks import CLOCKS
from hpobench.results.json_files import Record
from hpobench.results.regret import Clock
from hpobench.results.run import Results
from hpobench.results.schema import MEMORY, PARTS
from hpobench.results.targets import TARGET_MEANINGS
from hpobench.text import stem_of
from hpobench.tracking.wandb.blocks import made
from hpobench.tracking.wandb.content import AT_LEAST
from hpobench.tracking.wandb.track import study_id

DRAWN_OVER: tuple[Clock, Clock] = ("seconds", "steps")
MOST_RUNS = 1000  # in a panel: W&B would leave out all but the first few
WIDTH, HEIGHT = 12, 8  # of a panel: two beside each other
TALL = 10  # the panel that stands alone
SPREAD = "median over seeds and their range (lowest to highest), not an interval"


def opening_grid(results: Results, task: str) -> Record:
    """The one picture: regret, or the test loss, over seconds."""
    panel, *_ = _curves(results, task)
    layout = made("Layout", x=0, y=0, w=2 * WIDTH, h=TALL)
    panels = [panel | {"layout": layout}]
    return made("PanelGrid", runsets=[_run_set(results, task)], panels=panels)


def panel_grid(results: Results, task: str) -> Record:
    """The other curves, over each clock, then bars, then the table of evaluations."""
    panels = [
        *_curves(results, task)[1:],
        *_hyperparameters(results, task),
        *_bar_panels(results, task),
        made("WeavePanelSummaryTable", table_name="evaluations"),
    ]
    return made("PanelGrid", runsets=[_run_set(results, task)], panels=_placed(panels))


def _run_set(results: Results, task: str) -> Record:
    """W&B calls a run finished if its cell is complete, and failed if its cell has failed."""
    conditions = {"Config('study_id')": study_id(results.study), "Config('task')": task}
    chosen = " and ".join(f"{key} = {value!r}" for key, value in conditions.items())
    return made(
        "Runset",
        name=f"{task}: complete cells",
        filters=f"{chosen} and State = 'finished'",
        pinned_columns=["run:displayName", "config:searcher.value", "config:seed.value"],
    )


def _curves(results: Results, task: str) -> list[Record]:
    metric = results.task(task)["metric"]
    curves = {"regret": "regret"} if _measured(results, task) else {}
    curves |= {"test_loss": f"test {metric}", "validation_loss": f"validation {metric}"}
    return [
        _line(upper(words), clock, [name], title_y=words, log_y=_positive(results, task, name))
        for name, words in curves.items()
        for clock in DRAWN_OVER
    ]


def _hyperparameters(results: Results, task: str) -> list[Record]:
    """The incumbents', as the search went on."""
    return [
        _line(stem, clock, _incumbents(names), title_y=stem)
        for stem, names in _stems(results, task).items()
        for clock in DRAWN_OVER
    ]


def _bar_panels(results: Results, task: str) -> list[Record]:
    parts = [f"slot_seconds/{part}" for part in _known(results, task, list(PARTS))]
    schedules = {stem: names for stem, names in _stems(results, task).items() if len(names) > 1}
    return [
        *_replay(results, task),
        *_times(results, task),
        _bars("slot-seconds of a cell by part", parts),
        _bars("peak memory of a slot, in bytes", _known(results, task, list(MEMORY))),
        *[
            _bars(f"schedule of {stem} that the final incumbent has", _incumbents(names))
            for stem, names in schedules.items()
        ],
    ]


def _replay(results: Results, task: str) -> list[Record]:
    if results.replays is None:
        return []
    if not _measured(results, task):
        return [_bars("replayed test loss of the last incumbent", ["replay_test_loss"])]
    title = "regret of the last incumbent: trained again on fresh draws, and in the search"
    return [_bars(title, ["replay_regret", "final_regret"])]


def _times(results: Results, task: str) -> list[Record]:
    """Bars that leave no seed out: one that did not get there counts with the time that it had."""
    late = "a cell that did not get there counts with all of its time"
    return [
        _bars(f"seconds to {words} ({late})", [AT_LEAST.format(target)])
        for target, words in TARGET_MEANINGS.items()
        if _measured(results, task)
    ]


def _line(what: str, clock: Clock, names: list[str], **others: Any) -> Record:
    return made(
        "LinePlot",
        title=f"{what} of the incumbent over {CLOCKS[clock].unit}, by searcher: {SPREAD}",
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
    return made(
        "BarPlot",
        title=f"{upper(title)}, by searcher: {SPREAD}",
        metrics=[made("SummaryMetric", name=name) for name in metrics],
        orientation="h",
        groupby="config.searcher",
        groupby_aggfunc="median",
        groupby_rangefunc="minmax",
        max_runs_to_show=MOST_RUNS,
    )


def _measured(results: Results, task: str) -> bool:
    return results.references[task] is not None


def _positive(results: Results, task: str, name: str) -> bool:
    """Whether a curve fits on a log axis: zero and negative regret would vanish from it."""
    regret = results.regret()
    mine = (regret["task"] == task) & (regret["curve"] == "incumbent")
    values = regret.loc[mine & (regret["status"] == "complete"), name].dropna()
    return bool(len(values)) and bool((values > 0).all())


def _known(results: Results, task: str, columns: list[str]) -> list[str]:
    """Those of the columns of cells that say anything; all of them if none does."""
    cells = results.cells[results.cells["task"] == task]
    return [column for column in columns if (cells[column] > 0).any()] or columns


def _incumbents(names: list[str]) -> list[str]:
    return [f"incumbent/{name}" for name in names]


def _stems(results: Results, task: str) -> dict[str, list[str]]:
    """The names of numbers in a configuration; those of a vector (name_0, name_1, …) together."""
    flat = results.task(task)["default"]
    stems: dict[str, list[str]] = {}
    for name, value in flat.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            stems.setdefault(stem_of(name, flat), []).append(name)
    return stems


def _placed(panels: list[Record]) -> list[Record]:
    """Two beside each other, from the top down."""
    return [
        panel
        | {
            "layout": made(
                "Layout",
                x=WIDTH * (place % 2),
                y=HEIGHT * (place // 2),
                w=WIDTH,
                h=HEIGHT,
            )
        }
        for place, panel in enumerate(panels)
    ]


def upper(text: str) -> str:
    return text[:1].upper() + text[1:]
