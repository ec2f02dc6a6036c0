"""What the cells ran on, and whether their times can be compared."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hpobench.text import listed, plural

if TYPE_CHECKING:
    from hpobench.results.run import Results


def hardware_note(results: Results, task: str) -> list[str]:
    """A note if the cells of a task ran on more than one kind of processor or GPU."""
    cells = results.cells[results.cells["task"] == task].to_dict("records")
    kinds = {kind: Counter[str]() for cell in cells if (kind := _kind(cell))}
    if len(kinds) < 2:
        return []
    for cell in cells:
        if kind := _kind(cell):
            kinds[kind][cell["searcher"]] += 1
    order = results.searchers
    where = "; ".join(
        f"on {kind}: {listed([_counted(s, counts[s]) for s in order if counts[s]])}"
        for kind, counts in kinds.items()
    )
    return [
        f"Cells of {task} ran on different hardware, and times across hardware do not compare"
        f" fairly: {where}."
    ]


def sharing_note(results: Results, task: str) -> list[str]:
    """A note if something else held the cores that cells of a task should have had."""
    cells = results.cells[results.cells["task"] == task]
    counts = Counter(cells.loc[cells["own_cores"] == 0, "searcher"])
    if not counts:
        return []
    whose = listed([_counted(s, counts[s]) for s in results.searchers if counts[s]])
    return [
        f"Cells of {task} without cores of their own, which may have had to wait for what else the"
        f" machine did: {whose}."
    ]


def _counted(searcher: str, cells: int) -> str:
    return f"{searcher} ({plural(cells, 'cell')})"


def _kind(cell: dict[Any, Any]) -> str:
    return " with ".join(filter(None, [cell["processor"], cell["gpu"]]))


def places(results: Results) -> list[list[str]] | None:
    """For each cell, on which node and which slice it ran; None if all ran on the same.

    Only the slice where there is one node.
    """
    nodes, slices = results.cells["node"], results.cells["slice"]
    if nodes.nunique() > 1:
        return [[name for name in row if name] for row in zip(nodes, slices, strict=True)]
    if slices.nunique() > 1:
        return [[name] if name else [] for name in slices]
    return None
