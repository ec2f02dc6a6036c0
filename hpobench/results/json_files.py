"""JSON files and append-only JSON lines: how a run is kept on disk.

A line is written in one call, so a process that dies in the middle leaves at most a torn last
line: text without a newline at its end. Readers drop it and say so; anything else that is not a
record is damage and is named with its file and line. NaN and infinity are never written.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn, TypeAlias

from hpobench.errors import RunError, is_full

Record: TypeAlias = dict[str, Any]


class Lines(NamedTuple):
    """The records of a file; ``torn`` if a last line was cut off while it was written."""

    records: list[Record]
    torn: bool


def append_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Append records, in one write; the rest of a torn line is removed first.

    Raises ValueError for NaN or infinity and RunError if the disk refuses.
    """
    lines = b"".join(_encode(path, record) + b"\n" for record in records)
    with refusals(path), open(path, "a+b", buffering=0) as file:
        _mend(file.fileno())
        if file.write(lines) != len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of records whole. Raises as `write_json` does."""
    write_whole(path, b"".join(_encode(path, record) + b"\n" for record in records))


def read_lines(path: Path) -> Lines:
    """All records of a file. RunError if it cannot be read or is damaged before its end."""
    *lines, rest = read_bytes(path).split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        record = _parse(line)
        if record is None:
            raise RunError(
                f"{path}, line {number} is damaged: expected one JSON object;"
                " repair or remove that line, or run the cell again"
            )
        records.append(record)
    last = _parse(rest)
    if last is not None:
        records.append(last)
    return Lines(records, torn=bool(rest) and last is None)


def torn_note(path: Path) -> str:
    """What to say of a torn last line."""
    place = "/".join(path.parts[-2:])
    return f"The last line of {place} was cut off while it was written, and is left out."


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole: a reader finds the old content or the new, never a part.

    Raises ValueError for NaN or infinity and RunError if the disk refuses.
    """
    write_whole(path, _encode(path, value, indent=1) + b"\n")


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step. RunError if the disk refuses."""
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which replaces that at ``path`` in one step when all went well.

    RunError if the disk refuses.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with refusals(path):
        try:
            with open(draft, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            with suppress(OSError):
                draft.unlink()


def is_draft(path: Path) -> bool:
    """Whether it is what `replacing` leaves if its process dies."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def read_json(path: Path) -> Record:
    """The JSON object in a file. RunError if it is not there, or not one."""
    value = _parse(read_bytes(path))
    if value is None:
        raise RunError(f"{path} is damaged: expected one JSON object; restore it or run again")
    return value


def read_bytes(path: Path) -> bytes:
    """What is in a file. RunError if it cannot be read."""
    with refusals(path):
        return Path(path).read_bytes()


def make_folder(path: Path) -> Path:
    """The folder, made with its parents where needed. RunError if the disk refuses."""
    with refusals(path):
        Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


def _encode(path: Path, value: Any, indent: int | None = None) -> bytes:
    try:
        return encoded(value, indent)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def encoded(value: Any, indent: int | None = None) -> bytes:
    """A value as its JSON is written. Raises TypeError or ValueError for what is none."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent).encode()


def _parse(text: bytes) -> Record | None:
    """The JSON object that the text is, or None. The start of an object never parses as one."""
    try:
        value = _DECODER.decode(text.decode())
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _mend(file: int) -> None:
    """End the file with a whole line: complete a newline that is missing, drop a torn line."""
    size = os.fstat(file).st_size
    if size == 0 or os.pread(file, 1, size - 1) == b"\n":
        return
    content = os.pread(file, size, 0)
    start = content.rfind(b"\n") + 1
    if _parse(content[start:]) is None:
        os.ftruncate(file, start)
    else:
        os.write(file, b"\n")


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turns what a disk refuses about ``path`` into a RunError that says what to do."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: {error.strerror or error}; {_remedy(error)}") from error


def _remedy(error: OSError) -> str:
    if is_full(error):
        return "free some space there, or choose another folder for the run"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "give yourself access to that folder, or choose another one for the run"
    if error.errno == errno.EEXIST:
        return "it is no folder: choose another path"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "check that path"
    return "check that disk, then try again"
