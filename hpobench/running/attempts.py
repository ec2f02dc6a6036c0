"""Attempts at a cell: start its process, wait for it, and settle what became of it.

The cell's folder tells how far it got, in ``cell.json``: *running*; *measured* (the clock has
stopped, the test metrics are still to come); *complete*; *failed* (the searcher's fault, which
counts against it); *interrupted*. An attempt that the machine disturbed is void: what it had
measured goes to ``attempts/<n>.jsonl``, and the cell is run again, at most twice.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from hpobench.errors import RunError
from hpobench.results.records import make_folder, read_json, write_json, write_whole
from hpobench.running import measuring
from hpobench.running.cell import EXIT_DISK, EXIT_WORKER_LOST, Order
from hpobench.running.local import Slice
from hpobench.study import Cell, Study

ATTEMPTS = 3
POLL_SECONDS = 0.1
SCHEMA = 1


class Stopped(Exception):
    """The study was interrupted while the cell ran."""


class CellRun:
    """A cell of a run: where its files are, and how it is carried out."""

    def __init__(self, cell: Cell, folder: Path, study: Study):
        self.cell, self.folder, self._study = cell, folder, study

    @property
    def evaluations(self) -> Path:
        return self.folder / "evaluations.jsonl"

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    def record(self) -> dict[str, Any]:
        """What ``cell.json`` says; {} before the first attempt."""
        file = self.folder / "cell.json"
        return read_json(file) if file.exists() else {}

    def status(self) -> str:
        return self.record().get("status", "waiting")

    def carry_out(self, address: str, piece: Slice, stop: threading.Event) -> None:
        """Bring the cell to *complete* or *failed*, from wherever it stands."""
        if self.status() != "measured":
            attempts = self._void_earlier()
            while not self._attempt(address, piece, stop, attempts):
                pass
        if self.status() == "measured":
            self._test(piece)

    def _attempt(
        self, address: str, piece: Slice, stop: threading.Event, attempts: list[dict[str, Any]]
    ) -> bool:
        """One attempt; True if the cell is settled, False if it is to be run again."""
        number = len(attempts) + 1
        make_folder(self.scratch)
        self._write("running", attempts, cause=None)
        order = self._order(address, piece, number)
        status = self._run_process(order, stop)
        if status is None:
            self._write("interrupted", [*attempts, _attempt(number, "interrupted")], cause=None)
            raise Stopped
        if status == EXIT_DISK:
            raise RunError(
                f"{self.folder}: the disk takes no more; what is complete is kept:"
                f" free some space, then hpobench resume {self.folder.parent.parent}"
            )
        outcome = read_json(order.outcome) if order.outcome.exists() else {}
        more = {"ended": outcome.get("ended"), "ledger": outcome.get("ledger")}
        if status == 0 and outcome:
            self._write("measured", [*attempts, _attempt(number, "ok")], cause=None, **more)
            return True
        disturbed = status == EXIT_WORKER_LOST or not outcome
        cause = outcome.get("fault") or f"its process ended with {_exit_words(status)}"
        attempts.append(_attempt(number, "void" if disturbed else "failed", cause))
        if disturbed:
            voids = sum(attempt["status"] == "void" for attempt in attempts)
            if voids % ATTEMPTS:
                self._void(number)
                return False
            # Not the searcher's failure: to be resumed once the machine is well.
            self._write("interrupted", attempts, cause=f"void {ATTEMPTS} times: {cause}")
            return True
        self._write("failed", attempts, cause=cause, **more)
        shutil.rmtree(self.scratch, ignore_errors=True)
        return True

    def _run_process(self, order: Order, stop: threading.Event) -> int | None:
        """The exit status of the cell's process; None if the study was interrupted."""
        from ray import cloudpickle

        threads = str(self._study.cpus)
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        with open(self.folder / "log.txt", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "hpobench.running.cell"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the runner alone
            )
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(cloudpickle.dumps(order))
        while process.poll() is None:
            if stop.is_set():
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return None
            time.sleep(POLL_SECONDS)
        return process.returncode

    def _order(self, address: str, piece: Slice, attempt: int) -> Order:
        study = self._study
        return Order(
            cell=self.cell,
            budget=study.budget,
            width=study.width,
            cpus=study.cpus,
            gpus=study.gpus,
            folder=self.folder.resolve(),
            attempt=attempt,
            address=address,
            slice=piece.resource,
            cores=piece.cores,
            runner=os.getpid(),
        )

    def _test(self, piece: Slice) -> None:
        lines = measuring.on_slice(
            f"testing {self.cell.name}",
            measuring.test_cell,
            self._study,
            piece,
            self.cell.task,
            self.cell.seed,
            self.folder.resolve(),
            self.scratch.resolve(),
            "cuda" if self._study.gpus else "cpu",
            piece.cores,
        )
        write_whole(self.folder / "tests.jsonl", measuring.as_lines(lines))
        write_json(self.folder / "cell.json", {**self.record(), "status": "complete"})
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _void_earlier(self) -> list[dict[str, Any]]:
        """Put aside what an interrupted or killed attempt left; its attempts so far."""
        record = self.record()
        attempts = list(record.get("attempts", []))
        if record.get("status") == "running":
            attempts.append(_attempt(len(attempts) + 1, "interrupted", "its runner was gone"))
        if attempts:
            self._void(len(attempts))
        return attempts

    def _void(self, number: int) -> None:
        """Keep beside the cell what a void attempt had measured."""
        if self.evaluations.exists():
            folder = make_folder(self.folder / "attempts")
            os.replace(self.evaluations, folder / f"{number}.jsonl")
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _write(self, status: str, attempts: list[dict[str, Any]], **more: Any) -> None:
        identity = {
            "cell": self.cell.name,
            "task": self.cell.task.name,
            "searcher": self.cell.searcher.name,
            "seed": self.cell.seed,
        }
        content = {"schema": SCHEMA, **identity, "status": status, "attempts": attempts, **more}
        write_json(self.folder / "cell.json", content)


def _attempt(number: int, status: str, cause: str | None = None) -> dict[str, Any]:
    return {"attempt": number, "status": status, "cause": cause}


def _exit_words(status: int) -> str:
    if status < 0:
        try:
            return f"signal {signal.Signals(-status).name}"
        except ValueError:
            return f"signal {-status}"
    return f"exit code {status}"
