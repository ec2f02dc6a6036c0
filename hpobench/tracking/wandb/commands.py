"""The command line's ``hpobench wandb sync | report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import hpobench
from hpobench.text import plural
from hpobench.tracking.wandb.files import PROJECT

app = typer.Typer(
    no_args_is_help=True,
    help="Upload a run to Weights & Biases, and report on it there.",
    rich_markup_mode="markdown",
)

Folder = Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)]
Project = Annotated[str, typer.Option(help="The project of the runs.")]


@app.command(
    epilog="""Examples:

`hpobench wandb sync runs/digits-20260102-030405`

`hpobench wandb sync runs/digits-20260102-030405 --entity my-team --project digits`"""
)
def sync(
    folder: Folder,
    entity: Annotated[
        str | None,
        typer.Option(help="Whose project; else the key's own.", envvar="WANDB_ENTITY"),
    ] = None,
    project: Project = PROJECT,
    again: Annotated[
        bool, typer.Option("--again", help="Upload those too that are there already.")
    ] = False,
) -> None:
    """Upload what the project does not have yet, a run for each cell that has ended.

    The server is asked what it has: WANDB_BASE_URL's, or that of W&B's settings. What is missing of
    W&B's files, or outdated, is written first.
    """
    from hpobench.tracking.wandb import track

    uploaded, runs = track.sync(hpobench.Results.load(folder), entity, project, again)
    rest = "; the others were there already" if uploaded < runs else ""
    print(f"uploaded: {uploaded} of {plural(runs, 'run')}{rest}")


@app.command(
    epilog="""Examples:

`hpobench wandb report runs/digits-20260102-030405 --entity my-team --project digits`

`hpobench wandb report runs/digits-20260102-030405 --entity my-team --dry-run`"""
)
def report(
    folder: Folder,
    entity: Annotated[
        str,
        typer.Option(help="Whose project.", envvar="WANDB_ENTITY", show_default=False),
    ],
    project: Project = PROJECT,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only write its JSON: no key, no network.")
    ] = False,
) -> None:
    """Create or update the study's W&B Report, on the runs that `sync` uploads."""
    from hpobench.tracking.wandb.saving import draft_report, save_report
    from hpobench.tracking.wandb.track import left_here

    results = hpobench.Results.load(folder)
    if dry_run:
        print(f"draft: {draft_report(results, entity, project)}")
        return
    print(f"report: {save_report(results, entity, project)}")
    left = left_here(results, entity, project)
    if left:
        aim = f"--entity {entity} --project {project}"
        print(f"it draws uploaded runs, and {left} are not: hpobench wandb sync {folder} {aim}")
