"""Where a Ray of a study's own keeps what it needs: its files, and its token.

Ray takes both places from the environment as they are. Its sockets' addresses are too long in many
a temporary folder, and where a place is missing or full, it comes up after a minute, or never.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from hpobench.errors import RunError

LONGEST_SOCKET = "ray/session_2026-01-02_03-04-05_678901_1234567/sockets/plasma_store"
"""In a temporary folder of Ray's, with the number of a process in it."""

LONGEST_ADDRESS = 103
"""In bytes: what Ray takes on any system."""

SHORT = Path("/tmp")

NEEDED = 4 * 2**20
"""Room for what Ray writes in a study of usual length, in bytes."""

KNOWN = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""Environment variables: by either, Ray has a token."""


@contextmanager
def places() -> Iterator[dict[str, str]]:
    """The environment in which Ray finds them. RunError if its files have no place."""
    with ExitStack() as afterwards:
        yield {"RAY_TMPDIR": str(_files(afterwards)), **_token()}


def _files(afterwards: ExitStack) -> Path:
    """A folder for Ray's files; what is made for it alone is gone afterwards.

    Where its addresses would be too long, they lead by way of a link from a short one: the files
    still lie where the user has room for them.
    """
    variable, place = _temporary()
    try:
        _try_to_write(place, NEEDED)
        if not _is_for_us(place / "ray"):
            place = _own(place, afterwards)
        if len(os.fsencode(place / LONGEST_SOCKET)) > LONGEST_ADDRESS:
            (place / "ray").mkdir(exist_ok=True)
            link = _own(SHORT, afterwards) / "ray"
            link.symlink_to(place / "ray")
            place = link.parent
    except OSError as error:
        raise RunError(
            f"{place}: {error.strerror or error}; Ray keeps its temporary files there: see that"
            f" there is room for them, or name another folder in {variable}"
        ) from error
    return place


def _temporary() -> tuple[str, Path]:
    """Where Ray would go by itself, and which variable says so; not into the working folder."""
    variables = ("RAY_TMPDIR", "TMPDIR") if sys.platform == "linux" else ("RAY_TMPDIR",)
    for variable in variables:
        if os.environ.get(variable):
            return variable, Path(os.environ[variable]).absolute()
    return "RAY_TMPDIR", SHORT


def _is_for_us(folder: Path) -> bool:
    """Whether a folder, once it is there, can be written to: it may be another user's."""
    try:
        _try_to_write(folder, 1)
    except FileNotFoundError:
        return not folder.is_symlink()
    except OSError:
        return False
    return True


def _try_to_write(folder: Path, count: int) -> None:
    """Raises OSError if so many bytes cannot be written in a folder."""
    with TemporaryFile(dir=folder) as file:
        file.write(bytes(count))
        file.flush()


def _own(place: Path, afterwards: ExitStack) -> Path:
    """A new folder in a place, which nobody else can enter."""
    folder = TemporaryDirectory(prefix="hpobench-", dir=place, ignore_cleanup_errors=True)
    return Path(afterwards.enter_context(folder))


def _token() -> dict[str, str]:
    """A token that is nowhere but in the environment, where Ray can keep none at home."""
    wanted = os.environ.get("RAY_AUTH_MODE", "token").lower() == "token"
    if not wanted or any(name in os.environ for name in KNOWN) or _has_one_at_home():
        return {}
    return {KNOWN[0]: secrets.token_hex(32)}


def _has_one_at_home() -> bool:
    """Whether a token is in the home folder, or Ray can make one there."""
    if not os.environ.get("HOME", "/").startswith("/"):  # Ray would take another folder for it
        return False
    file = Path(os.path.expanduser("~/.ray/auth_token"))
    try:
        return bool(file.read_bytes().strip())
    except FileNotFoundError:
        return _can_make(file)
    except OSError:
        return False


def _can_make(file: Path) -> bool:
    try:
        file.parent.mkdir(exist_ok=True)
        _try_to_write(file.parent, 1)
    except OSError:
        return False
    return True
