"""One attempt at a cell: led in an actor in the cell's slice, as one Ray Tune experiment.

The actor is a process of its slice alone, on the slice's node and cores, so that a searcher's
thinking slows no other cell. It answers what is new while the experiment runs; nothing that it
keeps on its node is needed once the attempt has ended.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import shutil
import socket
import threading
import time
import traceback
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hpobench.errors import is_full
from hpobench.running.cell_loop import CellLoop, Header
from hpobench.running.cores import own_cores
from hpobench.running.exchange import Exchange
from hpobench.running.faults import Fault
from hpobench.running.interfaces import AttemptSpec, AttemptUpdate, Outcome
from hpobench.running.scratch import own_scratch
from trainables.import_path import look_as_the_runner_does
from trainables.line import Line
from trainables.processes import end_with
from trainables.trainable import SlotContext
from trainables.training_job import kept_weights

FORGOTTEN_SECONDS = 120.0
"""After how long without being asked for an update it ends itself."""

WATCH = "hpobench-watch"

UPDATE_SECONDS = 1.0
"""How long an update is gathered: every answer costs the cell's cores, and the runner, a little."""


class CellActor:
    """Runs an attempt in one thread, and answers in another, of a `RemoteCellActor`."""

    def __init__(self, spec: AttemptSpec, name: str) -> None:
        self._spec, self._name = spec, name
        cell = spec.cell
        header = Header(cell.name, cell.task.name, cell.searcher.name, cell.seed, spec.attempt)
        self._loop = CellLoop(header, cell.task, cell.searcher, spec.budget, spec.width)
        self._began = time.monotonic()
        self._started: str | None = None
        self._outcome: Outcome | None = None
        self._finished = threading.Event()
        self._scratch = own_scratch()
        self._asked = time.monotonic()
        self._tidy = threading.Event()
        self._before = _at_work()
        threading.Thread(target=self._end_if_forgotten, name=WATCH, daemon=True).start()

    def run(self) -> None:
        """Run the attempt to its end."""
        spec, loop = self._spec, self._loop
        with own_cores(spec.width * spec.cpus) as cores:
            try:
                self._tune(cores)
                loop.close()
            except BaseException as error:
                loop.log.append(traceback.format_exc())
                loop.fault = loop.fault or _fault(error)
            self._outcome = self._settle(cores)
            self._finished.set()

    def update(self, seen: int) -> AttemptUpdate:
        """What happened after the first ``seen`` evaluations."""
        self._asked = time.monotonic()
        self._finished.wait(UPDATE_SECONDS)
        loop, outcome = self._loop, self._outcome
        return AttemptUpdate(
            lines=loop.lines[seen:],
            clock=loop.clock(),
            quiet=loop.now() - loop.stirred,
            doing=loop.doing,
            outcome=outcome,
        )

    def weights(self, training: int, epochs: int) -> bytes:
        """The weights kept of an evaluation, as the content of a file."""
        try:
            return kept_weights(self._scratch, training, epochs).read_bytes()
        except OSError as error:
            raise Fault(f"weights that were kept are gone: {error}", "damaged file") from None

    def tidy(self) -> bool:
        """The attempt is over: remove what it kept on its node.

        Returns:
            Whether the process can lead another: its searcher has left nothing at work in it.
        """
        self._tidy.set()
        shutil.rmtree(self._scratch, ignore_errors=True)
        return _at_work() <= self._before

    def _end_if_forgotten(self) -> None:
        """Ray ends what a runner started when that is gone, but may wait for a worker forever."""
        while time.monotonic() - self._asked < FORGOTTEN_SECONDS:
            if self._tidy.wait(timeout=1):
                return
        self.tidy()
        os._exit(1)

    def _tune(self, cores: tuple[int, ...]) -> None:
        from hpobench.running.tune_adapter import tune_cell

        spec, exchange = self._spec, Exchange(self._loop)
        with closing(exchange), exchange.answering(self._scratch) as address:
            # Before the clock starts, what the searcher needs is loaded, whatever the task.
            exchange.alone(getattr(spec.cell.searcher, "warm_up", lambda: None))
            context = SlotContext(
                task=spec.cell.task,
                searcher=spec.cell.searcher,
                seed=spec.cell.seed,
                width=spec.width,
                next_work=Line(address),
                scratch=self._scratch,
                threads=spec.cpus,
                cores=cores,
                device="cuda" if spec.gpus else "cpu",
                controller=os.getpid(),
            )
            tune_cell(exchange, context, spec.cpus, spec.gpus, self._scratch)
        if exchange.error is not None:
            raise exchange.error

    def _settle(self, cores: tuple[int, ...]) -> Outcome:
        loop = self._loop
        now = datetime.now(UTC).timestamp()
        started = loop.started
        start = None if started is None else now - (loop.now() - started)
        warm = loop.now() if started is None else started
        return Outcome(
            ended=loop.ended,
            fault=loop.fault,
            started=None
            if start is None
            else datetime.fromtimestamp(start, UTC).isoformat(timespec="milliseconds"),
            slice=self._where(cores),
            ledger=loop.ledger.as_json(warm - self._began),
            memory=loop.memory,
            log=tuple(loop.log),
        )

    def _where(self, cores: tuple[int, ...]) -> dict[str, Any]:
        """The slice: its node, what that is, and which cores and GPUs of it."""
        slots = [told for _, told in sorted(self._loop.slots.items())]
        return {
            "name": self._name,
            "node": socket.gethostname(),
            "processor": processor(),
            "gpu": next((slot["gpu"] for slot in slots), None),
            "cores": list(cores),
            "gpus": [gpu for slot in slots for gpu in slot["gpus"]],
            "processes": [slot["process"] for slot in slots],
        }


def _at_work() -> set[object]:
    """Threads and child processes that Python code has started here, but for our own watch."""
    threads = {
        thread
        for thread in threading.enumerate()
        if not isinstance(thread, threading._DummyThread) and thread.name != WATCH
    }
    return threads | set(multiprocessing.active_children())


def settle_in() -> None:
    """Have this process import from where the runner does, and end with its node's raylet."""
    look_as_the_runner_does()
    end_with(int(os.environ.get("RAY_RAYLET_PID", os.getppid())))  # a forked one's is no parent


def _fault(error: BaseException) -> Fault:
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    return Fault(line, "disk full" if is_full(error) else "scheduler stall")


def processor() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
