"""What a reader opens: tables, figures and the page, all rebuilt from the records."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hpobench.report.figures.write import write_figures
from hpobench.report.page import write_report
from hpobench.results.curves import Clock
from hpobench.results.run import Results


def publish(results: Results, clock: Clock = "seconds") -> None:
    """Write the tables, and over a clock the figures and the page, into the run's folder."""
    with ThreadPoolExecutor(1) as beside:  # tables leave Python's lock free while they are written
        tables = beside.submit(results.write)
        write_figures(results, clock)
        write_report(results, clock)
        tables.result()
