"""What several commands take and show alike: arguments, options, and room for a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hpobench.errors import StudyError
from hpobench.report.clocks import ClockName

Folder = Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)]
Address = Annotated[
    str | None,
    typer.Option(help="A Ray cluster: auto, HOST:PORT or ray://HOST:PORT; else this machine."),
]
Clock = Annotated[ClockName, typer.Option(help="The clock of figures and of times to a target.")]
Wandb = Annotated[str, typer.Option(help="Weights & Biases: offline, online or off.")]


def wide_console() -> Console:
    """Where tables are shown: a log has no width of its own, and leaves them room."""
    console = Console()
    return console if console.is_terminal else Console(width=110)


def parse_slot(text: str) -> dict[str, Any]:
    """``gpu=1,cpu=8`` as the settings of a study."""
    names: dict[str, tuple[str, type]] = {"cpu": ("cpus", int), "gpu": ("gpus", float)}
    found = {}
    for part in text.split(","):
        name, _, amount = (word.strip() for word in part.partition("="))
        try:
            setting, kind = names[name]
            found[setting] = kind(amount)
        except (KeyError, ValueError):
            raise StudyError(f"--slot is like gpu=1,cpu=8, not {text!r}") from None
    return found
