"""Where the slot-seconds went: by searcher, by cell, and whether a cell's parts add up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from hpobench.results.json_files import Record
from hpobench.results.schema import PARTS
from hpobench.text import UNKNOWN, number, percent, plural, seconds

if TYPE_CHECKING:
    from hpobench.results.run import Results

TOLERANCE = 0.02

MEANING = {
    "search": "the searcher's thinking",
    "train": "forward and backward passes of trainings",
    "hypergradient": "differentiating trainings",
    "validation": "measuring the validation loss",
    "checkpoint": "keeping and loading unfinished trainings",
    "observing": "keeping weights for the test",
    "orchestration": "what the framework costs",
    "idle": "slots without work",
    "unfinished": "evaluations that the budget cut off",
    "lost": "trainings that failed",
}
"""The parts of a ledger, in words."""


def ledger_table(results: Results) -> Record | None:
    """Shares of the slot-seconds by searcher, for the page; None if no cell has a ledger.

    Over all cells with a ledger; the start-up, which no clock counts, in mean seconds for a cell.
    """
    cells = results.cells[results.cells["wall"].notna()]
    if cells.empty:
        return None
    parts = [part for part in PARTS if (cells[part] > 0).any()]
    rows = []
    for searcher in results.searchers:
        of_searcher = cells[cells["searcher"] == searcher]
        rows.append({"searcher": searcher, "values": _row(of_searcher, parts)})
    meanings = {part: MEANING.get(part, part) for part in parts}
    return {"columns": parts, "rows": rows, "meanings": meanings}


def _row(cells: pd.DataFrame, parts: list[str]) -> list[str]:
    """Slot-seconds, a share for each part, what no part accounts for, and start-up."""
    total = float((cells["wall"] * cells["slots"]).sum())
    if not total:
        return [UNKNOWN] * (len(parts) + 3)
    rest = float((cells["wall"] * cells["slots"] * residuals(cells)).sum())
    shares = [float(cells[part].sum()) / total for part in parts]
    return [
        seconds(total),
        *[percent(share) for share in [*shares, rest / total]],
        seconds(float(cells["startup"].mean())),
    ]


def residuals(cells: pd.DataFrame) -> pd.Series[float]:
    """By cell, the share of its slot-seconds that no part accounts for; NaN without a ledger.

    As it was measured, else from the parts.
    """
    from_parts = 1 - cells[list(PARTS)].sum(axis=1) / (cells["wall"] * cells["slots"])
    known = from_parts.where(cells[list(PARTS)].notna().any(axis=1))
    return cells["residual"].fillna(known)


def off(residual: float) -> bool:
    """Whether a cell's parts do not add up."""
    return abs(residual) > TOLERANCE


def flag(residual: float) -> str:
    """What is said of a cell whose parts do not add up; nothing of any other."""
    if not off(residual):
        return ""
    return f"The parts add up to {number(100 * (1 - residual))} % of its slot-seconds."


def shares(cell: dict[Any, Any]) -> list[str]:
    """The parts of one cell with their shares, the largest first; none without a ledger."""
    slot_seconds = cell["wall"] * cell["slots"]
    parts = {part: cell[part] / slot_seconds for part in PARTS if cell[part] > 0}
    ranked = sorted(parts.items(), key=lambda item: -item[1])
    return [f"{part} {percent(share)}" for part, share in ranked if share >= 0.001]


def ledger_note(results: Results) -> list[str]:
    """A note if there are cells whose parts do not add up."""
    count = int((residuals(results.cells).abs() > TOLERANCE).sum())
    if not count:
        return []
    return [
        f"The ledger of {plural(count, 'cell')} is off by more than"
        f" {number(100 * TOLERANCE)}\u00a0%: marked in the list of cells."
    ]
