"""W&B's files of a run's folder: written offline, and uploaded when asked.

W&B works in processes of its own. In this one it would wrap the terminal's streams, leave a
service running beside the next study's cells, take its mode from the environment, and wait at the
terminal for a key. A run is always written to disk first, which needs no key and no network;
uploading is ``wandb sync``, so whatever it leaves out can be uploaded later.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hpobench.errors import TrackingError
from hpobench.results.records import Record
from hpobench.tracking import writer

PATIENCE_SECONDS = 60.0
"""How long W&B may take over one run before it is given up."""

RETRIES = {"WANDB__GRAPHQL_RETRY_MAX": "3"}
"""Without a network, W&B's own default is to try for many minutes."""

SILENT = "it gave no reason"

OTHERS = {f"WANDB_{name}" for name in ("MODE", "DIR", "RESUME", "RUN_ID", "SWEEP_ID", "SERVICE")}
"""What binds a process to a mode, a folder or a run that is not ours."""


@dataclass(frozen=True)
class WandbRun:
    """What W&B is told of a run: JSON without NaN. ``history``: rows in order."""

    id: str
    project: str
    group: str
    name: str
    job_type: str
    tags: list[str]
    config: Record
    history: list[Record]
    summary: Record
    failed: bool

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def write(folder: Path, runs: Sequence[WandbRun]) -> None:
    """Write the runs that are not there as they are now, in place of what is there of them."""
    new = [run for run in runs if _file(folder, run) is None]
    if not new:
        return
    for run in new:
        _remove(folder, run)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    # The process as a whole: for an offline run alone, W&B would still send its usage figures.
    environment |= {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
    lines = [json.dumps(asdict(run) | {"fingerprint": run.fingerprint}) + "\n" for run in new]

    def left() -> int:
        return sum(_file(folder, run) is None for run in new)

    # By its path: the package would import all that a study needs.
    command = [str(Path(writer.__file__)), str(folder.resolve())]
    reason = _supervise(command, environment, left, "".join(lines))
    if left():
        raise TrackingError(
            f"W&B could not write {left()} of {len(new)} runs into {folder}"
            f" ({reason or SILENT}); the results are whole: check that folder and its disk,"
            " or go on with --wandb off"
        )


def upload(folder: Path, runs: Sequence[WandbRun]) -> None:
    """Upload the written runs that are not uploaded yet; W&B leaves a mark beside each it did."""
    files = [file for run in runs if (file := _file(folder, run)) is not None]
    waiting = {file: _mark(file) for file in files if not _mark(file).exists()}
    if not waiting:
        return
    environment = RETRIES | {k: v for k, v in os.environ.items() if k not in OTHERS}
    entity = os.environ.get("WANDB_ENTITY")
    command = ["-m", "wandb", "sync", *(["--entity", entity] if entity else [])]
    command += [str(file.resolve()) for file in waiting]

    def left() -> int:
        return sum(not mark.exists() for mark in waiting.values())

    reason = _supervise(command, environment, left, folder=folder.parent)
    if reason is not None:  # W&B also marks a run whose data were refused
        for mark in waiting.values():
            mark.unlink(missing_ok=True)
    if left():
        raise TrackingError(
            f"W&B did not take every run ({reason or SILENT}); the results are whole: run"
            f" `wandb login` or check the network, then `wandb sync {folder}`,"
            " or go on with --wandb offline"
        )


def _file(folder: Path, run: WandbRun) -> Path | None:
    """The run's file, if it was written to its end and holds what the run is now."""
    for place in folder.glob(f"offline-run-*-{run.id}*"):
        file, fingerprint = place / f"run-{run.id}.wandb", place / writer.FINGERPRINT
        if file.exists() and fingerprint.exists() and fingerprint.read_text() == run.fingerprint:
            return file
    return None


def _mark(file: Path) -> Path:
    return file.with_suffix(".wandb.synced")


def _remove(folder: Path, run: WandbRun) -> None:
    for place in folder.glob(f"offline-run-*-{run.id}*"):
        try:
            shutil.rmtree(place)
        except OSError as error:
            raise TrackingError(
                f"{place} is outdated and cannot be removed: {error.strerror};"
                " remove it, or go on with --wandb off"
            ) from None


def _supervise(
    command: Sequence[str],
    environment: Mapping[str, str],
    left: Callable[[], int],
    text: str = "",
    folder: Path | None = None,
) -> str | None:
    """Run Python to its end, or until a run takes it too long; what it complained of."""
    with (
        # W&B leaves temporary folders behind.
        tempfile.TemporaryDirectory(prefix="hpobench-wandb-", ignore_cleanup_errors=True) as mess,
        subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,  # never a terminal: W&B would ask there for a key
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # No imports from our own folder, or the user's.
            env={**environment, "PYTHONSAFEPATH": "1", "TMPDIR": mess},
            cwd=folder,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        rest: str | None = text
        try:
            while True:
                before = left()
                try:
                    return _complaint(process.communicate(rest, timeout=PATIENCE_SECONDS)[0])
                except subprocess.TimeoutExpired:
                    rest = None
                    if left() == before:
                        return f"no answer for {PATIENCE_SECONDS:.0f} s"
        finally:
            process.kill()


def _complaint(output: str) -> str | None:
    for start in ("Error: ", "wandb: ERROR "):
        for line in output.splitlines():
            if line.startswith(start):
                return line.removeprefix(start).rstrip(". ")
    return None
