"""The report of a run: one HTML page that stands on its own, without network.

With scripts its figures are interactive; without, they are drawings.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from hpobench.report.clocks import CLOCKS
from hpobench.report.conclusions import answers, further, verdict
from hpobench.report.drawing.inline import colour_variables
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import STYLES
from hpobench.report.failures import Failure, attempted, failures_in
from hpobench.report.figures import SECTIONS, FiguresByKind, figures_of
from hpobench.report.figures.regret import whole_regret
from hpobench.report.page.figure import PageFigure, packed_plotly
from hpobench.report.page.given import (
    given_by,
    given_to_all,
    made_with,
    reference_words,
    searcher_words,
)
from hpobench.report.page.notes import notes_on
from hpobench.report.page.replay import replay_section
from hpobench.report.tables.across import across_table
from hpobench.report.tables.cells import cell_table
from hpobench.report.tables.faults import fault_table
from hpobench.report.tables.ledger import ledger_table
from hpobench.report.tables.pairs import pairs_tables
from hpobench.report.tables.reference_error import reference_error
from hpobench.report.tables.summary import reached
from hpobench.results.json_files import Record, write_whole
from hpobench.results.regret import Clock
from hpobench.results.targets import TARGET_WORDS
from hpobench.text import (
    UNKNOWN,
    budget,
    default_held,
    memory,
    number,
    percent,
    plural,
    plus_minus,
)

if TYPE_CHECKING:
    from hpobench.results.run import Results

T = TypeVar("T")

GENERATOR = "hpobench, page 6"
"""By which page it says it was made; another number where it is drawn in another way."""

OPENING = "regret"
"""The section whose figures come directly under the answer."""

TABLES = {
    "pairs": "searchers against each other",
    "across": "all searchers across tasks and seeds",
    "ledger": "where the time went",
    "disturbances": "what went wrong",
    "replays": "what was trained again",
    "cells": "cells",
}
"""What the page's tables are of, by name."""

MANY = 100_000
"""Evaluations of a large run are more than these."""


@dataclass(frozen=True)
class Page:
    """A page, as HTML, and the parts that could not be made for it."""

    html: str
    failures: tuple[Failure, ...]


def write_report(
    results: Results,
    clock: Clock = "seconds",
    figures: FiguresByKind | None = None,
    drawn: Callable[[], Markup | Failure] | None = None,
) -> Path:
    """Write `report.html` into the run's folder; see `render_report`."""
    path = results.path / "report.html"
    write_whole(path, render_report(results, clock, figures, drawn).encode())
    return path


def render_report(
    results: Results,
    clock: Clock = "seconds",
    figures: FiguresByKind | None = None,
    drawn: Callable[[], Markup | Failure] | None = None,
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
    return page_of(results, clock, figures, drawn).html


def page_of(
    results: Results,
    clock: Clock = "seconds",
    figures: FiguresByKind | None = None,
    drawn: Callable[[], Markup | Failure] | None = None,
) -> Page:
    """The same, with what could not be made for it; the page says so, each in its place."""
    source = FigureSource(results, clock)
    made = figures_of(source) if figures is None else figures
    said = content(results, clock)
    said |= _sections(said, made, static=not is_large(results))
    said |= _drawing(source, drawn)
    return Page(_template().render(said), tuple(failures_in(said)))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("hpobench", "report/page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["undrawn"] = lambda part: isinstance(part, Failure)
    return environment.get_template("page.html")


def content(results: Results, clock: Clock) -> Record:
    study = results.study
    counts = [(study["tasks"], "task"), (study["searchers"], "searcher"), (study["seeds"], "seed")]
    source = FigureSource(results, clock)
    verdicts, paragraphs = _answers(results, clock)
    return {
        "name": study["name"],
        "created": study["created"].replace("T", " ").replace("+00:00", " UTC"),
        "size": " × ".join(plural(len(items), noun) for items, noun in counts),
        "budget": budget(study["budget"]),
        "slots": plural(study["width"], "slot"),
        "verdict": verdicts,
        "further": paragraphs,
        "notes": notes_on(results),
        "pairs": _table("pairs", lambda: pairs_tables(results, source.curves, clock)),
        "across": _table("across", lambda: across_table(results, source.curves, clock)),
        "clock": CLOCKS[clock],
        "zero": TARGET_WORDS["zero"],
        "colours": {style: colour_variables(style) for style in STYLES},
        "ledger": _table("ledger", partial(ledger_table, results)),
        "disturbances": _table("disturbances", partial(fault_table, results)),
        "replays": _table("replays", partial(replay_section, results)),
        "replay_draws": plural(results.replays.draws, "draw") if results.replays else "",
        "given": given_to_all(study),
        "searchers": [searcher_words(searcher) for searcher in study["searchers"]],
        "cells": _table("cells", partial(cell_table, results)),
        "made_with": made_with(study),
        "tasks": [_task(results, task, clock) for task in results.tasks],
    }


def _table(name: str, make: Callable[[], T], of: str = "") -> T | Failure:
    return attempted(f"table-{name}", make, f"the table of {of or TABLES[name]}")


def _answers(
    results: Results, clock: Clock
) -> tuple[Sequence[str | Failure], Sequence[str | Failure]]:
    """What the page opens with, and what else there is to say, in paragraphs."""

    def said() -> tuple[list[str], list[str]]:
        found = answers(results, clock)
        return verdict(found), further(results, found)

    made = attempted("answer", said, "the answer in words")
    return ([made], []) if isinstance(made, Failure) else made


def _sections(said: Record, figures: FiguresByKind, static: bool) -> Record:
    """The sections that have figures or tables of their own, in order, and their figures.

    Each is drawn here; without scripts, too, if it shall be ``static``.
    """
    order = [task["name"] for task in said["tasks"]]
    every = [
        figure if isinstance(figure, Failure) else PageFigure.drawn(figure, static)
        for of_kind in figures.values()
        for figure in of_kind
    ]
    every.sort(key=lambda shown: [*order, shown.task].index(shown.task))
    by_section = {name: [shown for shown in every if shown.section == name] for name in SECTIONS}
    tables = {name: said[name] for name in ("replays", "across", "ledger")}
    headings = {
        name: heading
        for name, heading in SECTIONS.items()
        if name != OPENING and (by_section[name] or tables.get(name))
    }
    return {"sections": headings, "figures": by_section}


def _drawing(source: FigureSource, drawn: Callable[[], Markup | Failure] | None) -> Record:
    """The drawing of a large run, and what the page's scripts need."""
    plotly = packed_plotly()
    page = files("hpobench") / "report" / "page"
    scripts = [(page / name).read_text(encoding="utf-8") for name in ("line_ends.js", "page.js")]
    whole, svg = _whole(source, drawn) if is_large(source.results) else (None, None)
    return {
        "whole": whole,
        "whole_svg": svg,
        "generator": GENERATOR,
        "plotly": plotly,
        "light": Markup(json.dumps(STYLES["light"].colours)),
        "script": Markup("\n".join(scripts)),
    }


def _whole(
    source: FigureSource, drawn: Callable[[], Markup | Failure] | None
) -> tuple[PageFigure | Failure, Markup | Failure | None]:
    """The one drawing of a large run's page."""
    figure = attempted("regret", partial(whole_regret, source))
    if isinstance(figure, Failure):
        return figure, None
    shown = PageFigure(figure)
    svg = drawn() if drawn else attempted("regret", lambda: shown.svg)
    return (svg, None) if isinstance(svg, Failure) else (shown, svg)


def _task(results: Results, name: str, clock: Clock) -> Record:
    reference = results.references[name]

    def rows() -> list[Record]:
        summary = results.summary(clock)
        mine = summary[summary["task"] == name].to_dict("records")
        return [_row(row, reference is not None, clock) for row in mine]

    return {
        "name": name,
        "has_reference": reference is not None,
        "final": f"final {'regret' if reference is not None else 'test loss'}",
        "measured_from": _measured_from(results, name),
        "summary": _table(f"summary-{name}", rows, of=f"the summary of {name}"),
        "given": given_by(results, name),
        "reference": reference_words(results, name),
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
