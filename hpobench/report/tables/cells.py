"""The cells of a run, one a row: what became of each, where it ran, where its time went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpobench.report.hardware import places
from hpobench.report.tables.faults import what_happened
from hpobench.report.tables.ledger import flag, residuals, shares
from hpobench.results.json_files import Record
from hpobench.text import UNKNOWN, plural, seconds

if TYPE_CHECKING:
    from hpobench.results.run import Results

MARKS = {"complete": "✓", "failed": "✗", "missing": "○"}


def cell_table(results: Results) -> Record:
    """Every planned cell, by task, searcher and seed, as the study names them."""
    where = places(results)
    cells = results.cells.assign(residual=residuals(results.cells)).to_dict("records")
    counts = results.evaluations["cell"].value_counts()
    rows = [
        {**_cell(cell, int(counts.get(cell["cell"], 0))), "place": place}
        for cell, place in zip(cells, where or [[]] * len(cells), strict=True)
    ]
    tasks, searchers = list(results.tasks), list(results.searchers)
    rows.sort(key=lambda c: (tasks.index(c["task"]), searchers.index(c["searcher"]), c["seed"]))
    return {"caption": _caption(results), "places": where is not None, "rows": rows}


def _cell(cell: dict[Any, Any], evaluations: int) -> Record:
    return {
        **{key: cell[key] for key in ("task", "searcher", "seed", "status")},
        "mark": MARKS.get(cell["status"], "…"),
        "attempts": len(cell["attempts"]),
        "evaluations": evaluations if cell["status"] != "missing" else UNKNOWN,
        "seconds": seconds(cell["wall"]),
        "parts": shares(cell),
        "flag": flag(cell["residual"]),
        "happened": what_happened(cell),
    }


def _caption(results: Results) -> str:
    counts = results.cells["status"].value_counts()
    listed_counts = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"{plural(len(results.cells), 'cell')} planned: {listed_counts}."
