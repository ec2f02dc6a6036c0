"""What a reader opens: tables, figures and the page, all rebuilt from the records."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from hpobench.report.beside import carry_out, carry_out_beside
from hpobench.report.figures.write import figure_files, write_files
from hpobench.report.page import page_figures, write_report
from hpobench.results.curves import Clock
from hpobench.results.run import Results

MANY = 100_000
"""From so many evaluations on, another process pays for its start."""


def publish(results: Results, clock: Clock = "seconds") -> None:
    """Write the tables, and over a clock the figures and the page, into the run's folder."""
    results.summary()  # before there are two who would ask for it
    figures = page_figures(results, clock)
    calls: list[Callable[[], Any]] = [figure_files(results, clock), *figures.values()]
    draw = carry_out_beside if len(results.evaluations) > MANY else carry_out
    with _no_garbage(), ThreadPoolExecutor(2) as beside:
        drawing = beside.submit(draw, calls)
        tables = beside.submit(results.write)  # Arrow leaves Python's lock free meanwhile
        write_report(results, clock, lambda: dict(zip(figures, drawing.result()[1:], strict=True)))
        write_files(results, drawing.result()[0])
        tables.result()


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Nothing that is there now is looked through for garbage."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
