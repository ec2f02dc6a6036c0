"""hpobench's command line, as a user or a batch system would start and stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos.processes import below, kill_all

COMMAND = (sys.executable, "-m", "hpobench.cli")


class Driver:
    """A command under way, in a session of its own: signals reach it alone."""

    def __init__(self, place: Path, *arguments: str | Path, temporary: Path | None = None):
        self.arguments = [str(argument) for argument in arguments]
        own = place / "tmp"
        own.mkdir(exist_ok=True)
        environment = {**os.environ, "TMPDIR": str(own), "RAY_TMPDIR": str(temporary or own)}
        environment.pop("RAY_ADDRESS", None)
        self._out, self._err = place / "out.txt", place / "err.txt"
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self._process = subprocess.Popen(
                [*COMMAND, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                start_new_session=True,
                preexec_fn=_signals_as_in_a_terminal,
            )
        self.began = time.monotonic()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def status(self) -> int | None:
        """Its exit status; minus the signal that ended it."""
        return self._process.poll()

    @property
    def said(self) -> str:
        """What it complained of."""
        return self._err.read_text(errors="replace").strip()

    @property
    def showed(self) -> str:
        return self._out.read_text(errors="replace").strip()

    def send(self, number: signal.Signals) -> None:
        if self.running:
            self._process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Whether it ends in time."""
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """End it with all that it started."""
        kill_all([*below([self.pid]), self.pid])
        self._process.wait()


def _signals_as_in_a_terminal() -> None:
    """What runs in the background of a shell ignores SIGINT, and so would its children."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
