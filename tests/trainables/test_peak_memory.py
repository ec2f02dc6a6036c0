"""Peaks of memory, and telling when it was memory that ran out."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables import peak_memory
from trainables.peak_memory import out_of_memory, peak_device, peak_host, reset_peaks

CPU = torch.device("cpu")
MIB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can let a peak begin anew")


def touch(mebibytes: int) -> None:
    np.ones(mebibytes * MIB, dtype=np.uint8)


@linux
def test_what_was_allocated_shows_until_the_peak_begins_anew() -> None:
    reset_peaks(CPU)
    before = peak_host()
    touch(200)
    assert 198 * MIB <= peak_host() - before <= 220 * MIB
    touch(100)  # below the peak
    assert peak_host() - before >= 198 * MIB
    reset_peaks(CPU)
    assert peak_host() - before <= 50 * MIB


def test_the_peak_is_in_bytes() -> None:
    """Whatever the system counts in: a process that has loaded torch is between 30 MB and 30 GB."""
    assert 3e7 < peak_host() < 3e10


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_without_a_proc_it_is_the_peak_of_a_life(
    platform: str, unit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        ru_maxrss = 12345

    monkeypatch.setattr(peak_memory, "PROCESS", tmp_path)
    monkeypatch.setattr(peak_memory.sys, "platform", platform)
    monkeypatch.setattr(peak_memory.resource, "getrusage", lambda who: Usage)
    assert peak_host() == 12345 * unit


def test_a_proc_that_is_read_only_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peak_memory, "PROCESS", tmp_path / "not there")
    reset_peaks(CPU)
    assert peak_host() > 0


def test_only_a_gpu_has_a_peak_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert peak_device(CPU) is None
    asked = []
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 7 * MIB)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", asked.append)
    gpu = torch.device("cuda:1")
    assert peak_device(gpu) == 7 * MIB
    reset_peaks(gpu)
    reset_peaks(CPU)
    assert asked == [gpu]


def caught(work) -> BaseException:
    with pytest.raises(Exception) as info:  # noqa: PT011
        work()
    return info.value


@pytest.mark.parametrize(
    "work", [lambda: torch.empty(2**50), lambda: np.empty(2**50), lambda: bytearray(2**60)]
)
def test_an_absurd_request_runs_out_of_memory(work) -> None:
    assert out_of_memory(caught(work))


def test_so_does_what_was_raised_from_one() -> None:
    def training() -> None:
        try:
            torch.empty(2**50)
        except RuntimeError as error:
            raise ValueError("the training failed") from error

    assert out_of_memory(caught(training))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("MPS backend out of memory (MPS allocated: 18 GB)"),
        RuntimeError("std::bad_alloc"),
    ],
    ids=str,
)
def test_what_says_that_there_is_no_memory(error: BaseException) -> None:
    assert out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("out of memory"),  # a setting's name, for all that is known
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_what_says_something_else(error: BaseException) -> None:
    assert not out_of_memory(error)


def test_a_wrong_shape_is_not_a_lack_of_memory() -> None:
    assert not out_of_memory(caught(lambda: torch.ones(2, 3) @ torch.ones(2, 3)))
