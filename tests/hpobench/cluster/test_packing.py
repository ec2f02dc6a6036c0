"""A run's folder travels as printed text: whole, or one line says why not."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpobench.cluster.packing import BYTES_A_LINE, END, pack, unpack
from hpobench.errors import ClusterError

NAMES = st.text("abcé_- 0", min_size=1, max_size=8).filter(lambda name: name.strip() == name)
FILES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join).map(lambda path: f"cells/x{path}.d/f"),
    st.binary(max_size=3 * BYTES_A_LINE),
    max_size=5,
)


def content(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, inside in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(inside)


def text_of(folder: Path) -> str:
    """As it comes: between lines of other origin."""
    return "\n".join(["INFO Runtime env is setting up.", *pack(folder), "bye"])


@settings(max_examples=30)
@given(FILES)
def test_a_folder_arrives_as_it_was(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        there, here = Path(place, "there"), Path(place, "runs", "here")
        write(there, {"study.json": b"{}", **files})
        unpack(text_of(there), here)
        assert content(here) == content(there)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    write(tmp_path / "there", {"study.json": b"{}", "cells/a/evaluations.jsonl": b"1\n" * 50_000})
    return tmp_path / "there"


@pytest.mark.slow
def test_the_job_prints_what_unpack_reads(there: Path, tmp_path: Path) -> None:
    job = [sys.executable, "-m", "hpobench.cluster.packing", str(there)]
    printed = subprocess.run(job, capture_output=True, text=True, check=True).stdout
    unpack(printed, tmp_path / "here")
    assert content(tmp_path / "here") == content(there)


def test_a_second_fetch_brings_what_is_new_and_keeps_what_was_added_here(there, tmp_path) -> None:
    here = tmp_path / "here"
    unpack(text_of(there), here)
    write(here, {"wandb/run.wandb.synced": b""})
    write(there, {"cells/a/evaluations.jsonl": b"2\n", "cells/b/cell.json": b"{}"})
    unpack(text_of(there), here)
    assert content(here) == {**content(there), "wandb/run.wandb.synced": b""}


def test_a_folder_of_something_else_is_left_alone(there: Path, tmp_path: Path) -> None:
    for files in ({"study.json": b"another"}, {"thesis.tex": b""}):
        here = tmp_path / next(iter(files))
        write(here, files)
        with pytest.raises(ClusterError, match="holds something else"):
            unpack(text_of(there), here)
        assert content(here) == files


def test_what_is_not_a_run_is_not_sent(tmp_path: Path) -> None:
    write(tmp_path / "there", {"secrets.txt": b"mine"})
    lines = list(pack(tmp_path / "there"))
    with pytest.raises(ClusterError, match="ended before its study began"):
        unpack("\n".join(lines), tmp_path / "here")
    assert len(lines) == 1


def test_links_are_not_followed(there: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    (there / "link").symlink_to(tmp_path / "key")
    unpack(text_of(there), tmp_path / "here")
    assert not (tmp_path / "here/link").exists()


@pytest.mark.parametrize("damage", ["a line lost", "the end lost", "a letter changed", "all lost"])
def test_a_torn_text_is_refused_and_nothing_is_written(damage: str, there: Path, tmp_path) -> None:
    (there / "noise").write_bytes(bytes(i * i % 251 for i in range(40_000)))
    lines = text_of(there).splitlines()
    line = lines[3]
    torn = {
        "a line lost": lines[:3] + lines[4:],
        "the end lost": [line for line in lines if not line.startswith(END)],
        "a letter changed": [*lines[:3], ("B" if line[0] == "A" else "A") + line[1:], *lines[4:]],
        "all lost": ["python: No module named hpobench"],
    }[damage]
    with pytest.raises(ClusterError, match=r"did not arrive whole|did not send the run's"):
        unpack("\n".join(torn), tmp_path / "here")
    assert not (tmp_path / "here").exists()
