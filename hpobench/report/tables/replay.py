"""Replay regret beside search regret, as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from hpobench.results.replayed import END
from hpobench.text import number, plus_minus

if TYPE_CHECKING:
    from hpobench.results.run import Results


def replay_table(results: Results) -> Table:
    """A table for each task and time, one under the other, the best searcher first."""
    summary = results.replay_summary()
    page = Table.grid()
    for (task, at), rows in summary.groupby(["task", "at"], sort=False):
        when = "end" if at == END else f"{at} s"
        trained_on = next(iter(rows["trained_on"].dropna()), None)
        note = f" at {when}: trained on {trained_on} data" if trained_on else f" at {when}"
        page.add_row(Text.assemble((str(task), "bold"), (note, "dim")))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
        table.add_column("searcher", overflow="fold", width=18)
        for name, width in (("replayed", 9), ("replay regret", 19), ("search regret", 15)):
            table.add_column(name, justify="right", width=width)
        table.add_column("test loss", justify="right", width=12)
        for row in rows.to_dict("records"):
            table.add_row(
                Text(row["searcher"]),
                f"{row['replay_n']} of {row['seeds_planned']}",
                plus_minus(row["replay_regret"], row["replay_regret_se"]),
                number(row["search_regret"]),
                number(row["replay_test_loss"]),
                style=None if row["replay_n"] else "dim",
            )
        page.add_row(table)
    page.add_row(
        Text(
            " replay regret: incumbents trained again on fresh draws, minus the reference on\n"
            " the same draws, ± standard error; search regret: as the search trained them",
            style="dim",
        )
    )
    return page
