"""The report of a run: one HTML page that stands on its own, without network.

With scripts its figures are interactive; without, they are drawings.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from hpobench.report.clocks import CLOCKS
from hpobench.report.conclusions import answers, further, verdict
from hpobench.report.drawing.inline import colour_variables
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import STYLES
from hpobench.report.figures import SECTIONS, FiguresByKind, figures_of
from hpobench.report.figures.regret import whole_regret
from hpobench.report.hardware import hardware_note, sharing_note
from hpobench.report.page.figure import PageFigure, packed_plotly
from hpobench.report.page.replay import replay_section
from hpobench.report.tables.across import across_table
from hpobench.report.tables.cells import cell_table
from hpobench.report.tables.faults import fault_table, incomplete
from hpobench.report.tables.ledger import ledger_note, ledger_table
from hpobench.report.tables.pairs import pairs_tables
from hpobench.report.tables.prices import price_notes, thinking_notes
from hpobench.report.tables.reference_error import reference_error
from hpobench.report.tables.summary import reached
from hpobench.results.flat_curves import FlatCurves
from hpobench.results.json_files import Record, write_whole
from hpobench.results.regret import Clock
from hpobench.results.targets import TARGET_WORDS
from hpobench.text import (
    UNKNOWN,
    budget,
    configuration,
    default_held,
    listed,
    memory,
    number,
    pairs,
    percent,
    plain,
    plural,
    plus_minus,
)

if TYPE_CHECKING:
    from hpobench.results.run import Results


GENERATOR = "hpobench, page 6"
"""By which page it says it was made; another number where it is drawn in another way."""

OPENING = "regret"
"""The section whose figures come directly under the answer."""

MANY = 100_000
"""Evaluations of a large run are more than these."""


def write_report(
    results: Results,
    clock: Clock = "seconds",
    figures: FiguresByKind | None = None,
    drawn: Callable[[], Markup] | None = None,
) -> Path:
    """Write `report.html` into the run's folder; see `render_report`."""
    path = results.path / "report.html"
    write_whole(path, render_report(results, clock, figures, drawn).encode())
    return path


def render_report(
    results: Results,
    clock: Clock = "seconds",
    figures: FiguresByKind | None = None,
    drawn: Callable[[], Markup] | None = None,
) -> str:
    """The page as HTML. Whatever comes from the run's files is escaped.

    That of a large run has one drawing, `whole_regret`, and each figure by itself needs scripts.

    Args:
        results: The run.
        clock: What figures and times are over.
        figures: Those of the run over that clock, if they are made already.
        drawn: What comes with the drawing of a large run, if it is drawn elsewhere; asked for at
            the end.
    """
    source = FigureSource(results, clock)
    made = figures_of(source) if figures is None else figures
    said = content(results, clock)
    return _template().render(said | _sections(said, made) | _drawing(source, drawn))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("hpobench", "report/page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def content(results: Results, clock: Clock) -> Record:
    study = results.study
    counts = [(study["tasks"], "task"), (study["searchers"], "searcher"), (study["seeds"], "seed")]
    curves, found = FlatCurves.of(results, clock), answers(results, clock)
    return {
        "name": study["name"],
        "created": study["created"].replace("T", " ").replace("+00:00", " UTC"),
        "size": " × ".join(plural(len(items), noun) for items, noun in counts),
        "budget": budget(study["budget"]),
        "slots": plural(study["width"], "slot"),
        "verdict": verdict(found),
        "further": further(results, found),
        "notes": _notes(results),
        "pairs": pairs_tables(results, curves, clock),
        "across": across_table(results, curves, clock),
        "clock": CLOCKS[clock],
        "zero": TARGET_WORDS["zero"],
        "colours": {style: colour_variables(style) for style in STYLES},
        "ledger": ledger_table(results),
        "disturbances": fault_table(results),
        "replays": replay_section(results),
        "replay_draws": plural(results.replays.draws, "draw") if results.replays else "",
        "given": _given(study),
        "searchers": [_searcher(searcher) for searcher in study["searchers"]],
        "cells": cell_table(results),
        "made_with": _made_with(study),
        "tasks": [_task(results, task, clock) for task in results.tasks],
    }


def _sections(said: Record, figures: FiguresByKind) -> Record:
    """The sections that have figures or tables of their own, in order, and their figures."""
    order = [task["name"] for task in said["tasks"]]
    every = [figure for of_kind in figures.values() for figure in of_kind]
    every.sort(key=lambda figure: order.index(figure.task) if figure.task else len(order))
    shown = [PageFigure(figure) for figure in every]
    by_section = {
        name: [figure for figure in shown if figure.figure.section == name] for name in SECTIONS
    }
    tables = {name: said[name] for name in ("replays", "across", "ledger")}
    headings = {
        name: heading
        for name, heading in SECTIONS.items()
        if name != OPENING and (by_section[name] or tables.get(name))
    }
    return {"sections": headings, "figures": by_section}


def _drawing(source: FigureSource, drawn: Callable[[], Markup] | None) -> Record:
    """The drawing of a large run, and what the page's scripts need."""
    plotly = packed_plotly()
    whole = PageFigure(whole_regret(source)) if is_large(source.results) else None
    page = files("hpobench") / "report" / "page"
    scripts = [(page / name).read_text(encoding="utf-8") for name in ("line_ends.js", "page.js")]
    return {
        "whole": whole,
        "whole_svg": drawn() if drawn else whole and whole.svg,
        "generator": GENERATOR,
        "plotly": plotly,
        "light": Markup(json.dumps(STYLES["light"].colours)),
        "script": Markup("\n".join(scripts)),
    }


def _notes(results: Results) -> list[str]:
    """What to keep in mind: what is missing, task by task, and what is amiss in the files."""
    notes = []
    for task in results.tasks:
        reference = results.references[task]
        if reference is None:
            notes.append(f"{task} has no reference, so no regret; its losses are shown.")
        elif reference["kind"] == "best observed":
            notes.append(
                f"The reference of {task} is the best that this study came upon: another searcher"
                " or seed can change it, and with it every regret."
            )
        absent = incomplete(results, task)
        if absent:
            notes.append(f"Cells of {task} that are not complete: {'; '.join(absent)}.")
        unmeasured = _unmeasured(results, task)
        if unmeasured:
            notes.append(
                f"The reference of {task} has not been trained on the split of"
                f" {listed([f'seed {seed}' for seed in unmeasured])}: no regret there."
            )
        notes += hardware_note(results, task) + sharing_note(results, task)
        notes += price_notes(results, task) + thinking_notes(results, task)
    return [*notes, *ledger_note(results), *results.notes]


def _unmeasured(results: Results, task: str) -> list[int]:
    if results.references[task] is None:
        return []
    return [
        seed
        for seed in results.study["seeds"]
        if math.isnan(results.split(task, seed).reference_loss)
    ]


def _task(results: Results, name: str, clock: Clock) -> Record:
    reference = results.references[name]
    summary = results.summary(clock)
    rows = summary[summary["task"] == name].to_dict("records")
    return {
        "name": name,
        "has_reference": reference is not None,
        "final": f"final {'regret' if reference is not None else 'test loss'}",
        "measured_from": _measured_from(results, name),
        "summary": [_row(row, reference is not None, clock) for row in rows],
        "given": _given_by(results.task(name)),
        "reference": _reference(results, name),
    }


def _given_by(task: Record) -> dict[str, list[str]]:
    """What a task gives to every searcher, in lines."""
    smaller = {
        "compress": "the whole schedule in fewer steps",
        "truncate": "the first part of the schedule",
    }[task["smaller_budget"]]
    epochs = listed([str(budget) for budget in task["budgets"]])
    return {
        "what is trained": [plain(task["summary"])],
        "update rule": [task["update_rule"]],
        "ranges (the prior)": [f"{name}: {words}" for name, words in task["space"].items()],
        "initial: offered first": [configuration(flat) for flat in task["initial"]],
        "default": [configuration(task["default"])],
        "budgets of a training": [f"{epochs} epochs; a smaller budget is {smaller}"],
        "measured by": [f"{task['metric']}; above {number(task['loss_ceiling'])} it has diverged"],
    }


def _measured_from(results: Results, task: str) -> str:
    reference = results.references[task]
    if reference is None:
        return f"{task} has no reference: losses are shown, and there is no regret."
    metric = results.task(task)["metric"]
    own = reference.get("standard_error")
    certainty = "" if own is None else f", known to ± {number(own, 2)}"
    return (
        f"Regret in test {metric}, measured from the {reference['kind']} reference{certainty}."
        f" Best first; means are over complete seeds. {reference_error(results, task)}"
    ).rstrip()


def _row(row: dict[Any, Any], has_reference: bool, clock: Clock) -> Record:
    if has_reference:
        outcome = [
            plus_minus(row["final_regret"], row["final_regret_se"]),
            _normalised(row["final_normalised_regret"]),
            *(reached(row, target, clock) for target in TARGET_WORDS),
        ]
    else:
        outcome = [number(row["final_test_loss"]), number(row["final_validation_loss"])]
    return {
        "searcher": row["searcher"],
        "absent": row["seeds_complete"] == 0,
        "default_held": default_held(row),
        "values": [
            f"{row['seeds_complete']} of {row['seeds_planned']}",
            *outcome,
            f"{number(row['evaluations'])} ({number(row['full_evaluations'])})",
            f"{number(row['diverged'])}, {number(row['failed'])}",
            percent(row["thinking_share"]),
            percent(row["orchestration_share"]),
        ],
        "memory": _memory(row),
    }


def _memory(row: dict[Any, Any]) -> list[str]:
    """The host's, and where a GPU was used, the GPU's."""
    on_gpu = not math.isnan(row["device_memory"])
    gpu = [f"GPU {memory(row['device_memory'])}"] if on_gpu else []
    return [memory(row["host_memory"]), *gpu]


def _normalised(regret: float) -> str:
    return UNKNOWN if math.isnan(regret) else f"{number(100 * regret)} %"


def is_large(results: Results) -> bool:
    """Whether drawing each figure would take longer than all the rest."""
    return len(results.evaluations) > MANY


def _reference(results: Results, task: str) -> Record:
    reference = results.references[task]
    splits = []
    for seed in results.study["seeds"]:
        split = results.split(task, seed)
        loss = plus_minus(split.reference_loss, split.tolerance)
        losses = f"{loss} | {number(split.default['test_loss'])}"
        splits.append(f"seed {seed}: {losses}")
    if reference is None:
        empty = {"hyperparameters": UNKNOWN, "standard_error": UNKNOWN, "provenance": [UNKNOWN]}
        return {"kind": "no reference", "splits": splits, **empty}
    own = reference.get("standard_error")
    return {
        "kind": reference["kind"],
        "hyperparameters": configuration(reference["hyperparameters"]),
        "standard_error": "not given" if own is None else number(own, 2),
        "splits": splits,
        "provenance": _provenance(reference.get("provenance") or {}),
    }


def _provenance(provenance: Record) -> list[str]:
    """Where a reference is from, in lines."""
    return [
        f"{name.replace('_', ' ')}: {_known(value)}"
        for name, value in provenance.items()
        if value is not None
    ]


def _known(value: Any) -> str:
    if isinstance(value, dict):
        return pairs(value)
    return number(value) if isinstance(value, float) else str(value)


def _given(study: Record) -> list[tuple[str, str]]:
    slot = study.get("slot")
    given = [
        ("budget", f"{budget(study['budget'])} for each cell"),
        ("slots", f"{study['width']} for each cell"),
        ("seeds", ", ".join(map(str, study["seeds"]))),
    ]
    if slot:
        cpus, gpus = plural(slot["cpus"], "CPU core"), f"{slot['gpus']:g} GPU"
        given.insert(2, ("a slot", f"{cpus}, {gpus}" if slot["gpus"] else cpus))
    return given


def _searcher(searcher: Record) -> Record:
    settings = _listed_settings(searcher["settings"]) or "none"
    return {**searcher, "summary": plain(searcher["summary"]), "settings": settings}


def _listed_settings(settings: Record) -> str:
    return ", ".join(f"{key} = {_setting(value)}" for key, value in settings.items())


def _setting(value: Any) -> str:
    """A setting in words; a part, such as an engine, by its class and its own settings."""
    if isinstance(value, dict) and value.keys() == {"class", "settings"}:
        return f"{value['class'].partition(':')[2]}({_listed_settings(value['settings'])})"
    return str(value)


def _made_with(study: Record) -> list[tuple[str, str]]:
    hardware = study.get("hardware") or {}
    versions = study.get("versions") or {}
    return [
        ("hardware", ", ".join(f"{k}: {v}" for k, v in hardware.items() if v is not None)),
        ("versions", pairs(versions)),
        ("commit", study.get("commit") or "not known"),
    ]
