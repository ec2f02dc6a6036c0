"""Attempts at a cell: begin one, write down what it reports, and settle what became of it.

The cell's folder tells how far it got, in ``cell.json``: *running*; *measured* (the clock has
stopped, the test metrics are still to come); *complete*; *failed* (the searcher's fault, which
counts against it); *interrupted*. An attempt that the machines disturbed is void: what it had
measured goes to ``attempts/<n>.jsonl``, and the cell is run again, at most twice. Only the runner
writes here.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpobench.errors import RunError
from hpobench.results.json_files import (
    append_lines,
    make_folder,
    read_json,
    read_lines,
    write_json,
    write_lines,
    write_whole,
)
from hpobench.results.loading import intact
from hpobench.results.schema import SCHEMA
from hpobench.running import test_metrics
from hpobench.running.faults import RUNNER_GONE, Cause, Fault, judge
from hpobench.running.interfaces import Attempt, AttemptSpec, Outcome, Slice
from hpobench.running.watchdog import Watchdog
from hpobench.study import Cell, Study
from trainables.training_job import kept_weights

SETTLED = ("complete", "failed")
Record = dict[str, Any]


class Stop(threading.Event):
    """Tells threads to put down what they have, and why."""

    cause: Cause = "driver lost"


class Stopped(Exception):
    """The study was stopped while the cell ran."""


class CellRun:
    """A cell of a run: where its files are, and how it is carried out."""

    def __init__(self, cell: Cell, folder: Path, study: Study):
        self.cell, self.folder, self._study = cell, folder, study
        self._tests = test_metrics.Measuring(f"testing {cell.name}", study)
        file = folder / "cell.json"
        self._record: Record = read_json(file) if file.exists() else {}
        self.count = 0
        """How many evaluations the attempt under way has so far."""
        self.incumbent: float | None = None
        """The best validation loss among its full evaluations."""

    @property
    def evaluations(self) -> Path:
        """The file of its evaluations."""
        return self.folder / "evaluations.jsonl"

    @property
    def scratch(self) -> Path:
        """Weights of a measured cell, until they are tested."""
        return self.folder / "scratch"

    @property
    def status(self) -> str:
        """As in ``cell.json``; "waiting" before there is one."""
        return self._record.get("status", "waiting")

    @property
    def why(self) -> str | None:
        """Why the cell, or its last attempt, came to nothing."""
        return self._record.get("why") or next((a["why"] for a in self._attempts[-1:]), None)

    @property
    def voids(self) -> int:
        """How many of its attempts were void."""
        return sum(attempt["status"] == "void" for attempt in self._attempts)

    def check(self) -> None:
        """Before a study is resumed: a cell whose files were cut short is to be run again.

        RunError, with file and line, where a file is damaged otherwise.
        """
        if self.status not in ("measured", *SETTLED):
            return
        damage = intact(self.folder) or self._lost_weights()
        if damage is not None:
            fault = Fault(damage, "damaged file")
            *earlier, last = self._attempts
            damaged = {"status": "void", "cause": fault.cause, "why": fault.why}
            attempts = [*earlier, {**last, **damaged}]
            self._void(len(attempts))
            self._write("interrupted", attempts, fault)

    def run(self, slice_: Slice, stop: Stop) -> bool:
        """Take the cell further on a slice; True once it is settled, False if it is to go on.

        Raises Stopped if the study is interrupted, RunError if the disk is full, Fault if time and
        again the machines failed its test, which is left for a resume.
        """
        if self.status != "measured":
            self._attempt(slice_, stop)
        if self.status == "measured":
            self._test(slice_)
        return self.status in (*SETTLED, "interrupted")

    def _attempt(self, slice_: Slice, stop: Stop) -> None:
        """One attempt at measuring the cell; afterwards its record says what became of it."""
        earlier = self._put_aside_earlier()
        number, outcome = len(earlier) + 1, None
        self._write("running", earlier)
        began = time.monotonic()
        attempt = slice_.start(self._spec(number))

        def ended(status: str, fault: Fault | None = None) -> list[Record]:
            return [*earlier, _attempt(number, status, fault, time.monotonic() - began)]

        try:
            outcome = self._follow(attempt, stop)
            self._keep_log(outcome)
            if outcome.fault is not None:
                raise outcome.fault
            self._keep_weights(attempt)
            measures = _measures(outcome) | {"evaluations": self.count}
            self._write("measured", ended("ok"), **measures)
        except Stopped:
            fault = Fault("the study was stopped", stop.cause)
            self._write("interrupted", ended("interrupted", fault), fault)
            raise
        except RunError as error:  # the disk refuses
            fault = Fault(str(error), "disk full")
            with suppress(RunError):
                self._write("interrupted", ended("interrupted", fault), fault)
            raise
        except Fault as fault:
            self._settle(ended, fault, earlier, outcome)
        finally:
            attempt.end()

    def _follow(self, attempt: Attempt, stop: Stop) -> Outcome:
        """Write down evaluations as they come, until the attempt is over."""
        watchdog = Watchdog(self._study.budget, self._study.patience, self.cell.searcher.name)
        self.count, self.incumbent = 0, None
        while not stop.is_set():
            update = attempt.update(self.count)
            if update is not None:
                self._take(update.lines)
                if update.outcome is not None:
                    return update.outcome
            watchdog.look(update)
        raise Stopped

    def _take(self, lines: list[Record]) -> None:
        if lines:
            append_lines(self.evaluations, lines)
        self.count += len(lines)
        for line in lines:
            if line["full"] and line["status"] == "ok":
                loss = line["validation_loss"]
                self.incumbent = loss if self.incumbent is None else min(self.incumbent, loss)

    def _keep_weights(self, attempt: Attempt) -> None:
        """Fetch the weights that are to be tested, before the attempt's processes end."""
        for record in self._to_test():
            training, epochs = record["training"], record["budget"]
            file = kept_weights(self.scratch, training, epochs)
            make_folder(file.parent)
            write_whole(file, attempt.weights(training, epochs))

    def _settle(
        self,
        ended: Callable[[str, Fault], list[Record]],
        fault: Fault,
        earlier: list[Record],
        outcome: Outcome | None,
    ) -> None:
        """What becomes of the cell after a fault."""
        if fault.cause == "disk full":
            self._write("interrupted", ended("interrupted", fault), fault)
            raise RunError(
                f"{self.folder}: {fault.why}; what is complete is kept: free some space, then"
                f" hpobench resume {self.folder.parent.parent}"
            )
        voids = [attempt["cause"] for attempt in earlier if attempt["status"] == "void"]
        verdict = judge(fault.cause, voids)
        attempts = ended(verdict.attempt, fault)
        if verdict.cell == "failed":
            more = _measures(outcome) if outcome else {}
            self._write("failed", attempts, fault, **more, evaluations=self.count)
        elif verdict.cell == "again":
            self._void(len(attempts))
            self._write("waiting", attempts)
        else:  # not the searcher's failure: to be resumed once the machines are well
            self._write("interrupted", attempts, fault)

    def _keep_log(self, outcome: Outcome) -> None:
        if outcome.log:
            write_whole(self.folder / "log.txt", "\n".join(outcome.log).encode())

    def _spec(self, attempt: int) -> AttemptSpec:
        study = self._study
        return AttemptSpec(self.cell, attempt, study.budget, study.width, study.cpus, study.gpus)

    def _to_test(self) -> list[Any]:
        there = self.evaluations.exists()
        return test_metrics.to_test(read_lines(self.evaluations).records) if there else []

    def _test(self, slice_: Slice) -> None:
        """Measure on the test set what was kept; a fault of the machines leaves it to be done."""
        records = self._to_test()
        try:
            lines = self._tests.on(
                slice_,
                test_metrics.test_cell,
                self.cell.task,
                self.cell.seed,
                [record["evaluation"] for record in records],
                [file.read_bytes() for file in self._kept()],
                self._study.device,
                self._study.cpus,
            )
        except Fault as fault:
            self._change(cause=fault.cause, why=fault.why)
            raise
        if lines is not None:
            write_lines(self.folder / "tests.jsonl", lines)
            self._change(status="complete", cause=None, why=None, tests=len(lines))
            shutil.rmtree(self.scratch, ignore_errors=True)

    @property
    def _attempts(self) -> list[Record]:
        return list(self._record.get("attempts", []))

    def _put_aside_earlier(self) -> list[Record]:
        """Put aside what an earlier attempt left; the attempts so far."""
        attempts = self._attempts
        unrecorded = not attempts and self.evaluations.exists()  # somebody took its cell.json away
        if self.status == "running" or unrecorded:
            fault = Fault(RUNNER_GONE, "driver lost")
            attempts.append(_attempt(len(attempts) + 1, "interrupted", fault, 0.0))
        if attempts:
            self._void(len(attempts))
        return attempts

    def _kept(self) -> list[Path]:
        """The files of the weights that are to be tested."""
        return [kept_weights(self.scratch, r["training"], r["budget"]) for r in self._to_test()]

    def _lost_weights(self) -> str | None:
        """Which weights of a measured cell are gone, in words; None if all are there."""
        kept = self._kept() if self.status == "measured" else []
        return next((f"its {file.name} is gone" for file in kept if not file.exists()), None)

    def _void(self, number: int) -> None:
        """Keep beside the cell what a void attempt had measured."""
        if self.evaluations.exists():
            folder = make_folder(self.folder / "attempts")
            os.replace(self.evaluations, folder / f"{number}.jsonl")
        (self.folder / "tests.jsonl").unlink(missing_ok=True)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _write(
        self, status: str, attempts: list[Record], fault: Fault | None = None, **more: Any
    ) -> None:
        self._record = {
            "schema": SCHEMA,
            "cell": self.cell.name,
            "task": self.cell.task.name,
            "searcher": self.cell.searcher.name,
            "seed": self.cell.seed,
        }
        cause, why = (fault.cause, fault.why) if fault else (None, None)
        self._change(status=status, cause=cause, why=why, attempts=attempts, **more)

    def _change(self, **more: Any) -> None:
        self._record = {**self._record, **more}
        make_folder(self.folder)
        write_json(self.folder / "cell.json", self._record)


def cell_runs(study: Study, folder: Path) -> list[CellRun]:
    """Every cell of a study in a run's folder, in the order in which they run."""
    return [CellRun(cell, folder / "cells" / cell.name, study) for cell in study.cells()]


def _attempt(number: int, status: str, fault: Fault | None, seconds: float) -> Record:
    cause: Cause | None = fault.cause if fault else None
    why = fault.why if fault else None
    attempt = {"attempt": number, "status": status, "cause": cause, "why": why}
    return {**attempt, "seconds": round(seconds, 3)}


def _measures(outcome: Outcome) -> Record:
    """What ``cell.json`` keeps of an attempt."""
    return {
        "ended": outcome.ended,
        "started": outcome.started,
        "slice": outcome.slice,
        "ledger": outcome.ledger,
        "memory": outcome.memory,
    }
