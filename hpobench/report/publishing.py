"""What a reader opens: tables, figures and the page, all rebuilt from the records."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from hpobench.report.beside import carry_out_beside
from hpobench.report.figures.write import write_figures
from hpobench.report.page import Figures, page_figures, write_report
from hpobench.results.curves import Clock
from hpobench.results.run import Results

MANY = 100_000
"""From so many evaluations on, another process pays for its start."""


def publish(results: Results, clock: Clock = "seconds") -> None:
    """Write the tables, and over a clock the figures and the page, into the run's folder."""
    with _no_garbage(), _page_figures(results, clock) as drawn:
        results.write()
        write_figures(results, clock)
        write_report(results, clock, drawn)


@contextmanager
def _page_figures(results: Results, clock: Clock) -> Iterator[Callable[[], Figures] | None]:
    """What waits for the page's figures, if it pays to draw them beside."""
    if len(results.evaluations) <= MANY:
        yield None
        return
    figures = page_figures(results, clock)
    with ThreadPoolExecutor(1) as thread:
        drawing = thread.submit(carry_out_beside, list(figures.values()))
        yield lambda: dict(zip(figures, drawing.result(), strict=True))


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Nothing that is there now is looked through for garbage."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
