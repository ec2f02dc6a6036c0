"""What happens in a cell, without Ray: hand out work, take reports, keep the clock and the books.

A cell goes through three phases. *Warming*: each slot gets a warm-up, and the clock starts when
the last one is warm. *Running*: slots get jobs or chains, and each report that arrives within the
budget becomes a line of ``evaluations.jsonl``. *Over*: the budget is spent, there is nothing left
to try, or something failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpobench.budget import Budget
from hpobench.errors import RunError
from hpobench.results.records import append_line
from hpobench.running.ledger import Ledger
from searchers.protocols import (
    BlackBoxSearcher,
    Chain,
    Job,
    Searcher,
    Suggester,
    checked_job,
)
from trainables.task import Task
from trainables.trainable import chain_work, job_work, warm_up_work

SCHEMA = 1
WORK = dict[str, Any]


class Fault(Exception):
    """Why a cell failed: one line."""


@dataclass(frozen=True)
class Header:
    """What every line of a cell's ``evaluations.jsonl`` begins with."""

    cell: str
    task: str
    searcher: str
    seed: int
    attempt: int


@dataclass
class Control:
    """One attempt at a cell. Times come from ``now``, a monotonic clock in seconds."""

    header: Header
    task: Task
    searcher: Searcher
    budget: Budget
    width: int
    file: Path
    now: Callable[[], float] = time.monotonic

    ended: str | None = None
    """Why the cell is over: "budget", "nothing left to try", or None."""
    fault: Fault | None = None
    started: float | None = None
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.width)
        self._suggester: Suggester | None = None
        self._chains = 0
        self._warming: set[str] = set()
        self._warm: set[str] = set()
        self._jobs: dict[str, Job] = {}
        self._busy_since: dict[str, float] = {}  # trial → when it last began an evaluation
        self._trials: dict[str, int] = {}
        self._evaluations = self._steps = self._ok = self._exhausted = 0
        self._last_failure = ""
        self._thinking = False

    def clock(self) -> float:
        """Seconds since the cell's slots were warm; 0 before."""
        return 0.0 if self.started is None else self.now() - self.started

    def overdue(self) -> float:
        """Seconds for which a searcher has been thinking beyond a budget in seconds; 0 if not."""
        return max(self.clock() - self.budget.amount, 0.0) if self._thinking else 0.0

    @property
    def over(self) -> bool:
        """Whether nothing that could still arrive would count."""
        if self.fault or self.ended:
            return True
        spent = {
            "seconds": self.clock(),
            "evaluations": self._evaluations,
            "steps": self._steps,
        }[self.budget.kind]
        if self.started is not None and spent >= self.budget.amount:
            self._end("budget")
        return bool(self.ended)

    def next_work(self, trial: str) -> WORK | None:
        """Work for a free slot, as the config of a new trial; None if there is none now."""
        if self.over:
            return None
        if self.started is None:
            return self._warm_up(trial)
        if len(self._busy_since) >= self.width:
            return None
        work = self._guarded(self._work, trial)
        if work is not None:
            self._trials[trial] = len(self._trials)
            self._busy_since[trial] = self.clock()
        elif not self._busy_since and not self.fault:
            self._end("nothing left to try")
        return work

    def warm(self, trial: str) -> bool:
        """A slot says that it is warm; True once all of them are (and the clock runs)."""
        self._warm.add(trial)
        if len(self._warm) == self.width and self.started is None:
            self.started = self.now()
        return self.started is not None

    def report(self, trial: str, report: dict[str, Any]) -> None:
        """An evaluation has arrived, or word that one failed."""
        if self.over or trial not in self._busy_since:
            return
        arrived = self.clock()
        job = self._jobs.get(trial)
        if "disk" in report:
            self.fault = DiskFault(report["disk"])
            return
        if "failed" in report:
            self._last_failure = report["failed"]
            if job is None:
                self.fault = Fault(f"{self.searcher.name} failed: {report['failed']}")
                return
            report = self._failed(job, report["failed"], report["parts"])
        self._steps += report["steps"]
        if self.budget.kind == "steps" and self._steps > self.budget.amount:
            self._end("budget")
            return
        try:
            self._write(trial, report, arrived)
        except RunError as error:
            self.fault = DiskFault(str(error))
            return
        self.ledger.evaluation(report["parts"], arrived - self._busy_since[trial])
        self._busy_since[trial] = arrived
        if job is not None:
            self._guarded(self._tell, job, report["validation_loss"])

    def done(self, trial: str) -> None:
        """A trial has ended; its slot is free."""
        self._busy_since.pop(trial, None)
        self._jobs.pop(trial, None)

    def lost(self, trial: str) -> None:
        """A trial's actor died: the attempt is void."""
        if not self.over:
            self.fault = WorkerLost("a worker was lost")

    def close(self) -> None:
        """After the last report: settle the books."""
        if self.started is not None:
            end = self.ledger.wall if self.ledger.wall is not None else self.clock()
            self.ledger.close(end, list(self._busy_since.values()))
        if not self.fault and self._evaluations and not self._ok and self._last_failure:
            self.fault = Fault(f"every training failed, the last with {self._last_failure}")

    def _end(self, why: str) -> None:
        if self.ended is None:
            self.ended = why
            clock = self.clock()
            limit = self.budget.amount if self.budget.kind == "seconds" else clock
            self.ledger.wall = min(clock, limit)

    def _warm_up(self, trial: str) -> WORK | None:
        if len(self._warming) == self.width:
            return None
        self._warming.add(trial)
        return warm_up_work()

    def _work(self, trial: str) -> WORK | None:
        if self._enough_under_way() or self._exhausted:
            return None
        if not isinstance(self.searcher, BlackBoxSearcher):
            if self._chains == self.width:
                return None
            self._chains += 1
            return chain_work(Chain(self._chains - 1, self.width))
        brief = self.task.brief(self.header.seed, self.width)
        if self._suggester is None:
            self._suggester = self.searcher.suggester(brief)
        asked = self._suggester.ask()
        if asked is None:
            self._exhausted = True
            return None
        job = checked_job(asked, brief)
        self._jobs[trial] = job
        return job_work(job)

    def _tell(self, job: Job, loss: float) -> None:
        assert self._suggester is not None
        self._suggester.tell(job, loss)

    def _enough_under_way(self) -> bool:
        if self.budget.kind != "evaluations" or not isinstance(self.searcher, BlackBoxSearcher):
            return False
        return self._evaluations + len(self._busy_since) >= self.budget.amount

    def _guarded(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Run the searcher's own code: its time is thinking, its exceptions are its failure."""
        began = self.now()
        self._thinking = True
        try:
            return call(*arguments)
        except Exception as error:
            line = f"{type(error).__name__}: {error}".splitlines()[0]
            self.fault = Fault(f"{self.searcher.name} failed: {line}")
            self.fault.__cause__ = error
            return None
        finally:
            self._thinking = False
            ended = self.now()
            if self.budget.kind == "seconds" and self.started is not None:
                ended = min(ended, self.started + self.budget.amount)
            self.ledger.think(max(ended - began, 0.0))

    def _failed(self, job: Job, why: str, parts: dict[str, float]) -> dict[str, Any]:
        return {
            "training": job.training,
            "budget": job.epochs,
            "full": job.epochs == self.task.horizon,
            "hyperparameters": job.configuration,
            "validation_loss": self.task.loss_ceiling,
            "validation_accuracy": None,
            "steps": 0,
            "status": "failed",
            "error": why,
            "parts": parts,
        }

    def _write(self, trial: str, report: dict[str, Any], arrived: float) -> None:
        line = {
            "schema": SCHEMA,
            **vars(self.header),
            "trial": self._trials[trial],
            "evaluation": self._evaluations,
            **report,
            "steps": self._steps,
            "seconds": round(arrived, 6),
            "slot_seconds": round(arrived * self.width, 6),
        }
        line["parts"] = {name: round(part, 6) for name, part in report["parts"].items()}
        append_line(self.file, line)
        self._evaluations += 1
        self._ok += report["status"] == "ok"


class DiskFault(Fault):
    """The disk refuses what the cell has to write: the study stops, and can be resumed."""


class WorkerLost(Fault):
    """The machine's fault, not the searcher's: the attempt is void and the cell is run again."""
