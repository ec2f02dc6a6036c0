"""What a run was made with: versions, hardware, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

VERSIONED = ("hpobench", "ray", "torch", "optuna", "hpbandster", "ConfigSpace", "numpy", "pandas")
COMMIT = "HPOBENCH_COMMIT"


def versions() -> dict[str, str | None]:
    """None for a package that is there without having been installed, as in a Ray job."""
    return {name: _version(name) for name in VERSIONED}


def hardware() -> dict[str, Any]:
    """This machine."""
    return {
        "machine": platform.node(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def commit() -> str | None:
    """The commit of the project's own checkout, "+" if it has changes; None outside of one.

    A job on a cluster has no checkout: who submits it says which commit it is.
    """
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return os.environ.get(COMMIT) or None
    try:
        run = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12"]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
