"""One evaluation as a run keeps it: a line of `evaluations.jsonl`.

The fields of `EvaluationRecord` are the columns. Lines are made from it, and what reads them takes
its columns and their kinds from it (`hpobench.results.schema`). So a new column is a field here and
a value where it is measured: in `trainables.trainable` what a slot measures, in
`hpobench.running.cell_loop` what only the cell knows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

SCHEMA = 1
"""The version of what a run's files hold, which each of them names."""


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """One measured point of a cell, in the order of a line's keys.

    A column that is None by default is not written while it has nothing to say.

    Args:
        schema: version of the format.
        cell: name of the cell; task, searcher and seed are its own.
        attempt: which attempt at the cell measured it, from 1.
        trial: which piece of work of the attempt it came from, from 0.
        evaluation: its number in the cell, in order of arrival, from 0.
        training: which of the cell's draws (initial weights, batch order) it used.
        budget: epochs trained; ``full`` if these are the task's horizon.
        hyperparameters: the flat configuration.
        validation_loss: the task's loss ceiling if it diverged or failed.
        validation_accuracy: None for a task without one.
        steps: training steps of the cell so far, with this evaluation's.
        status: "ok", "diverged" or "failed".
        cause: of a failure, its kind; ``error`` says it in a sentence.
        parts: seconds of the slot by part of the ledger.
        notes: what belongs to the searcher alone (see `searchers.Evaluation`).
        seconds: when it arrived, on the cell's clock; slot_seconds: times the cell's slots.
        slot: number of the slot; began, ended: when it worked on it, on the cell's clock.
    """

    schema: int = SCHEMA
    cell: str
    task: str
    searcher: str
    seed: int
    attempt: int
    trial: int
    evaluation: int
    training: int
    budget: float
    full: bool
    hyperparameters: dict[str, Any]
    validation_loss: float
    validation_accuracy: float | None
    steps: float
    status: str
    cause: str | None = None
    error: str | None = None
    parts: dict[str, float]
    notes: dict[str, Any] | None = None
    seconds: float
    slot_seconds: float
    slot: int
    began: float
    ended: float

    def line(self) -> dict[str, Any]:
        """The record as it is written: columns by name, in order."""
        return {
            field.name: value
            for field in fields(self)
            for value in [getattr(self, field.name)]
            if value is not None or field.default is not None
        }
