"""What a reader opens: tables, figures and the page, all rebuilt from the records."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

from hpobench.report import page
from hpobench.report.beside import carry_out_beside, start_beside
from hpobench.report.figures.write import write_figures, write_task_figures
from hpobench.report.page import write_report
from hpobench.report.page_figure import PageFigure
from hpobench.results.curves import Clock
from hpobench.results.run import Results

MANY = 100_000
"""From so many evaluations on, another process pays for its start."""


def publish(results: Results, clock: Clock = "seconds") -> None:
    """Write the tables, and over a clock the figures and the page, into the run's folder.

    Of a large run, the figures of each task by itself are on the page alone.
    """
    many = len(results.evaluations) > MANY
    with _no_garbage(), ThreadPoolExecutor(1) as beside:
        drawn = _page_figures(results, clock, beside) if many else None
        results.write()
        write_figures(results, clock)
        if not many:
            write_task_figures(results, clock)
        write_report(results, clock, drawn)


def _page_figures(
    results: Results, clock: Clock, beside: Executor
) -> Callable[[], list[PageFigure]]:
    """What waits for the page's figures, which another process draws meanwhile."""
    process = start_beside(page.__name__)
    figures = page.page_figures(results, clock)
    return beside.submit(carry_out_beside, figures, process).result


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Nothing that is there now is looked through for garbage."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
