"""What a reader opens: tables, figures and the page, all rebuilt from the records."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

from markupsafe import Markup

from hpobench.garbage import no_garbage_collection
from hpobench.report.drawing import inline
from hpobench.report.drawing.source import FigureSource
from hpobench.report.figure_files import files_of_large_run, write_drawn, write_figures
from hpobench.report.figures import figures_of
from hpobench.report.figures.regret import whole_regret
from hpobench.report.page.document import is_large, write_report
from hpobench.report.subprocess_pool import run_in_subprocess, start_subprocess
from hpobench.report.tables.latex import latex_tables
from hpobench.results.json_files import write_whole
from hpobench.results.regret import Clock
from hpobench.results.run import Results


def publish(results: Results, clock: Clock = "seconds") -> None:
    """Write the tables, and over a clock the figures and the page, into the run's folder.

    Of a large run, the figures of each task by itself are on the page alone, and the others are
    drawn in a process of their own.
    """
    source = FigureSource(results, clock)
    with no_garbage_collection(), ThreadPoolExecutor(1) as waiter:
        if is_large(results):
            drawn = _drawn_in_subprocess(source, waiter)
            _write_tables(results, clock)
            write_report(results, clock, drawn=drawn)
        else:
            _write_tables(results, clock)
            figures = figures_of(source)
            write_figures(source, figures)
            write_report(results, clock, figures)


def _write_tables(results: Results, clock: Clock) -> None:
    results.write()
    write_whole(results.path / "table.tex", latex_tables(results, clock).encode())


def _drawn_in_subprocess(source: FigureSource, waiter: Executor) -> Callable[[], Markup]:
    """Has the run's figures written, and returns what waits for the drawing on the page."""
    process = start_subprocess(inline.__name__)
    folder, whole = source.results.path, whole_regret(source)
    calls: list[Callable[[], Any]] = [
        partial(write_drawn, folder, files_of_large_run(source)),
        partial(inline.inline_file, folder / "figures" / "regret.svg", "regret-", whole.spoken),
    ]
    waiting = waiter.submit(run_in_subprocess, calls, process)
    return lambda: waiting.result()[1]
