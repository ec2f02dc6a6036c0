"""W&B's files of a run's folder: written offline, and uploaded when asked.

A run is always written to disk first, which needs no key and no network; uploading is
``wandb sync``, so whatever it leaves out can be uploaded later.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hpobench.errors import TrackingError
from hpobench.results.json_files import Record
from hpobench.tracking.wandb import writer
from hpobench.tracking.wandb.process import SILENT, offline, online, supervise

PROJECT = "hpobench"
"""The project of W&B's that runs are in unless told."""


@dataclass(frozen=True)
class WandbRun:
    """What W&B is told of a run: JSON without NaN.

    ``history``: rows in order. ``table``: its evaluations, as columns and data (rows). ``files``:
    the digest of each file of its artifact, by the file's path in the run's folder.
    """

    id: str
    project: str
    group: str
    name: str
    job_type: str
    tags: list[str]
    config: Record
    history: list[Record]
    table: Record
    files: dict[str, str]
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
    lines = [json.dumps(asdict(run) | {"fingerprint": run.fingerprint}) + "\n" for run in new]

    def left() -> int:
        return sum(_file(folder, run) is None for run in new)

    # By its path: the package would import all that a study needs.
    command = [str(Path(writer.__file__)), str(folder.resolve())]
    reason = supervise(command, offline(), left, "".join(lines))
    if left():
        raise TrackingError(
            f"W&B could not write {left()} of {len(new)} runs into {folder}"
            f" ({reason or SILENT}); the results are whole: check that folder and its disk,"
            " or go on with --wandb off"
        )


def upload(
    folder: Path, runs: Sequence[WandbRun], entity: str | None = None, project: str = PROJECT
) -> int:
    """Upload the written runs that are not uploaded yet, and say how many those were.

    ``entity``: whose project, by default that of the environment, or else of the key. W&B leaves
    a mark beside each run that it uploaded; where that was to is added to it.
    """
    entity = entity or os.environ.get("WANDB_ENTITY")
    aim = json.dumps({"entity": entity, "project": project})
    files = [file for run in runs if (file := _file(folder, run)) is not None]
    waiting = {file: _mark(file) for file in files if not _marked(_mark(file), aim)}
    if not waiting:
        return 0
    for mark in waiting.values():
        mark.unlink(missing_ok=True)
    command = ["-m", "wandb", "sync", *(["--entity", entity] if entity else [])]
    command += ["--project", project, *(str(file.resolve()) for file in waiting)]

    def left() -> int:
        return sum(not mark.exists() for mark in waiting.values())

    reason = supervise(command, online(), left, folder=folder.parent)
    if reason is not None:  # W&B also marks a run whose data were refused
        for mark in waiting.values():
            mark.unlink(missing_ok=True)
    if left():
        raise TrackingError(
            f"W&B did not take every run ({reason or SILENT}); the results are whole: run"
            f" `wandb login` or check the network, then `hpobench wandb sync {folder.parent}`"
        )
    for mark in waiting.values():
        mark.write_text(aim)
    return len(waiting)


def not_uploaded(folder: Path, runs: Sequence[WandbRun]) -> int:
    """How many runs have not been uploaded to anywhere as they are now."""
    files = [_file(folder, run) for run in runs]
    return sum(file is None or not _mark(file).exists() for file in files)


def _file(folder: Path, run: WandbRun) -> Path | None:
    """The run's file, if it was written to its end and holds what the run is now.

    W&B's file names those of its artifacts by where they are, so it has to be where it was
    written, unless they have been uploaded.
    """
    for place in folder.glob(f"offline-run-*-{run.id}*"):
        file, fingerprint = place / f"run-{run.id}.wandb", place / writer.FINGERPRINT
        if not file.exists() or not fingerprint.exists():
            continue
        written, _, where = fingerprint.read_text().partition("\n")
        here = where == str(place.resolve()) or _mark(file).exists()
        if written == run.fingerprint and here:
            return file
    return None


def _mark(file: Path) -> Path:
    return file.with_suffix(".wandb.synced")


def _marked(mark: Path, aim: str) -> bool:
    """Whether it says that the run was uploaded there; one of W&B's own says not where to."""
    return mark.exists() and mark.read_text() in ("", aim)


def _remove(folder: Path, run: WandbRun) -> None:
    for place in folder.glob(f"offline-run-*-{run.id}*"):
        try:
            shutil.rmtree(place)
        except OSError as error:
            raise TrackingError(
                f"{place} is outdated and cannot be removed: {error.strerror};"
                " remove it, or go on with --wandb off"
            ) from None
