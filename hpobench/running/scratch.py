"""A process's own folder for what nobody needs once it has ended."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from trainables.processes import alive


def own_scratch() -> Path:
    """A new folder on this node, which nobody else can enter; those of dead processes go."""
    base = Path(tempfile.gettempdir()) / f"hpobench-{os.getuid()}"
    for folder in base.glob("*"):
        if folder.name.isdigit() and not alive(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)
    scratch = base / str(os.getpid())
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    scratch.chmod(0o700)
    return scratch
