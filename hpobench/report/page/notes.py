"""What to keep in mind while reading a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from hpobench.report.failures import Failure, attempted
from hpobench.report.hardware import hardware_note, sharing_note
from hpobench.report.tables.faults import incomplete
from hpobench.report.tables.ledger import ledger_note
from hpobench.report.tables.prices import price_notes, thinking_notes
from hpobench.text import listed

if TYPE_CHECKING:
    from hpobench.results.run import Results


def notes_on(results: Results) -> list[str | Failure]:
    """What to keep in mind: what is missing, task by task, and what is amiss in the files."""
    kinds: dict[str, Callable[[Results, str], list[str]]] = {
        "reference": _on_reference,
        "incomplete": _on_incomplete,
        "unmeasured": _on_unmeasured,
        "hardware": hardware_note,
        "sharing": sharing_note,
        "prices": price_notes,
        "thinking": thinking_notes,
    }
    notes: list[str | Failure] = []
    for task in results.tasks:
        for name, kind in kinds.items():
            notes += _noted(f"{name}-{task}", partial(kind, results, task))
    return [*notes, *_noted("ledger", partial(ledger_note, results)), *results.notes]


def _noted(name: str, make: Callable[[], Sequence[str]]) -> Sequence[str | Failure]:
    notes = attempted(f"note-{name}", make, f"the note {name}")
    return [notes] if isinstance(notes, Failure) else notes


def _on_reference(results: Results, task: str) -> list[str]:
    reference = results.references[task]
    if reference is None:
        return [f"{task} has no reference, so no regret; its losses are shown."]
    if reference["kind"] == "best observed":
        return [
            f"The reference of {task} is the best that this study came upon: another searcher"
            " or seed can change it, and with it every regret."
        ]
    return []


def _on_incomplete(results: Results, task: str) -> list[str]:
    absent = incomplete(results, task)
    return [f"Cells of {task} that are not complete: {'; '.join(absent)}."] if absent else []


def _on_unmeasured(results: Results, task: str) -> list[str]:
    unmeasured = _unmeasured(results, task)
    if not unmeasured:
        return []
    return [
        f"The reference of {task} has not been trained on the split of"
        f" {listed([f'seed {seed}' for seed in unmeasured])}: no regret there."
    ]


def _unmeasured(results: Results, task: str) -> list[int]:
    if results.references[task] is None:
        return []
    return [
        seed
        for seed in results.study["seeds"]
        if math.isnan(results.split(task, seed).reference_loss)
    ]
