"""The summary as a table for the terminal, readable at 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from hpobench.report.clocks import CLOCKS, ClockWords
from hpobench.report.tables.faults import incomplete
from hpobench.report.tables.reference_error import reference_error
from hpobench.results.targets import TARGET_WORDS
from hpobench.text import UNKNOWN, default_held, number, plus_minus

if TYPE_CHECKING:
    from hpobench.results.regret import Clock
    from hpobench.results.run import Results


def summary_table(results: Results, clock: Clock = "seconds") -> Table:
    """A table for each task, one under the other, the best searcher first.

    A time to a target is the median over seeds on ``clock``, with how many seeds reached it.
    """
    summary = results.summary(clock)
    page = Table.grid()
    for task in results.tasks:
        without_reference = results.references[task] is None
        note = "  no reference, so no regret" if without_reference else ""
        page.add_row(Text.assemble((task, "bold"), (note, "dim")))
        table = _headed("test loss" if without_reference else "regret", CLOCKS[clock].short)
        for row in summary[summary["task"] == task].to_dict("records"):
            style = None if row["seeds_complete"] else "dim"
            table.add_row(*_cells(row, without_reference, clock), style=style)
        page.add_row(table)
        error = reference_error(results, task)
        if error:
            page.add_row(Text(f" {error}", style="dim"))
        absent = incomplete(results, task)
        if absent:
            page.add_row(Text(f" Not complete: {'; '.join(absent)}.\n", style="dim"))
    page.add_row(Text(_legend(CLOCKS[clock]), style="dim"))
    return page


def _legend(clock: ClockWords) -> str:
    to_target = f" {clock.short} to 10 %: {clock.unit} to 10 % of the default's regret;"
    zero = (
        f" to {TARGET_WORDS['zero']}: to the reference's level plus its standard error, which may"
    )
    return f"{to_target}\n{zero}\n be looser than 10 %; in brackets: seeds, – (0): none"


def _joined(start: str, end: str, width: int) -> str:
    """On one line if there is room, else on two."""
    return f"{start} {end}" if len(start) + len(end) < width else f"{start}\n{end}"


def _headed(quantity: str, short: str) -> Table:
    """An empty table; its widths are fixed, so that those of several tasks line up."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("searcher", overflow="fold", width=15)
    table.add_column("complete", justify="right", width=8)
    table.add_column(f"final {quantity}", justify="right", width=17)
    for target in TARGET_WORDS.values():
        table.add_column(_joined(f"{short} to", target, 9), justify="right", width=9)
    table.add_column("evals", justify="right", width=5)
    return table


def _cells(row: dict[Any, Any], without_reference: bool, clock: Clock) -> list[str | Text]:
    if without_reference:
        final = number(row["final_test_loss"])
    else:
        final = plus_minus(row["final_regret"], row["final_regret_se"])
    return [
        Text(row["searcher"]),
        f"{row['seeds_complete']} of {row['seeds_planned']}",
        "\n".join(filter(None, [final, default_held(row)])),
        *(reached(row, target, clock) for target in TARGET_WORDS),
        number(row["evaluations"]),
    ]


def reached(row: dict[Any, Any], target: str, clock: Clock) -> str:
    """The median time to a target on a clock, and in brackets how many seeds reached it."""
    count = row[f"reached_{target}"]
    if pd.isna(count):
        return UNKNOWN
    return f"{CLOCKS[clock].amount(row[f'{clock}_to_{target}'])} ({count})"
