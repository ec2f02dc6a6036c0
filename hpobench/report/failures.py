"""What becomes of a part of the report that cannot be made: a value, told in the part's place.

So no part takes the others with it, be it a figure or a table. What is the machine's failure (no
memory, a disk that refuses) or an interrupt is nobody's part, and ends the work as ever.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar

from hpobench.errors import RunError, is_full
from hpobench.results.json_files import make_folder, write_whole

T = TypeVar("T")

FOLDER = "figures"
ENDING = ".error.txt"
LONGEST = 300
"""Letters of a reason: a message may hold a whole table."""

PACKAGE = Path(__file__).parents[1]
LIBRARY = Path(sysconfig.get_path("stdlib"))


@dataclass(frozen=True)
class Failure:
    """A part of the report that could not be made.

    Args:
        name: What its file is called; a figure's own name.
        what: The part, in words.
        why: The exception, on a line.
        where: The line of code that it comes from.
        traceback: All of it.
        section, heading, task: Where on the page a figure would stand; see `RunFigure`.
    """

    name: str
    what: str
    why: str
    where: str
    traceback: str
    section: str = ""
    heading: str = ""
    task: str = ""

    @property
    def file(self) -> str:
        """Where its traceback is kept, in the run's folder."""
        return f"{FOLDER}/{self.name}{ENDING}"

    @property
    def headline(self) -> str:
        return f"{self.what} could not be {'drawn' if 'figure' in self.what else 'made'}"

    def __str__(self) -> str:
        return f"{self.headline}: {self.why} ({self.where})"


def attempted(name: str, make: Callable[[], T], what: str = "") -> T | Failure:
    """What comes of making a part of the report, or why nothing does.

    Args:
        name: Of the part: of a figure, unless told.
        make: Makes it.
        what: The part, in words.
    """
    try:
        return make()
    except Exception as error:
        if _of_the_machine(error):
            raise
        return Failure(
            name,
            what or f"figure {name}",
            _on_a_line("".join(traceback.format_exception_only(error))),
            _place(error),
            "".join(traceback.format_exception(error)),
        )


def failures_in(made: Any) -> Iterator[Failure]:
    """Those among things that were attempted, however they are nested."""
    if isinstance(made, Failure):
        yield made
    elif isinstance(made, (Mapping, list, tuple)):
        for part in made.values() if isinstance(made, Mapping) else made:
            yield from failures_in(part)


def keep_tracebacks(failures: Iterable[Failure], run: Path) -> tuple[str, ...]:
    """Write each part's traceback into the run's folder; a line for each that names its file."""
    by_name: dict[str, list[Failure]] = {}
    for failure in failures:
        by_name.setdefault(failure.name, []).append(failure)
    if by_name:
        make_folder(run / FOLDER)
    for of_name in by_name.values():
        text = "\n".join(dict.fromkeys(f"{one}\n\n{one.traceback}" for one in of_name))
        write_whole(run / of_name[0].file, text.encode(errors="backslashreplace"))
    return tuple(f"{first}; its traceback: {run / first.file}" for first, *_ in by_name.values())


def kept_tracebacks(run: Path) -> list[Path]:
    """The files that `keep_tracebacks` has left in a run's folder."""
    return sorted((run / FOLDER).glob(f"*{ENDING}"))


def _of_the_machine(error: Exception) -> bool:
    if isinstance(error, RunError):  # what a disk refused, if not a figure's own
        return isinstance(error.__cause__, OSError)
    return isinstance(error, MemoryError) or is_full(error)  # other refusals may be of a font, say


def _on_a_line(text: str) -> str:
    """Without what a terminal or a file of text would stumble over."""
    words = shorten(text, LONGEST, placeholder=" …")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in words)


def _place(error: Exception) -> str:
    """The last line that is no library's: ours, or a user's own."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is that of `attempted`
    files = [(Path(frame.filename), frame.lineno) for frame in frames]
    own = [(file, line) for file, line in files if PACKAGE in file.parents or not _library(file)]
    if not files:
        return "in code without lines"
    file, line = (own or files)[-1]
    depth = len(PACKAGE.parts) - 1 if PACKAGE in file.parents else -2
    return f"{'/'.join(file.parts[depth:])}:{line}"


def _library(file: Path) -> bool:
    return LIBRARY in file.parents or "site-packages" in file.parts or file.name.startswith("<")
