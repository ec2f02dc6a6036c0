"""Addresses of clusters that are not there: one line, and soon."""

from __future__ import annotations

import socket
import time

import pytest

from hpobench import RunError, Study
from hpobench.running.ray_backend import cluster

STUDY = Study("small", ["quadratic"], ["random"], 1, 1.0)


def closed_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@pytest.mark.parametrize("prefix", ["", "ray://"])
def test_nobody_there(prefix: str) -> None:
    address = f"{prefix}127.0.0.1:{closed_port()}"
    began = time.monotonic()
    with pytest.raises(RunError, match=f"no Ray answers at {address} .*refused"):
        cluster(STUDY, address, None).__enter__()
    assert time.monotonic() - began < 60  # Ray itself would try for minutes


@pytest.mark.parametrize("address", ["nonsense", "local", "host:port", ":6379", "ray://"])
def test_no_address(address: str) -> None:
    with pytest.raises(RunError, match="an address is auto, HOST:PORT or ray://HOST:PORT"):
        cluster(STUDY, address, None).__enter__()
