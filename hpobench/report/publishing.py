"""What a reader opens: tables, figures and the page, all rebuilt from the records."""

from __future__ import annotations

from hpobench.report.figures.write import write_figures
from hpobench.report.page import write_report
from hpobench.results.run import Results


def publish(results: Results) -> None:
    """Write the tables, the figures and the page into the run's folder."""
    results.write()
    write_figures(results)
    write_report(results)
