"""Addresses of Unix sockets, which systems keep short."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_ADDRESS = 100
"""In bytes: systems allow 104 or 108."""


@contextmanager
def short_address(address: Path) -> Iterator[str]:
    """An address for a Unix socket: this one, unless it is too long for one."""
    if len(os.fsencode(address)) <= LONGEST_ADDRESS:
        yield str(address)
        return
    folder = tempfile.mkdtemp(prefix="hpobench-", dir="/tmp")
    try:
        yield str(Path(folder) / "socket")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
