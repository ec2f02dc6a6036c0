"""Calls in a process of their own, for work that would keep this one's lock: drawing, mostly.

No `ProcessPoolExecutor`: one that spawns runs the user's script again, which may start its study
again; one that forks copies threads (Ray's, ours) in the middle of what they do. And this one can
import what it will need while its calls are not known yet.
"""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TypeVar

from hpobench import own_python
from hpobench.errors import RunError

T = TypeVar("T")


def start_subprocess(*modules: str) -> subprocess.Popen[bytes]:
    """A process for `run_in_subprocess`, which imports modules until its calls are known.

    Args:
        modules: names of what the calls will need.
    """
    return subprocess.Popen(
        own_python.command("hpobench.report.subprocess_pool", *modules),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # an interrupt is for us
    )


def run_in_subprocess(
    calls: Sequence[Callable[[], T]], process: subprocess.Popen[bytes] | None = None
) -> list[T]:
    """What each of the calls comes to, in order, from another process.

    Wait for it in a thread. The other process ends by itself if this one is gone.

    Args:
        calls: to be pickled, as what they come to is.
        process: of `start_subprocess`; one of its own unless told.

    Raises:
        RuntimeError: if one of them raised, with its traceback; what the machine refused (a disk,
            memory) as it was raised.
    """
    process = process or start_subprocess()
    pickled, complaints = process.communicate(pickle.dumps(list(calls)))
    if process.returncode:
        raise RuntimeError(
            f"work in another process failed:\n{complaints.decode(errors='replace')}"
        )
    values, refusal, cause = pickle.loads(pickled)
    if refusal is not None:
        raise refusal from cause
    answers: list[T] = values
    return answers


def main() -> None:
    """Of that other process."""
    gc.disable()  # there will be an end soon
    for module in sys.argv[1:]:
        import_module(module)
    answer, sys.stdout = sys.stdout.buffer, sys.stderr  # what a call prints is no answer
    calls, values, refusal = pickle.load(sys.stdin.buffer), [], None
    try:
        values += [call() for call in calls]
    except (RunError, MemoryError, OSError) as error:
        refusal = error
    cause = refusal and refusal.__cause__
    answer.write(pickle.dumps((values, refusal, cause)))
