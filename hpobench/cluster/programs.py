"""Running other people's programs: Ray's command line, kubectl, Slurm's."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hpobench.errors import ClusterError

RAY = (sys.executable, "-m", "ray.scripts.scripts")
"""Ray's command line, of the environment that hpobench itself is installed in."""

PATIENCE_SECONDS = 60.0
SOURCES = {
    "kubectl": "install Kubernetes' kubectl",
    "sbatch": "go to a login node of the Slurm cluster",
    "squeue": "go to a login node of the Slurm cluster",
    "scancel": "go to a login node of the Slurm cluster",
}
"""Where a program that is missing comes from."""


def run(*command: str | Path) -> None:
    """Run a program to its end, its output on ours. ClusterError if it is missing or fails."""
    done = subprocess.run(_found(command))
    if done.returncode:
        raise ClusterError(
            f"`{_named(command)}` ended with exit code {done.returncode}; what it said is above"
        )


@contextmanager
def tunnel(*command: str | Path, port: int) -> Iterator[str]:
    """The address of a dashboard that a program forwards to a port of this machine."""
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            _found(command),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; the tunnel is closed when we are done
        )
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not answers(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    lines = [line.strip() for line in said if line.strip()]
                    why = lines[-1] if lines else f"no answer for {PATIENCE_SECONDS:.0f} s"
                    raise ClusterError(
                        f"`{_named(command)}` made no way to the dashboard: {why};"
                        " is the cluster up?"
                    )
                time.sleep(0.5)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(address: str) -> bool:
    """Whether a Ray dashboard answers there."""
    try:
        with urllib.request.urlopen(f"{address}/api/version", timeout=5) as reply:
            return reply.status == 200
    except urllib.error.HTTPError as refusal:
        return refusal.code == 401  # it asks for Ray's token, which Ray's own client brings along
    except (OSError, ValueError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _found(command: Sequence[str | Path]) -> list[str]:
    program = str(command[0])
    if shutil.which(program) is None:
        how = SOURCES.get(program, "install it")
        raise ClusterError(f"{program} is not installed here: {how}")
    return [str(part) for part in command]


def _named(command: Sequence[str | Path]) -> str:
    words = [str(part) for part in command]
    return " ".join(["ray", *words[3:]] if tuple(words[:3]) == RAY else words)
