"""How much memory a slot has taken, and whether it was memory that a training ran out of."""

from __future__ import annotations

import errno
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

PROCESS = Path("/proc/self")

EXHAUSTED = re.compile(
    r"out of memory|not enough memory|can('|no)t allocate memory|bad_alloc|ALLOC(ATION)?_FAILED",
    re.IGNORECASE,
)
"""What torch's allocators say, and cuBLAS, cuDNN and their kin (…_STATUS_ALLOC_FAILED)."""


def reset_peaks(device: torch.device) -> None:
    """Let the peaks begin anew, from what is held now.

    The host's can only on Linux, where /proc may be written to; elsewhere it stays the peak of
    the whole life of this process.
    """
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text("5")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_host() -> int:
    """The most memory that this process had resident since the last reset, in bytes.

    Pages that it shares with others (an object store, libraries) are among them.
    """
    try:
        status = (PROCESS / "status").read_text()
    except OSError:
        status = ""
    high_water = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    if high_water:
        return int(high_water[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_device(device: torch.device) -> int | None:
    """The most memory that tensors took on a GPU since the last reset, in bytes; None without one.

    What CUDA and its libraries hold for themselves is not known to torch, and not counted.
    """
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, is a lack of memory, on the host or a device.

    Apart from Python's and torch's own classes these are RuntimeErrors, told by their words.
    """
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    if isinstance(error, RuntimeError) and EXHAUSTED.search(str(error)):
        return True
    return error.__cause__ is not None and out_of_memory(error.__cause__)
