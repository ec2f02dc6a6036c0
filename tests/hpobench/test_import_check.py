"""A folder with the name of one of our packages is in front: one clear line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ["searchers", "trainables", "studies"]


def imported(folder: Path) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-c", "import hpobench; print('fine')"]
    return subprocess.run(run, cwd=folder, capture_output=True, text=True)


def assert_named(package: str, folder: Path, done: subprocess.CompletedProcess[str]) -> None:
    last = done.stderr.strip().splitlines()[-1]
    assert f"needs its own package {package!r}" in last
    assert str(folder / package) in last
    assert "rename that folder" in last


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_of_the_users_is_named(package: str, tmp_path: Path) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("mine = 1\n")
    assert_named(package, tmp_path, imported(tmp_path))


@pytest.mark.slow
def test_folders_without_code_give_way_to_the_real_packages_or_are_named(tmp_path: Path) -> None:
    for package in PACKAGES:
        (tmp_path / package).mkdir()
    done = imported(tmp_path)
    if done.returncode == 0:
        assert done.stdout == "fine\n"
        return
    assert_named(PACKAGES[0], tmp_path, done)
