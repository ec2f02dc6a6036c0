"""The command line's ``hpobench reference``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hpobench.budget import Budget
from hpobench.options import Address, parse_slot

EXAMPLES = """Examples:

`hpobench reference mnist --budget 3600`

`hpobench reference my_study.py:mine --out mine.json`

`hpobench reference my_study.py:mine --out mine.json --table every_configuration.csv`"""


def reference(
    task: Annotated[
        str, typer.Argument(help="A ready-made task, or one of a study's: my_study.py:NAME.")
    ],
    budget: Annotated[float, typer.Option(help="Seconds for each searcher on a split.")] = 60.0,
    seeds: Annotated[int, typer.Option(help="Splits to search on.")] = 3,
    fresh: Annotated[int, typer.Option(help="Fresh splits that decide among the ten best.")] = 20,
    table: Annotated[
        Path | None,
        typer.Option(help="All configurations with their validation_loss (CSV or JSON)."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the reference (JSON).")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="The search's own folder.", show_default="runs/reference_…")
    ] = None,
    slot: Annotated[str | None, typer.Option(help="What a training gets: gpu=1,cpu=8.")] = None,
    address: Address = None,
) -> None:
    """Find the best hyperparameters of a task: a grid, a long search, and fresh seeds to decide.

    Or take them from a table that holds every configuration. A study measures regret from what is
    written, once its task names the file: Task(…, reference="mine.json"). Exit code 1 if the
    machines failed some of it: call it again, and it goes on.
    """
    from hpobench.reference_search import making
    from hpobench.reference_search.search import Procedure
    from hpobench.reference_search.target import find_target

    procedure = Procedure(Budget(budget), seeds, fresh=fresh)
    resources = parse_slot(slot) if slot is not None else {}
    target = find_target(task, out)
    place = folder or Path("runs") / f"reference_{target.task.name}"
    found = (
        making.from_table(target, table)
        if table is not None
        else making.make_reference(target, procedure, place, **resources, address=address)
    )
    if found is None:
        line = "not finished: machines failed some of it; call it again, and it goes on"
        print(f"hpobench: {line}", file=sys.stderr)
        raise typer.Exit(1)
    console = Console()
    console.print(making.outcome(found), soft_wrap=True, highlight=False)
    console.print(str(target.out), soft_wrap=True, highlight=False)
