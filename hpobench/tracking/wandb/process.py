"""Processes of W&B's own: started, watched, and ended if nothing comes of them.

In this process W&B would wrap the terminal's streams, leave a service running beside the next
study's cells, take its mode from the environment, and wait at the terminal for a key.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hpobench.errors import TrackingError
from hpobench.results.json_files import Record, read_json

PATIENCE_SECONDS = 60.0
"""How long W&B may take over one run, or one report, before it is given up."""

SILENT = "it gave no reason"

_RETRIES = {"WANDB__GRAPHQL_RETRY_MAX": "3"}
"""Without a network, W&B's own default is to try for many minutes."""

_OTHERS = {f"WANDB_{name}" for name in ("MODE", "DIR", "RESUME", "RUN_ID", "SWEEP_ID", "SERVICE")}
"""What binds a process to a mode, a folder or a run that is not ours."""


def offline() -> dict[str, str]:
    """An environment in which W&B has no key and calls nobody."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    # The process as a whole: for an offline run alone, W&B would still send its usage figures.
    return environment | {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}


def online() -> dict[str, str]:
    """An environment in which W&B finds the user's own account."""
    return _RETRIES | {k: v for k, v in os.environ.items() if k not in _OTHERS}


def supervise(
    command: Sequence[str],
    environment: Mapping[str, str],
    left: Callable[[], int],
    text: str = "",
    folder: Path | None = None,
) -> str | None:
    """Run Python to its end, or until it stands still; what it complained of.

    ``left``: how much there is still to do; if that does not fall, it stands still. ``text`` is
    what it reads. ``folder``: where it runs.
    """
    with (
        # W&B leaves temporary folders behind.
        tempfile.TemporaryDirectory(prefix="hpobench-wandb-", ignore_cleanup_errors=True) as mess,
        subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,  # never a terminal: W&B would ask there for a key
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # No imports from our own folder, or the user's.
            env={**environment, "PYTHONSAFEPATH": "1", "TMPDIR": mess, "WANDB_CACHE_DIR": mess},
            cwd=folder,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        rest: str | None = text
        try:
            while True:
                before = left()
                try:
                    return _complaint(process.communicate(rest, timeout=PATIENCE_SECONDS)[0])
                except subprocess.TimeoutExpired:
                    rest = None
                    if left() == before:
                        return f"no answer for {PATIENCE_SECONDS:.0f} s"
        finally:
            process.kill()


def answer(
    script: str, request: Record, environment: Mapping[str, str], problem: str, folder: Path
) -> Record:
    """What one of our scripts answers to a request; run in a folder, whose W&B settings count.

    TrackingError, with its reason in ``problem``, if it gives no answer.
    """
    with tempfile.TemporaryDirectory(prefix="hpobench-answer-") as place:
        file = Path(place) / "answer.json"
        # By its path: the package would import all that a study needs.
        command = [str(Path(script).resolve()), str(file)]
        text = json.dumps(request)
        reason = supervise(command, environment, lambda: int(not file.exists()), text, folder)
        if not file.exists():
            raise TrackingError(problem % (reason or SILENT))
        return read_json(file)


def _complaint(output: str) -> str | None:
    for start in ("Error: ", "wandb: ERROR "):
        for line in output.splitlines():
            if line.startswith(start):
                return line.removeprefix(start).rstrip(". ")
    return None
