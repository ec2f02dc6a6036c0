"""What a reader opens: tables, figures and the page, all rebuilt from the records."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from hpobench.report.figures.write import write_figures
from hpobench.report.page import write_report
from hpobench.results.curves import Clock
from hpobench.results.run import Results


def publish(results: Results, clock: Clock = "seconds") -> None:
    """Write the tables, and over a clock the figures and the page, into the run's folder."""
    results.summary()  # before there are two who would ask for it
    with _no_garbage(), ThreadPoolExecutor(1) as beside:
        tables = beside.submit(results.write)  # Arrow leaves Python's lock free meanwhile
        write_figures(results, clock)
        write_report(results, clock)
        tables.result()


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Nothing that is there now is looked through for garbage: drawing makes a lot that is new."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
