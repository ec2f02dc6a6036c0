"""This machine as a small cluster: a local Ray, cut into slices of disjoint cores."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hpobench.errors import StudyError
from hpobench.study import Study


@dataclass(frozen=True)
class Slice:
    """The slots of one cell: a Ray resource that it alone is given, and cores of its own."""

    resource: str
    cores: tuple[int, ...]


@dataclass(frozen=True)
class Machine:
    """What a study can run on: Ray's address, and the slices for cells side by side."""

    address: str
    slices: tuple[Slice, ...]


def available_cores() -> tuple[int, ...]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def cut(study: Study, cores: tuple[int, ...], gpus: int) -> tuple[Slice, ...]:
    """As many slices as the cores, and the GPUs if the study wants any, allow."""
    wide = study.width * study.cpus
    count = len(cores) // wide
    if study.gpus:
        per_gpu = study.width * study.gpus
        count = min(count, int(gpus / per_gpu + 1e-9))
    if count < 1:
        wanted = f"{study.width} × {study.cpus} cores"
        if study.gpus:
            wanted += f" and {study.width} × {study.gpus:g} GPUs"
        raise StudyError(
            f"study {study.name}: a cell needs {wanted}; this machine has {len(cores)} cores"
            f" and {gpus} GPUs; lower the width, or the resources of a slot"
        )
    return tuple(Slice(f"slice_{i}", cores[i * wide : (i + 1) * wide]) for i in range(count))


@contextmanager
def local_machine(study: Study) -> Iterator[Machine]:
    """A Ray of this study's own, stopped at the end."""
    from hpobench.running.cell import QUIET

    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    import ray

    gpus = _gpus() if study.gpus else 0
    slices = cut(study, available_cores(), gpus)
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for name in ("ray", "ray.tune", "ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Slices meter the slots; a few CPUs more let the runner's own tasks start beside them.
    context = ray.init(
        address="local",
        num_cpus=len(slices) * study.width * study.cpus,
        num_gpus=gpus,
        resources={piece.resource: study.width for piece in slices},
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    _restore(signals)
    try:
        yield Machine(context.address_info["address"], slices)
    finally:
        ray.shutdown()


def _restore(signals: Mapping[signal.Signals, Any]) -> None:
    """Undo what `ray.init` does to signals: SIGTERM would abort without a word to the runner."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in signals.items():
            signal.signal(number, handler)


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
