"""Calls in a process of their own, for work that would keep this one's lock: drawing, mostly."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def carry_out_beside(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What each of the calls comes to, in order, from another process; both are pickled.

    Wait for it in a thread. The other process ends by itself if this one is gone.
    """
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=pickle.dumps(list(calls)),
        capture_output=True,
        start_new_session=True,  # an interrupt is for us
    )
    if done.returncode:
        raise RuntimeError(f"work beside failed:\n{done.stderr.decode(errors='replace')}")
    values: list[T] = pickle.loads(done.stdout)
    return values


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps([call() for call in pickle.load(sys.stdin.buffer)]))
