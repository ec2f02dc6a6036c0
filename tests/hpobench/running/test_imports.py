"""What lies beside a study's file is imported in every process, and is in front of nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from hpobench import Results, StudyError
from hpobench.discovery import load_file
from hpobench.running import ray_backend
from hpobench.study import Study
from tests.hpobench.ray_cluster import ray_cluster

CLASHES = ("random", "types", "numpy", "torch", "ray", "logging", "pandas", "yaml", "queue")
STUDY = """
import own_searcher
from hpobench import Study, evaluations

study = Study("mine", ["quadratic"], [own_searcher.Own()], 1, evaluations(4), yardstick_draws=2)
"""
SEARCHER = """
import dataclasses
from searchers import RandomSearch

@dataclasses.dataclass(frozen=True)
class Own(RandomSearch):
    "Of a module beside the study."
    name: str = "own"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a user's study, called as one of Python's own modules is, with others of that kind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "own"
    folder.mkdir()
    for name in CLASHES:
        (folder / f"{name}.py").write_text(f"raise RuntimeError('{name} of the user')")
    (folder / "random.py").write_text(STUDY)
    (folder / "own_searcher.py").write_text(SEARCHER)
    yield folder
    sys.modules.pop("own_searcher", None)


def where_it_imports_from() -> tuple[str, list[str]]:
    """What a process of a study has of a module beside it, and its path."""
    import own_searcher

    return own_searcher.__file__, sys.path


def told(folder: Path, study: Study, address: str | None) -> tuple[str, list[str]]:
    with ray_backend.cluster(study, address, folder / "random.py") as slices:
        slice_ = None
        while slice_ is None:
            slice_ = slices.take()
        answer = slice_.call(where_it_imports_from)
        slice_.give_back()
    return answer


def check(answer: tuple[str, list[str]], folder: Path) -> None:
    file, path = answer
    assert file == str(folder / "own_searcher.py")
    assert path.index(str(folder)) > path.index(os.path.dirname(os.__file__))


def test_a_study_called_as_pythons_own_is_loaded(folder: Path) -> None:
    before = os.environ.get("PYTHONPATH")
    assert load_file(folder / "random.py").name == "mine"
    assert sys.path[-1] == str(folder)
    assert os.environ.get("PYTHONPATH") == before


@pytest.mark.parametrize("line", ["from types import Mine", "import types; types.Mine"])
def test_what_is_looked_for_in_the_wrong_module_is_one_line(line: str, folder: Path) -> None:
    (folder / "random.py").write_text(f"{line}\n")
    with pytest.raises(StudyError, match=r"line 1: .*the types beside this file is not") as raised:
        load_file(folder / "random.py")
    assert "\n" not in str(raised.value)


@pytest.mark.ray
@pytest.mark.parametrize("forked", [True, False])
def test_a_ray_of_its_own(forked: bool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_file(folder / "random.py")
    monkeypatch.chdir(folder)  # which Ray would have its workers look into first
    monkeypatch.setattr(ray_backend, "_may_fork", lambda study, address: forked)
    check(told(folder, study, None), folder)


@pytest.fixture(scope="module")
def there() -> Iterator[Cluster]:
    """A Ray that was there before."""
    with ray_cluster(cores=1) as cluster:
        yield cluster


@pytest.mark.ray
def test_a_ray_that_is_there(there: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_file(folder / "random.py")
    monkeypatch.chdir(folder)
    check(told(folder, study, there.address), folder)


@pytest.mark.ray
def test_a_whole_study_and_its_resume(folder: Path, tmp_path: Path) -> None:
    out, code = tmp_path / "out", "from hpobench.cli import main; main()"
    safe: dict[str, Any] = {
        "cwd": folder,
        "check": True,
        "env": {**os.environ, "PYTHONSAFEPATH": "1"},
    }
    run = [sys.executable, "-c", code, "run", "random.py", "--out", str(out), "--wandb", "off"]
    subprocess.run(run, **safe)
    [cell] = (out / "cells").iterdir()
    (cell / "cell.json").unlink()
    subprocess.run([sys.executable, "-c", code, "resume", str(out), "--wandb", "off"], **safe)
    assert Results.load(out).cells["status"].tolist() == ["complete"]
