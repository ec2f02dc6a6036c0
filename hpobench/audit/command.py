"""The command line's ``hpobench audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpobench.options import wide_console

EXAMPLES = """Examples:

`hpobench audit`

`hpobench audit --searcher fds --task digits_weak_prior`

`hpobench audit --engine my_engine.py:MyEngine --out audits/mine`"""


def audit(
    searcher: Annotated[str | None, typer.Option(help="Only what this searcher uses.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Where noise and bias are measured.", show_default="digits")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="Only this one: MODULE:ATTRIBUTE or FILE.py:ATTRIBUTE.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write figure and rows.")] = None,
) -> None:
    """Can hypergradients be trusted, and what do they cost? Exit code 1 if a check fails."""
    from hpobench.audit.run import conduct
    from hpobench.audit.subjects import AuditError, subjects
    from trainables.tasks import find_task

    console = wide_console()
    chosen, place = subjects(searcher, engine), find_task(task or "digits")
    if task is not None and not chosen.measured:
        raise AuditError(
            f"--task: {searcher} differentiates single steps, checked on small problems of the"
            " audit's own: there is nothing to measure on a task; leave --task out"
        )
    found = conduct(chosen, place, out, console)
    raise typer.Exit(bool(found.failures))
