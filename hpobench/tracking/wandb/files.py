"""W&B's files of a run's folder: written offline, and uploaded when asked.

A run is always written to disk first, which needs no key and no network; uploading is
``wandb sync``, so whatever it leaves out can be uploaded later. Beside a run's file there is a mark
once it was uploaded, which says where to: what was uploaded is known here, and whether it is still
there, the server is asked.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hpobench.errors import TrackingError
from hpobench.results.json_files import Record
from hpobench.tracking.wandb import writer
from hpobench.tracking.wandb.lookup import Found, Place, look_up
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


def write(folder: Path, runs: Sequence[WandbRun], to_upload: bool = False) -> None:
    """Write the runs that are not there as they are now, in place of what is there of them.

    W&B's file names those of its artifacts by where they are, so it has to be where it was written;
    one that has been uploaded may be elsewhere, unless it is ``to_upload`` again.
    """
    new = [run for run in runs if not _usable(_file(folder, run), to_upload)]
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
    folder: Path,
    runs: Sequence[WandbRun],
    entity: str | None = None,
    project: str = PROJECT,
    again: bool = False,
) -> int:
    """Upload the runs that a project does not have as they are now; how many those were.

    ``entity``: whose project, by default that of the environment, or else of the key. ``again``:
    upload all of them, whatever is there.
    """
    found = look_up(folder.parent, [run.id for run in runs], entity, project)
    waiting = [run for run in runs if again or not _uploaded(folder, run, found)]
    if waiting:
        deleted = any(_marked(folder, run, found) and run.id not in found.ids for run in waiting)
        write(folder, waiting, to_upload=True)
        files = [file for run in waiting if (file := _file(folder, run))]
        _upload(folder, files, found.place, deleted)
    return len(waiting)


def not_uploaded(
    folder: Path, runs: Sequence[WandbRun], entity: str | None = None, project: str = PROJECT
) -> int:
    """How many of the runs a project does not have as they are now; `upload` would upload them."""
    found = look_up(folder.parent, [run.id for run in runs], entity, project)
    return sum(not _uploaded(folder, run, found) for run in runs)


def _upload(folder: Path, files: Sequence[Path], place: Place, deleted: bool) -> None:
    """Upload the files, and mark each as uploaded there. ``deleted``: some once were there."""
    aim = json.dumps(asdict(place))
    elsewhere = {mark: [a for a in _aims(mark) if a != aim] for mark in map(_mark, files)}
    for mark in elsewhere:  # W&B passes over what it has marked, and marks what it is done with
        mark.unlink(missing_ok=True)
    command = ["-m", "wandb", "sync", "--entity", place.entity, "--project", place.project]
    command += [str(file.resolve()) for file in files]

    def left() -> int:
        return sum(not mark.exists() for mark in elsewhere)

    reason = supervise(command, online(), left, folder=folder.parent)
    # W&B also marks a run whose data were refused.
    done = [] if reason is not None else [mark for mark in elsewhere if mark.exists()]
    for mark, aims in elsewhere.items():
        mark.unlink(missing_ok=True)
        if aims or mark in done:
            mark.write_text("\n".join([*aims, aim] if mark in done else aims))
    if len(done) < len(elsewhere):
        raise TrackingError(
            f"W&B did not take every run ({reason or SILENT}); the results are whole: run"
            f" `wandb login` or check the network, then `hpobench wandb sync {folder.parent}`"
            + (_DELETED if deleted or "deleted" in (reason or "") else "")
        )


_DELETED = (
    "; what was deleted there, W&B may not take again: restore it there, or choose another"
    " --project"
)


def _uploaded(folder: Path, run: WandbRun, found: Found) -> bool:
    """Whether a place has the run as it is now.

    The mark alone does not know what was deleted there, nor the server alone which version it has.
    """
    return run.id in found.ids and _marked(folder, run, found)


def _marked(folder: Path, run: WandbRun, found: Found) -> bool:
    file = _file(folder, run)
    return file is not None and json.dumps(asdict(found.place)) in _aims(_mark(file))


def _file(folder: Path, run: WandbRun) -> Path | None:
    """The run's file, if it was written to its end and holds what the run is now."""
    for place in folder.glob(f"offline-run-*-{run.id}*"):
        file, fingerprint = place / f"run-{run.id}.wandb", place / writer.FINGERPRINT
        if not file.exists() or not fingerprint.exists():
            continue
        if fingerprint.read_text().partition("\n")[0] == run.fingerprint:
            return file
    return None


def _usable(file: Path | None, to_upload: bool) -> bool:
    """Whether it need not be written again: it is where it was written, or has been uploaded."""
    if file is None:
        return False
    where = (file.parent / writer.FINGERPRINT).read_text().partition("\n")[2]
    return where == str(file.parent.resolve()) or (not to_upload and _mark(file).exists())


def _mark(file: Path) -> Path:
    return file.with_suffix(".wandb.synced")


def _aims(mark: Path) -> list[str]:
    """Where the run was uploaded to, a line each; none in a mark of W&B's own."""
    return mark.read_text().splitlines() if mark.exists() else []


def _remove(folder: Path, run: WandbRun) -> None:
    for place in folder.glob(f"offline-run-*-{run.id}*"):
        try:
            shutil.rmtree(place)
        except OSError as error:
            raise TrackingError(
                f"{place} is outdated and cannot be removed: {error.strerror};"
                " remove it, or go on with --wandb off"
            ) from None
