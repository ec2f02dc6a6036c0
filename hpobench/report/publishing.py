"""What a reader opens: tables, figures and the page, all rebuilt from the records."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from hpobench.garbage import no_garbage_collection
from hpobench.report.drawing import inline
from hpobench.report.drawing.source import FigureSource
from hpobench.report.figure_files import files_of, files_of_large_run, write_drawn
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

    The figures' files are drawn in a process of their own; of a large run, those of each task by
    itself are on the page alone.
    """
    source = FigureSource(results, clock)
    with no_garbage_collection(), ThreadPoolExecutor(1) as waiter:
        process = start_subprocess(inline.__name__)
        _write_tables(results, clock)
        if is_large(results):
            drawn = _drawing_with_regret(source)
            waiting = waiter.submit(run_in_subprocess, drawn, process)
            write_report(results, clock, drawn=lambda: waiting.result()[1])
        else:
            figures = figures_of(source)
            drawn = [partial(write_drawn, results.path, files_of(source, figures))]
            waiting = waiter.submit(run_in_subprocess, drawn, process)
            write_report(results, clock, figures)
        waiting.result()


def _write_tables(results: Results, clock: Clock) -> None:
    results.write()
    write_whole(results.path / "table.tex", latex_tables(results, clock).encode())


def _drawing_with_regret(source: FigureSource) -> list[Callable[[], Any]]:
    """Draws a large run's files, and then what the page has in place of interactive figures."""
    folder, whole = source.results.path, whole_regret(source)
    return [
        partial(write_drawn, folder, files_of_large_run(source)),
        partial(inline.inline_file, folder / "figures" / "regret.svg", "regret-", whole.spoken),
    ]
