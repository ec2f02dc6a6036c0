"""Which evaluations a figure looks at, and with which hyperparameters they were made.

A run can have a million of them: what is asked of them all is asked once, column by column.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hpobench.report.drawing.downsampling import kept_steps
from hpobench.report.drawing.priors import Prior
from hpobench.results.json_column import JSON, ObjectsDtype

if TYPE_CHECKING:
    from hpobench.results.run import Results

Rows = NDArray[np.int64]
NUMBERS = ("evaluation", "training", "seconds", "validation_loss")


class Cell(NamedTuple):
    """A complete cell, and where its evaluations are in the frame: from row ``begin`` to ``end``.

    ``place``: its searcher's number in the study.
    """

    searcher: str
    place: int
    seed: int
    begin: int
    end: int

    @property
    def rows(self) -> Rows:
        return np.arange(self.begin, self.end)


@dataclass(frozen=True)
class Evaluated:
    """The evaluations of a run's complete cells.

    ``cells``: by task, in the order of the study's searchers; those that have evaluations.
    ``values``: columns of numbers, of all evaluations; ``usable``: of those, the full trainings
    with a loss that did not fail.
    """

    results: Results
    cells: dict[str, list[Cell]]
    values: dict[str, NDArray[Any]]
    usable: NDArray[np.bool_]

    @classmethod
    def of(cls, results: Results) -> Evaluated:
        names = results.evaluations["cell"]
        begins = np.flatnonzero((names != names.shift()).to_numpy(bool))
        ends = np.append(begins, len(names))[1:]
        where = dict(zip(names.iloc[begins], zip(begins, ends, strict=True), strict=True))
        place = {name: number for number, name in enumerate(results.searchers)}
        found: dict[str, list[Cell]] = {task: [] for task in results.tasks}
        columns = [results.cells[name] for name in ("cell", "task", "searcher", "seed", "status")]
        for cell, task, searcher, seed, status in zip(*columns, strict=True):
            if status == "complete" and cell in where:
                begin, end = where[cell]
                found[task].append(Cell(searcher, place[searcher], seed, int(begin), int(end)))
        for cells in found.values():
            cells.sort(key=lambda cell: cell.place)
        table = results.evaluations
        values = {name: table[name].to_numpy() for name in NUMBERS if name in table}
        usable = table["full"].to_numpy(bool) & np.isfinite(values["validation_loss"])
        usable &= (table["status"] != "failed").to_numpy(bool)
        return cls(results, found, values, usable)

    def searches(self, task: str) -> dict[str, tuple[Cell, Rows]]:
        """By gradient-based searcher, its first cell on a task, and its evaluations.

        Of a cell with several slots, those of its first chain.
        """
        study = self.results.study
        learning = {s["name"] for s in study["searchers"] if s["kind"] == "gradient-based"}
        found: dict[str, tuple[Cell, Rows]] = {}
        for cell in self.cells[task]:
            if cell.searcher in learning and cell.searcher not in found:
                rows = cell.rows
                if study["width"] > 1 and "training" in self.values:
                    rows = rows[self.values["training"][rows] % study["width"] == 0]
                if len(rows):
                    found[cell.searcher] = cell, rows
        return found

    def kept(self, rows: Rows, at_most: int) -> Rows:
        """At most so many of a cell's evaluations, by `kept_steps`."""
        times = self.values["seconds"][rows]
        return rows[kept_steps(times, times[-1], at_most)]

    def configurations(self, priors: Sequence[Prior], rows: Rows) -> dict[str, NDArray[Any]]:
        """The hyperparameters of some evaluations, by flat name: numbers, or texts of choices.

        NaN or None where one has no such hyperparameter.
        """
        kinds = {
            n: JSON if p.choices is not None else pa.float64() for p in priors for n in p.names
        }
        flat: Any = self.results.evaluations["hyperparameters"].array[rows]
        return {
            name: np.array([_choice(text) for text in array.to_pylist()], object)
            if kind == JSON
            else array.to_numpy(zero_copy_only=False).astype(float)
            for (name, kind), array in zip(kinds.items(), flat.fields(kinds), strict=True)
        }

    def noted(self, rows: Rows, name: str) -> list[Any]:
        """What the searchers noted of some evaluations under a name; None where nothing."""
        notes = self.results.evaluations.get("notes")
        if notes is None or not isinstance(notes.dtype, ObjectsDtype):
            return [None] * len(rows)
        some: Any = notes.array[rows]
        (texts,) = some.fields({name: JSON})
        return [None if text is None else json.loads(text) for text in texts.to_pylist()]


def _choice(text: str | None) -> str | None:
    """A choice as its space calls it."""
    return None if text is None else str(json.loads(text))
