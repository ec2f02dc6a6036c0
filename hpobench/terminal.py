"""What the terminal shows of a run: how far it is, and what it came to."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from hpobench.options import wide_console
from hpobench.report.clocks import ClockName
from hpobench.report.conclusions import answers
from hpobench.report.drawing.panel import panel_of
from hpobench.report.drawing.text_panel import text_panel
from hpobench.report.failures import Failure, attempted, keep_tracebacks
from hpobench.report.tables.prices import price_notes
from hpobench.report.tables.summary import summary_table
from hpobench.results.run import Results
from hpobench.running.faults import RUNNER_GONE
from hpobench.text import listed

MOST_PICTURES = 3
"""Tasks of which the terminal shows the curves; of more, the page has them."""


def show(results: Results, clock: ClockName) -> tuple[str, ...]:
    """Show a run; what could not be drawn or shown of it, a line each."""

    def prices() -> list[str]:
        return [note for task in results.tasks for note in price_notes(results, task)]

    console = wide_console()
    parts: dict[str, Callable[[], Sequence[RenderableType]]] = {
        "answer": lambda: _answers(results, clock),
        "table": lambda: [summary_table(results, clock.clock)],
        "prices": prices,
    }
    undrawn = print_parts(console, results, parts)
    for note in results.notes:
        console.print(note, markup=False)
    if results.unfinished:
        again = f"hpobench resume {shlex.quote(str(results.path))}"
        left = f"not finished: {listed(results.unfinished)}; {again}"
        console.print(left, soft_wrap=True, highlight=False, markup=False)
    for line in undrawn:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    page = results.path / "report.html"
    if page.exists():
        console.print(f"report: {page}", soft_wrap=True, highlight=False)
    return undrawn


def _answers(results: Results, clock: ClockName) -> list[RenderableType]:
    """What each task comes to, in words, and of few tasks the curves."""
    shown: list[RenderableType] = []
    found = answers(results, clock.clock)
    for task, answer in zip(results.tasks, found, strict=True):
        shown.append(Text(f"\n{answer.opening}"))
        if len(found) <= MOST_PICTURES:
            shown.append(text_panel(panel_of(results, task, clock=clock.clock), clock.clock))
    return shown


def print_parts(
    console: Console,
    results: Results,
    parts: Mapping[str, Callable[[], Sequence[RenderableType]]],
) -> tuple[str, ...]:
    """Print what can be made; what can not, here or when the run was published, a line each."""
    failures = []
    for name, make in parts.items():
        shown = attempted(f"terminal-{name}", make, f"the terminal's {name}")
        if isinstance(shown, Failure):
            failures.append(shown)
            continue
        for part in shown:
            console.print(part, markup=False)
    return (*results.undrawn, *keep_tracebacks(failures, results.path))


def show_progress(results: Results, folder: Path, at_work: bool) -> None:
    """Show how far a run is, cell by cell; ``at_work``: whether anybody is."""
    console = Console()

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False, markup=False)

    counts = results.evaluations.groupby("cell").size()
    table = Table(title=str(folder), title_justify="left")
    table.add_column("cell", overflow="fold", min_width=24)
    for column in ("status", "evaluations", "attempts"):
        table.add_column(column, justify="right" if column == "evaluations" else "left")
    why = []
    for cell in results.cells.to_dict("records"):
        attempts = cell["attempts"] if isinstance(cell["attempts"], list) else []
        reasons = [text for text in (cell["cause"], cell["why"]) if isinstance(text, str)]
        status = cell["status"]
        if status == "running" and not at_work:
            status, reasons = "interrupted", ["driver lost", RUNNER_GONE]
        table.add_row(cell["cell"], status, str(counts.get(cell["cell"], 0)), str(len(attempts)))
        why += [f"{cell['cell']}: {': '.join(reasons)}"] if reasons else []
    console.print(table)
    for line in why:
        say(line)
    for note in results.notes:
        console.print(note, markup=False)
    if results.unfinished and not at_work:
        again = f"hpobench resume {shlex.quote(str(folder))}"
        say(f"nobody is at work on this run; {again} goes on")
