"""What a reader opens: tables, figures and the page, all rebuilt from the records."""

from hpobench.results import Results


def publish(results: Results) -> None:
    results.write()
