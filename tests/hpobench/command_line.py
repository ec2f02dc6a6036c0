"""The command line in the process of the tests; one of its own would import everything anew."""

from __future__ import annotations

import io
import os
import signal
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from hpobench.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def command(*arguments: str | Path, cwd: Path | None = None) -> Ended:
    """Run ``hpobench`` with these arguments, in a folder, until it exits."""
    out, err = io.StringIO(), io.StringIO()
    terminated, before = signal.getsignal(signal.SIGTERM), Path.cwd()
    try:
        os.chdir(cwd or before)
        with (
            patch("sys.argv", ["hpobench", *map(str, arguments)]),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main()
    finally:
        os.chdir(before)
        signal.signal(signal.SIGTERM, terminated)
    return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())
