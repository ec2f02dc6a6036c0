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

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # cells are rerun, not restored
    "TUNE_FORCE_TRIAL_CLEANUP_S": "1",  # what the budget cut off need not finish
    "TUNE_WARN_THRESHOLD_S": "1000000",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONWARNINGS": "ignore",
}
"""Environment of every process that runs Tune: no chatter, nothing that costs the cell time."""


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


def slices_of(study: Study) -> tuple[int, tuple[Slice, ...]]:
    """This machine's GPUs, and its slices for a study. StudyError if it is too small."""
    gpus = _gpus() if study.gpus else 0
    return gpus, cut(study, available_cores(), gpus)


@contextmanager
def local_machine(study: Study) -> Iterator[Machine]:
    """A Ray of this study's own, stopped at the end."""
    before = dict(os.environ)
    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    import ray

    if ray.is_initialized():
        raise StudyError(
            f"study {study.name}: this process is already connected to a Ray, and a study starts"
            " its own; call ray.shutdown() first"
        )

    gpus, slices = slices_of(study)
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for name in ("ray", "ray.tune", "ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
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
        os.environ.clear()
        os.environ.update(before)


def _restore(signals: Mapping[signal.Signals, Any]) -> None:
    """Undo what `ray.init` does to signals: SIGTERM would abort without a word to the runner."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in signals.items():
            signal.signal(number, handler)


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
