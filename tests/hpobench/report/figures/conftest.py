"""Runs of invented numbers that the tests of several figures look at."""

from __future__ import annotations

import pytest

from hpobench.results.run import Results
from tests.hpobench.fake_run import write_run


@pytest.fixture(scope="session")
def one_task(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Three searchers with six seeds each, of which two have failed."""
    folder = write_run(
        tmp_path_factory.mktemp("run"),
        searchers=("fds", "random", "bohb"),
        seeds=range(6),
        failed=["digits__random__s1", "digits__random__s2"],
    )
    return Results.load(folder)


@pytest.fixture(scope="session")
def two_tasks(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Four searchers with six seeds each; one cell is missing, and one has failed."""
    folder = write_run(
        tmp_path_factory.mktemp("run"),
        tasks=("digits", "fashion"),
        searchers=("random", "fds", "bohb", "grid"),
        seeds=range(6),
        missing=["digits__bohb__s4"],
        failed=["fashion__random__s1"],
    )
    return Results.load(folder)


@pytest.fixture(scope="session")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Twenty searchers with three seeds each."""
    names = [f"a_searcher_of_quite_a_long_name_{place}" for place in range(20)]
    folder = write_run(tmp_path_factory.mktemp("run"), searchers=names, seeds=range(3))
    return Results.load(folder)
