"""A run's folder as text, and back: ``python -m hpobench.cluster.packing FOLDER`` prints it.

Ray's job API gives back one thing only, what a job printed. So a job on the head node prints the
folder as an archive, between two lines that say where it begins and what it must add up to.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from hpobench.errors import ClusterError

BEGIN, END, ABSENT = "hpobench-folder-begins", "hpobench-folder-ends", "hpobench-folder-absent"
BYTES_A_LINE = 12_000


def pack(folder: Path) -> Iterator[str]:
    """The lines that carry a folder's files; one line, ABSENT, if it holds no run."""
    if not (folder / "study.json").is_file():
        yield ABSENT
        return
    archive = _archive(folder)
    yield BEGIN
    for start in range(0, len(archive), BYTES_A_LINE):
        yield base64.b64encode(archive[start : start + BYTES_A_LINE]).decode()
    yield f"{END} {hashlib.sha256(archive).hexdigest()}"


def unpack(text: str, folder: Path) -> None:
    """Write the files of `pack` into a folder, over those of an earlier fetch of the same run.

    ClusterError if there was no run, if it did not arrive whole, or if the folder holds another.
    """
    lines = text.splitlines()
    if ABSENT in lines:
        raise ClusterError(
            "the head node holds no folder of this job: it ended before its study began"
        )
    try:
        begin = lines.index(BEGIN)
        end = next(i for i, line in enumerate(lines) if i > begin and line.startswith(END))
        archive = b"".join(map(base64.b64decode, lines[begin + 1 : end]))
    except (ValueError, StopIteration):
        said = next((line for line in reversed(lines) if line.strip()), "nothing")
        raise ClusterError(
            f"the head node did not send the run's folder; it said: {said}"
        ) from None
    if hashlib.sha256(archive).hexdigest() != lines[end].removeprefix(END).strip():
        raise ClusterError("the run's folder did not arrive whole; fetch it again")
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        check_place(folder, files.read("study.json"))
        files.extractall(folder)


def check_place(folder: Path, study: bytes | None = None) -> None:
    """Refuse a folder that holds something else than (an earlier fetch of) this run."""
    own = folder / "study.json"
    if study is not None and own.is_file() and own.read_bytes() == study:
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ClusterError(f"{folder} holds something else; choose another folder with --out")


def _archive(folder: Path) -> bytes:
    """A zip file of the regular files; one that goes away meanwhile is left out."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for place, _, names in os.walk(folder):
            for file in (Path(place) / name for name in sorted(names)):
                if file.is_symlink() or file.name.endswith(".tmp"):
                    continue
                try:
                    archive.writestr(
                        str(file.relative_to(folder)), file.read_bytes(), zipfile.ZIP_DEFLATED
                    )
                except FileNotFoundError:
                    continue
    return content.getvalue()


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in pack(Path(sys.argv[1])))
