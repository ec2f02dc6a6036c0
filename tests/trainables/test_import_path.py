"""A user's folder is the last place to import from, here and in the processes of a study."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainables.import_path import FOLDERS, for_others, in_front, look_into, shadows


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


NAMES = ("random", "numpy", "beside_it")


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["with:colon", "mit Umlaut ä", "a\udcffb"])
def test_another_process_looks_there_last(folder: str, tmp_path: Path) -> None:
    place = tmp_path / folder
    place.mkdir()
    for name in NAMES:
        (place / f"{name}.py").write_text("")
    look_into([str(place)])
    assert sys.path[-1] == str(place)
    assert set(for_others()) == {FOLDERS}
    code = (
        "import os, sys; from trainables.import_path import look_as_the_runner_does;"
        f"look_as_the_runner_does(); import {', '.join(NAMES)};"
        f"files = [module.__file__ for module in ({', '.join(NAMES)})];"
        "sys.stdout.buffer.write(os.fsencode(os.pathsep.join(files)))"
    )
    command, told = [sys.executable, "-c", code], {**os.environ, **for_others()}
    said = subprocess.run(command, env=told, capture_output=True, check=True).stdout
    assert os.fsencode(place) + b"/beside_it.py" in said
    assert said.count(os.fsencode(place)) == 1


def test_a_folder_is_offered_once(tmp_path: Path) -> None:
    before = len(sys.path)
    look_into([str(tmp_path), str(tmp_path)])
    look_into([str(tmp_path)])
    assert len(sys.path) == before + 1


@pytest.mark.slow
def test_without_a_runner_nothing_changes(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != FOLDERS}
    code = (
        "import sys; from trainables.import_path import look_as_the_runner_does as look;"
        "before = list(sys.path); look(); assert sys.path == before"
    )
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_pythons_own_places_are_not_told_to_others() -> None:
    """Other machines have their own."""
    assert os.path.dirname(os.__file__) not in for_others()[FOLDERS]
    assert os.path.dirname(os.path.dirname(pytest.__file__)) not in for_others()[FOLDERS]


def test_what_is_in_front_is_so_of_pythons_own_library(tmp_path: Path) -> None:
    sys.path.insert(0, str(tmp_path / "first"))
    look_into([str(tmp_path / "last")])
    assert str(tmp_path / "first") in in_front()
    assert str(tmp_path / "last") not in in_front()


def test_what_is_called_as_something_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pythons = [place for place in sys.path if not place.startswith(str(tmp_path.parent.parent))]
    monkeypatch.setattr(sys, "path", pythons)  # other tests have studies of their own beside
    for name in ("random.py", "sys.py", "numpy.py", "mine.py", "torch/__init__.py", "own/a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    look_into([str(tmp_path)])
    assert shadows(tmp_path) == ["numpy.py", "random.py", "sys.py", "torch"]
