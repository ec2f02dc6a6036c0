"""What a reader opens: tables, figures and the page, all rebuilt from the records."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from markupsafe import Markup

from hpobench.report.drawing import inline
from hpobench.report.figures.write import (
    run_figures,
    write_drawn,
    write_figures,
    write_task_figures,
)
from hpobench.report.page.document import is_large, write_report
from hpobench.report.page.regret import whole_regret
from hpobench.report.subprocess_pool import carry_out_beside, start_beside
from hpobench.results.regret import Clock
from hpobench.results.run import Results


def publish(results: Results, clock: Clock = "seconds") -> None:
    """Write the tables, and over a clock the figures and the page, into the run's folder.

    Of a large run, the figures of each task by itself are on the page alone, and the others are
    drawn in a process of their own.
    """
    with _no_garbage(), ThreadPoolExecutor(1) as beside:
        if is_large(results):
            drawn = _drawn_beside(results, clock, beside)
            results.write()
            write_report(results, clock, drawn)
        else:
            results.write()
            write_figures(results, clock)
            write_task_figures(results, clock)
            write_report(results, clock)


def _drawn_beside(results: Results, clock: Clock, beside: Executor) -> Callable[[], Markup]:
    """Has the run's figures written, and returns what waits for the drawing on the page."""
    process = start_beside(inline.__name__)
    whole, svg = whole_regret(results, clock), results.path / "figures" / "regret.svg"
    calls: list[Callable[[], Any]] = [
        partial(write_drawn, results.path, run_figures(results, clock)),
        partial(inline.inline_file, svg, whole.prefix, whole.spoken),
    ]
    waiting = beside.submit(carry_out_beside, calls, process)
    return lambda: waiting.result()[1]


@contextmanager
def _no_garbage() -> Iterator[None]:
    """No search for garbage: there is much to look through, and little to find."""
    looking = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looking:
            gc.enable()
