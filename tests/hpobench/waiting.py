"""Waiting for what happens in other processes."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    """Wait for a condition; how long it may take is for a slow machine, not for a right result."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {seconds:g} s"
        time.sleep(0.05)
