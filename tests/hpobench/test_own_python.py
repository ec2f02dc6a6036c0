"""What lies in the working folder is not imported by processes of our own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpobench.report.subprocess_pool import run_in_subprocess, start_subprocess


@pytest.mark.parametrize("shadow", ["numpy.py", "json.py", "hpobench/__init__.py", "searchers.py"])
def test_a_file_in_the_working_folder_is_not_in_front(
    shadow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / shadow
    file.parent.mkdir(exist_ok=True)
    file.write_text("raise RuntimeError('shadowed')")
    monkeypatch.chdir(tmp_path)
    process = start_subprocess("numpy", "searchers", "json")
    assert run_in_subprocess([os.getcwd], process) == [str(tmp_path)]
