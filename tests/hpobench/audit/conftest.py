"""The audit's own number of threads, for all its tests."""

import pytest

from hpobench.audit import run


@pytest.fixture(autouse=True)
def one_thread():
    with run.one_thread():
        yield
