"""Small problems on machines shared with others."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # more threads only wait for each other

import pytest
import torch
from hypothesis import settings

gc.disable()  # until the tests are collected: what imports make stays, and there is much of it
torch.set_num_threads(1)
settings.register_profile("shared", deadline=None)  # a first call loads libraries
settings.load_profile("shared")

PATIENCE_OF_RAY = {
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_gcs_server_request_timeout_seconds": "300",
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "300",
}
"""Ray gives its processes a minute at most to start and to answer: too little on a busy machine."""

ONE_MODE_FOR_ALL = {"RAY_AUTH_MODE": "disabled"}
"""Whether Ray asks for tokens is settled once for a process's life, by what it does first: tests
would leave each other's clusters with drivers that they cannot talk to."""

for name, value in (PATIENCE_OF_RAY | ONE_MODE_FOR_ALL).items():
    os.environ.setdefault(name, value)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs on Ray goes first: a long file that began last would be waited for."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
