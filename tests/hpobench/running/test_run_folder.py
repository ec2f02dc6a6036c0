"""A run's folder belongs to one process, for as long as that lives, and no sign of that stays."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpobench.errors import RunError
from hpobench.running.run_folder import LOCK, held, is_held, new_folder

HOLDS = """
import sys
from pathlib import Path
from hpobench.running.run_folder import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def at_work_on(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has claimed a folder."""
    command = [sys.executable, "-c", HOLDS, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other


def test_a_process_that_is_killed_gives_its_claim_back(tmp_path: Path) -> None:
    with at_work_on(tmp_path) as other:
        with pytest.raises(RunError, match="another process is at work on this run"):
            held(tmp_path).__enter__()
        other.kill()
    with new_folder(tmp_path):  # what it left does not count
        pass
    assert list(tmp_path.iterdir()) == []


def test_whether_a_process_is_at_work_is_seen_at_once(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    with held(tmp_path):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)
    with at_work_on(tmp_path) as other:
        assert is_held(tmp_path)
        other.kill()
    assert (tmp_path / LOCK).exists()  # it was killed
    assert not is_held(tmp_path)


def test_who_looks_takes_the_claim_from_nobody(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    looking = threading.Event()

    def look() -> None:
        while not looking.is_set():
            is_held(tmp_path)

    others = [threading.Thread(target=look) for _ in range(4)]
    for other in others:
        other.start()
    try:
        for _ in range(50):
            with held(tmp_path):
                pass
            (tmp_path / LOCK).touch()
    finally:
        looking.set()
        for other in others:
            other.join()


def test_where_one_cannot_tell_somebody_may_be_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(file: object, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / LOCK).touch()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert is_held(tmp_path)


def test_one_folder_is_claimed_once_however_often_it_was_given_back(tmp_path: Path) -> None:
    for _ in range(3):
        with held(tmp_path), pytest.raises(RunError), held(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_nothing_came_to_be_in_is_removed_and_any_other_stays(
    tmp_path: Path,
) -> None:
    with new_folder(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "study.json").touch()
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["study.json"]
    with pytest.raises(RunError, match="already holds a run"), new_folder(tmp_path / "a" / "b"):
        pass
    with pytest.raises(RunError, match="is not empty"), new_folder(tmp_path / "a"):
        pass


def test_a_disk_that_refuses_the_claim_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="it is no folder: choose another path"):
        held(tmp_path / "file").__enter__()
