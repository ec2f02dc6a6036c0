"""The command line: ``hpobench list | run | resume | status | report | … | cluster``."""

from __future__ import annotations

import dataclasses
import difflib
import gc
import math
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

import hpobench
from hpobench.audit import command as audit
from hpobench.budget import Budget
from hpobench.cluster.commands import app as cluster
from hpobench.errors import LostRayError, StudyError
from hpobench.options import Address, Clock, Folder, Wandb, parse_slot, wide_console
from hpobench.plain_letters import spell_out
from hpobench.reference_search import command as reference
from hpobench.report.clocks import ClockName
from hpobench.text import plain, plural
from hpobench.tracking.wandb.commands import app as wandb_commands

app = typer.Typer(
    name="hpobench",
    help="Which way of choosing hyperparameters gets closest to the best, how soon, how surely?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

app.add_typer(cluster, name="cluster")
app.add_typer(wandb_commands, name="wandb")

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""Click's own, or that of the copy of click which newer typers carry."""

INTERRUPTED = 130


@app.command("list")
def list_() -> None:
    """List tasks, searchers and ready-made studies."""
    from hpobench.discovery import find_study, study_names
    from searchers.catalog import SEARCHERS
    from trainables.tasks import TASKS

    console = Console()
    console.print(_listing("tasks", {name: task.summary for name, task in TASKS.items()}))
    summaries = {name: _first_line(searcher) for name, searcher in SEARCHERS.items()}
    console.print(_listing("searchers", summaries))
    studies = {}
    for name in study_names():
        study, _ = find_study(name)
        tasks = ", ".join(task.name for task in study.tasks)
        studies[name] = (
            f"{tasks}: {plural(len(study.searchers), 'searcher')},"
            f" {plural(len(study.seeds), 'seed')}, {study.budget} each"
        )
    console.print(_listing("studies", studies))


@app.command(
    epilog="""Examples:

`hpobench run digits --budget 8 --seeds 1 --searchers random,fds`

`hpobench run my_study.py --out results/first --wandb off`"""
)
def run(
    study: Annotated[str, typer.Argument(help="A ready-made study, or a Python file with one.")],
    budget: Annotated[float | None, typer.Option(help="Seconds for each cell.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds, from 0.")] = None,
    searchers: Annotated[str | None, typer.Option(help="Only these: a,b,…")] = None,
    tasks: Annotated[str | None, typer.Option(help="Only these: a,b,…")] = None,
    width: Annotated[int | None, typer.Option(help="Slots of a cell: trainings at once.")] = None,
    slot: Annotated[str | None, typer.Option(help="A slot: gpu=1,cpu=8; half a GPU: 0.5.")] = None,
    patience: Annotated[
        float | None, typer.Option(help="Seconds in which nothing happens: end that cell.")
    ] = None,
    address: Address = None,
    out: Annotated[Path | None, typer.Option(help="The run's own folder.")] = None,
    wandb: Wandb = "offline",
    clock: Clock = ClockName.seconds,
) -> None:
    """Run a study: every searcher on every task, regret against wall-clock.

    Exit code 1 if the machines failed some of it time and again, which is left for a resume, or if
    a figure could not be drawn: a line says which.
    """
    from hpobench import pipeline
    from hpobench.discovery import find_study
    from hpobench.terminal import show

    found, source = find_study(study)
    changes: dict[str, Any] = {
        "budget": Budget(budget) if budget is not None else None,
        "seeds": seeds,
        "searchers": _chosen(searchers, found.searchers, "searchers"),
        "tasks": _chosen(tasks, found.tasks, "tasks"),
        "width": width,
        "patience": patience,
        **(parse_slot(slot) if slot is not None else {}),
    }
    given = {name: value for name, value in changes.items() if value is not None}
    chosen = dataclasses.replace(found, **given)
    out = out or pipeline.folder_for(chosen)
    with _going_on("resume", out):
        results = pipeline.run(chosen, out, wandb, address, source=source, clock=clock.clock)
    undrawn = show(results, clock)
    raise typer.Exit(bool(results.unfinished or undrawn))


@app.command(
    epilog="""Examples:

`hpobench resume runs/digits-20260102-030405`

`hpobench resume runs/mine-20260102-030405 --study my_study.py`"""
)
def resume(
    folder: Folder,
    study: Annotated[
        Path | None, typer.Option(help="The study's file, if it is no longer where it was.")
    ] = None,
    address: Address = None,
    wandb: Wandb = "offline",
    clock: Clock = ClockName.seconds,
) -> None:
    """Run what is not complete in a run's folder; complete cells stay as they are.

    Exit codes are those of `hpobench run`.
    """
    from hpobench import pipeline
    from hpobench.terminal import show

    with _going_on("resume", folder):
        results = pipeline.resume(folder, wandb, address, source=study, clock=clock.clock)
    undrawn = show(results, clock)
    raise typer.Exit(bool(results.unfinished or undrawn))


@app.command(
    epilog="""Examples:

`hpobench replay runs/digits-20260102-030405`

`hpobench replay runs/digits-20260102-030405 --at 10,60,end --draws 10`

`hpobench replay runs/digits-20260102-030405 --every`"""
)
def replay(
    folder: Folder,
    at: Annotated[
        str | None,
        typer.Option(help="Incumbents of when: seconds on the cells' clocks.", show_default="end"),
    ] = None,
    draws: Annotated[
        int | None, typer.Option(help="How often each is trained.", show_default="5")
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--every", help="All incumbents: when was one as good as another searcher's last?"
        ),
    ] = False,
    study: Annotated[
        Path | None, typer.Option(help="The study's file, if it is no longer where it was.")
    ] = None,
    address: Address = None,
    clock: Clock = ClockName.seconds,
) -> None:
    """Train each searcher's incumbents again: on all training data, from fresh seeds.

    Exit code 1 if some of it is left: call it again, and it goes on. Or if a figure could not be
    drawn: a line says which.
    """
    from hpobench import pipeline
    from hpobench.report.tables.replay import replay_table
    from hpobench.terminal import print_parts

    times = parse_times(at) if at is not None else None
    with _going_on("replay", folder):
        results = pipeline.replay(folder, times, draws, every, address, study, clock.clock)
    console = wide_console()
    undrawn = print_parts(console, results, {"replays": lambda: [replay_table(results)]})
    for line in [*results.notes, *undrawn]:
        console.print(line, soft_wrap=line in undrawn, markup=False)
    console.print(f"table: {results.path / 'replay.csv'}", soft_wrap=True, highlight=False)
    summary = results.replay_summary()
    left = (summary["replay_n"] < summary["seeds_complete"]).any()
    raise typer.Exit(bool(left or undrawn))


@app.command(
    epilog="""Examples:

`hpobench report runs/digits-20260102-030405`

`hpobench report runs/digits-20260102-030405 --clock steps`"""
)
def report(folder: Folder, clock: Clock = ClockName.seconds) -> None:
    """Make the tables, figures and the page again from the records, and show the table.

    Exit code 1 if a figure could not be drawn: a line says which.
    """
    from hpobench.report.publishing import publish
    from hpobench.terminal import show

    results = hpobench.Results.load(folder)
    undrawn = publish(results, clock.clock)
    raise typer.Exit(bool(show(dataclasses.replace(results, undrawn=undrawn), clock)))


@app.command(
    epilog="Example: `hpobench compare runs/digits-20260102-030405 runs/digits-20260103-010203`"
)
def compare(
    first: Folder,
    second: Annotated[Path, typer.Argument(help="The folder of another run.", show_default=False)],
) -> None:
    """Compare the test losses of two runs, searcher by searcher, paired by seed."""
    from hpobench.report.tables.comparison import cautions, compared, comparison_table

    runs = hpobench.Results.load(first), hpobench.Results.load(second)
    console = wide_console()
    console.print(comparison_table(compared(*runs)))
    for line in cautions(*runs):
        console.print(line, markup=False)


@app.command(epilog="Example: `hpobench watch runs/digits-20260102-030405`")
def watch(
    folder: Folder,
    clock: Clock = ClockName.seconds,
    port: Annotated[int, typer.Option(help="Where to serve; 0: any that is free.")] = 9265,
    every: Annotated[float, typer.Option(help="Draw at most once in so many seconds.")] = 10.0,
) -> None:
    """Serve the page of a run to this machine, and draw it again while the run goes on.

    It takes its time only where nobody else wants it: what is measured here comes first.
    """
    from hpobench.report.live_server import LOOPBACK, LivePage, server_of

    if hasattr(os, "nice"):
        os.nice(19)
    with server_of(LivePage(folder, clock.clock, every), port) as server:
        print(f"http://{LOOPBACK}:{server.server_port}  (Ctrl-C ends it)", flush=True)
        server.serve_forever()


@app.command(epilog="Example: `hpobench verify runs/digits-20260102-030405`")
def verify(folder: Folder) -> None:
    """Compute every number of a run's tables and page again; exit code 1 if one differs."""
    from hpobench.report.verification import differences

    found = differences(folder)
    for line in found:
        print(line)
    if found:
        raise typer.Exit(1)
    print("verified: the tables and the page say what the records come to")


@app.command(epilog="Example: `hpobench status runs/digits-20260102-030405`")
def status(folder: Folder) -> None:
    """Show how far a run is, cell by cell, and whether anybody is at work on it."""
    from hpobench.running.run_folder import is_held
    from hpobench.terminal import show_progress

    before = is_held(folder)  # it may end, or begin, while the records are read
    results = hpobench.Results.load(folder)
    show_progress(results, folder, at_work=before or is_held(folder))


app.command(epilog=reference.EXAMPLES)(reference.reference)
app.command(epilog=audit.EXAMPLES)(audit.audit)


def main() -> None:
    """The console script: a user's mistake is one line and exit code 2."""
    gc.set_threshold(50_000, 20, 100)  # what a command loads stays: there is no garbage in it
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a batch system's way to interrupt
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # under nohup it is ignored, and stays so
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    spell_out(sys.stdout, sys.stderr)
    try:
        status = app(standalone_mode=False)
    except UsageError as error:
        message = error.format_message()  # type: ignore[attr-defined]
        if not message:  # no command: the help is shown already
            sys.exit(2)
        _say(message, 2)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except Exception as error:
        from hpobench.discovery import USER_ERRORS  # late: it brings torch along

        if not isinstance(error, USER_ERRORS):
            raise
        if isinstance(error, LostRayError):
            _leave(str(error), 2)
        _say(str(error), 2)
    if status == INTERRUPTED:  # typer may have turned the interrupt into a status
        _interrupted("the same command" if sys.argv[1:2] == ["reference"] else "")
    sys.exit(status)


@contextmanager
def _going_on(command: str, folder: Path) -> Iterator[None]:
    """If what is done within is cut short, say by which command on a run's folder it goes on."""
    again = f"hpobench {command} {shlex.quote(str(folder))}"
    try:
        yield
    except KeyboardInterrupt as interrupt:
        for line in getattr(interrupt, "__notes__", ()):  # of what is published on an interrupt
            print(f"hpobench: {line}", file=sys.stderr)
        _interrupted(again if (folder / "study.json").exists() else "")
    except LostRayError as error:
        raise LostRayError(f"{error}: {again} goes on") from error


def _interrupted(again: str) -> NoReturn:
    kept = f"; what is complete is kept: {again} goes on" if again else ""
    _leave(f"interrupted{kept}", INTERRUPTED)


def _leave(line: str, status: int) -> NoReturn:
    """End at once: threads may still be at work, and Ray's goodbyes crash on them."""
    with suppress(OSError):  # a terminal that was closed
        print(f"hpobench: {line}", file=sys.stderr, flush=True)
        sys.stdout.flush()
    os._exit(status)


def _say(line: str, status: int) -> None:
    print(f"hpobench: {line}", file=sys.stderr)
    sys.exit(status)


def _chosen(names: str | None, items: Any, what: str) -> list[Any] | None:
    """The items of a study with these names; a name from the catalogue may be added."""
    from searchers.catalog import SEARCHERS
    from trainables.tasks import TASKS

    if names is None:
        return None
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        raise StudyError(f"--{what} is empty; give names, separated by commas")
    own = {item.name: item for item in items}
    known = TASKS if what == "tasks" else SEARCHERS
    for name in wanted:
        if name not in own and name not in known:
            there = [*own, *(other for other in known if other not in own)]
            near = difflib.get_close_matches(name, there, n=1)
            guess = f" Did you mean {near[0]}?" if near else ""
            kind = what.removesuffix("s")
            raise StudyError(f"no {kind} {name!r}.{guess} There are: {', '.join(there)}")
    return [own.get(name, name) for name in wanted]


def parse_times(text: str) -> tuple[float, ...]:
    """``10,60,end`` as seconds; the end is infinite."""
    from hpobench.results.replayed import END

    try:
        return tuple(math.inf if part.strip() == END else float(part) for part in text.split(","))
    except ValueError:
        raise StudyError(f"--at is like 10,60,{END}, not {text!r}") from None


def _listing(title: str, rows: dict[str, str]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    for name, words in rows.items():
        table.add_row(name, plain(words))
    return table


def _first_line(thing: object) -> str:
    return (type(thing).__doc__ or "").strip().split("\n")[0]


if __name__ == "__main__":
    main()
