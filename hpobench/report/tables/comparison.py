"""Two runs, searcher by searcher: did a change of the code, the machine or the budget matter?

Test losses are compared, seed by seed: a cell seed's split is the same in every run, so they pair,
whatever each run measured its regret from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from hpobench.errors import RunError
from hpobench.results.paired import ends
from hpobench.results.run import Results
from hpobench.statistics.curves import FEWEST_SEEDS_FOR_A_BAND, Array
from hpobench.statistics.verdicts import FAMILY_ERROR, Difference, holm, paired
from hpobench.text import UNKNOWN, listed, number

GIVEN = {
    "budget": "budgets",
    "width": "numbers of slots",
    "slot": "slots",
    "hardware": "machines",
    "versions": "versions",
    "commit": "commits",
}
"""What may differ between two runs, and has to be said."""


@dataclass(frozen=True)
class Compared:
    """One searcher on one task: the second run's mean test loss minus the first's, seed by seed.

    ``p``: adjusted for all rows; NaN below five seeds, as everywhere. ``first`` and ``second``:
    means over the seeds that are complete in both.
    """

    task: str
    searcher: str
    first: float
    second: float
    difference: Difference
    p: float

    @property
    def verdict(self) -> str:
        """Which run's is lower, in words."""
        if self.difference.n < FEWEST_SEEDS_FOR_A_BAND:
            return "too few seeds"
        if math.isnan(self.p):
            return UNKNOWN
        if self.p > FAMILY_ERROR:
            return "not separated"
        return "second lower" if self.difference.mean < 0 else "first lower"


def compared(first: Results, second: Results) -> list[Compared]:
    """A row for each task and searcher of both runs. RunError if there is none, or but one run.

    A task that is defined otherwise in the other run is not the same task.
    """
    if first.path.resolve() == second.path.resolve():
        raise RunError(f"{first.path} twice: give two runs")
    pairs = list(_pairs(first, second))
    if not pairs:
        raise RunError(
            f"{first.path} and {second.path} have no task, with the same definition, and searcher"
            " in common: there is nothing to compare"
        )
    differences = [paired(b, a) for _, _, a, b in pairs]
    known = [d.p if d.n >= FEWEST_SEEDS_FOR_A_BAND else math.nan for d in differences]
    adjusted = holm(known).tolist()
    return [
        Compared(task, searcher, _mean(a), _mean(b), difference, p)
        for (task, searcher, a, b), difference, p in zip(pairs, differences, adjusted, strict=True)
    ]


def _pairs(first: Results, second: Results) -> Iterator[tuple[str, str, Array, Array]]:
    seeds = [seed for seed in first.study["seeds"] if seed in second.study["seeds"]]
    where = [[run.study["seeds"].index(seed) for seed in seeds] for run in (first, second)]
    for task in first.tasks:
        if task not in second.tasks or first.task(task).get("hash") != second.task(task).get(
            "hash"
        ):
            continue
        of_first, of_second = (ends(run, task, "test_loss") for run in (first, second))
        for searcher in of_first:
            if searcher in of_second:
                a, b = of_first[searcher][where[0]], of_second[searcher][where[1]]
                both = ~(np.isnan(a) | np.isnan(b))
                yield task, searcher, a[both], b[both]


def _same(first: Results, second: Results, task: str) -> bool:
    return bool(first.task(task).get("hash") == second.task(task).get("hash"))


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else math.nan


def cautions(first: Results, second: Results) -> list[str]:
    """What else is different between the two runs, a line each."""
    others = [
        words for key, words in GIVEN.items() if first.study.get(key) != second.study.get(key)
    ]
    notes = [f"The two runs have different {listed(others)}."] if others else []
    notes += [
        f"{task} is defined otherwise in the two runs, and is not compared."
        for task in first.tasks
        if task in second.tasks and not _same(first, second, task)
    ]
    for searcher in first.searchers:
        settings = [
            next((s["settings"] for s in run.study["searchers"] if s["name"] == searcher), None)
            for run in (first, second)
        ]
        if None not in settings and settings[0] != settings[1]:
            notes.append(f"{searcher} has other settings in the second run.")
    return notes


def comparison_table(rows: list[Compared]) -> Table:
    """For the terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("task", overflow="fold")
    table.add_column("searcher", overflow="fold")
    for name in ("seeds", "first", "second", "second − first [95 %]", "p (Holm)"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for row in rows:
        difference = row.difference
        few = math.isnan(row.p)
        interval = "" if few else f" [{number(difference.low)} to {number(difference.high)}]"
        table.add_row(
            Text(row.task),
            Text(row.searcher),
            str(difference.n),
            number(row.first),
            number(row.second),
            f"{number(difference.mean)}{interval}",
            number(row.p, 2),
            row.verdict,
        )
    return table
