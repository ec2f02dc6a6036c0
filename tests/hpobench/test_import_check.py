"""A folder with the name of one of our packages is in front: one clear line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("package", ["searchers", "trainables", "studies"])
@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_of_the_users_is_named(package: str, empty: bool, tmp_path: Path) -> None:
    (tmp_path / package).mkdir()
    if not empty:
        (tmp_path / package / "__init__.py").write_text("mine = 1\n")
    run = [sys.executable, "-c", "import hpobench; print('fine')"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    if empty and done.returncode == 0:
        assert done.stdout == "fine\n"  # a folder without code gives way to the real package
        return
    last = done.stderr.strip().splitlines()[-1]
    assert f"needs its own package {package!r}" in last
    assert str(tmp_path / package) in last
    assert "rename that folder" in last
