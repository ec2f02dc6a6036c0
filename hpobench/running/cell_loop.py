"""What happens in a cell, without Ray: hand out work, take reports, keep the clock and the books.

A cell goes through three phases. *Warming*: each slot gets a warm-up, and the clock starts when
the last one is warm. *Running*: slots get jobs or chains, and each report that arrives within the
budget becomes a line of ``evaluations.jsonl``. *Over*: the budget is spent, there is nothing left
to try, or something failed.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpobench.budget import Budget
from hpobench.results.evaluation_record import EvaluationRecord
from hpobench.running.faults import Cause, Fault
from hpobench.running.interfaces import Doing
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

Work = dict[str, Any]


@dataclass(frozen=True)
class Header:
    """What every line of a cell's ``evaluations.jsonl`` begins with."""

    cell: str
    task: str
    searcher: str
    seed: int
    attempt: int


@dataclass
class CellLoop:
    """One attempt at a cell. Times come from ``now``, a monotonic clock in seconds.

    ``now`` is the clock that the slots read too: on one machine all processes share it.
    """

    header: Header
    task: Task
    searcher: Searcher
    budget: Budget
    width: int
    now: Callable[[], float] = time.monotonic

    lines: list[dict[str, Any]] = field(default_factory=list)
    """The evaluations, in order of arrival: what the lines of ``evaluations.jsonl`` hold."""
    log: list[str] = field(default_factory=list)
    """Tracebacks of what raised."""
    ended: str | None = None
    """Why the cell is over: "budget", "nothing left to try", or None."""
    fault: Fault | None = None
    started: float | None = None
    ledger: Ledger = field(init=False)
    slots: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the slots' processes say of themselves, by process: the number of the slot, GPUs, …"""
    memory: dict[str, int | None] = field(default_factory=lambda: {"host": None, "device": None})
    """Peak memory of a slot in bytes."""

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.width)
        self._suggester: Suggester | None = None
        self._chains = 0
        self._warming: set[str] = set()
        self._warm: set[str] = set()
        self._jobs: dict[str, Job] = {}
        self._busy: set[str] = set()
        self._trials: dict[str, int] = {}
        self._steps = self._ok = 0
        self._exhausted = False
        self._last_failure: tuple[str, Cause] = "", "searcher error"
        self._thinking = False
        self.stirred = self.now()
        """When something last happened: a report, or work handed out."""

    def clock(self) -> float:
        """Seconds since the cell's slots were warm; 0 before."""
        return 0.0 if self.started is None else self.now() - self.started

    @property
    def doing(self) -> Doing:
        """Whose turn it is: the searcher's in this process, the slots', or nobody's."""
        if self._thinking:
            return "thinking"
        return "training" if self._busy else "nothing"

    @property
    def over(self) -> bool:
        """Whether nothing that could still arrive would count."""
        if self.fault or self.ended:
            return True
        spent = {
            "seconds": self.clock(),
            "evaluations": len(self.lines),
            "steps": self._steps,
        }[self.budget.kind]
        if self.started is not None and spent >= self.budget.amount:
            self._end("budget")
        return bool(self.ended)

    def next_work(self, trial: str) -> Work | None:
        """Work for a free slot, as the config of a new trial; None if there is none now."""
        if self.over:
            return None
        if self.started is None:
            return self._warm_up(trial)
        if len(self._busy) >= self.width:
            return None
        work = self._guarded(self._work, trial)
        if self.over:
            return None
        if work is not None:
            self._trials[trial] = len(self._trials)
            self._busy.add(trial)
            self.stirred = self.now()
            self.ledger.handed(trial, self.clock())
        else:
            self.ledger.nothing_to_hand_out(self.clock())
            if not self._busy:
                self._end("nothing left to try")
        return work

    def warm(self, trial: str, slot: Mapping[str, Any]) -> bool:
        """A slot says that it is warm; True once all of them are (and the clock runs)."""
        if trial not in self._warm:
            self._warm.add(trial)
            self.stirred = self.now()
            self._meet(slot)
        if len(self._warm) == self.width and self.started is None:
            self.started = self.now()
        return self.started is not None

    def report(self, trial: str, report: dict[str, Any]) -> None:
        """An evaluation has arrived, or word that one failed."""
        if self.over or trial not in self._busy:
            return
        assert self.started is not None
        arrived = self.clock()
        self.stirred = self.now()
        slot, (began, ended) = report.pop("slot"), report.pop("worked")
        interval = began - self.started, ended - self.started
        number = self._meet(slot)
        self.log += [report.pop("trace")] if "trace" in report else []
        job = self._jobs.get(trial)
        if "disk" in report:
            self._fail(Fault(report["disk"], "disk full"))
            return
        if "failed" in report:
            self._fail(Fault(f"{self.searcher.name} failed: {report['failed']}", report["cause"]))
            return
        if report["status"] == "failed":
            self._last_failure = report["error"], report["cause"]
        if self.budget.kind == "steps" and self._steps + report["steps"] > self.budget.amount:
            self._end("budget")
            return
        self._steps += report["steps"]
        self._write(trial, report, arrived, number, interval)
        self.ledger.reported(trial, report["parts"], *interval, arrived)
        if job is not None:
            self._guarded(self._tell, job, report["validation_loss"])

    def done(self, trial: str) -> None:
        """A trial has ended; its slot is free."""
        if not self.over:  # what the end cut off stays unfinished in the books
            self.ledger.freed(trial)
        self._busy.discard(trial)
        self._jobs.pop(trial, None)

    def lost(self, trial: str, fault: Fault) -> None:
        """A trial's process is gone."""
        if not self.over:
            self._fail(fault)

    def close(self) -> None:
        """After the last report."""
        if not self.fault and self.lines and not self._ok and self._last_failure[0]:
            why, cause = self._last_failure
            self.fault = Fault(f"every training failed, the last with {why}", cause)

    def _fail(self, fault: Fault) -> None:
        self.fault = fault
        self.ledger.close(self._wall())

    def _end(self, why: str) -> None:
        self.ended = why
        self.ledger.close(self._wall())

    def _wall(self) -> float:
        clock = self.clock()
        return min(clock, self.budget.amount) if self.budget.kind == "seconds" else clock

    def _warm_up(self, trial: str) -> Work | None:
        if len(self._warming) == self.width:
            return None
        self._warming.add(trial)
        return warm_up_work()

    def _meet(self, slot: Mapping[str, Any]) -> int:
        """The number of a slot, by its process, and its peak memory so far."""
        known = self.slots.setdefault(slot["process"], {"slot": len(self.slots), **slot})
        for kind, most in self.memory.items():
            seen = slot["memory"][kind]
            if seen is not None:
                self.memory[kind] = max(most or 0, seen)
        return int(known["slot"])

    def _work(self, trial: str) -> Work | None:
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
        return len(self.lines) + len(self._busy) >= self.budget.amount

    def _guarded(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Run the searcher's own code: its time is thinking, its exceptions are its failure."""
        began = self.now()
        self._thinking = True
        fault = None
        try:
            return call(*arguments)
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # it may not leave, either
            line = f"{type(error).__name__}: {error}".splitlines()[0]
            fault = Fault(f"{self.searcher.name} failed: {line}")
            self.log.append(traceback.format_exc())
            return None
        finally:
            self._thinking = False
            self.stirred = ended = self.now()
            if self.budget.kind == "seconds" and self.started is not None:
                ended = min(ended, self.started + self.budget.amount)
            self.ledger.think(max(ended - began, 0.0))
            if fault is not None:
                self._fail(fault)

    def _write(
        self,
        trial: str,
        report: dict[str, Any],
        arrived: float,
        slot: int,
        interval: tuple[float, float],
    ) -> None:
        measured = report | {
            "steps": self._steps,
            "parts": {name: round(part, 6) for name, part in report["parts"].items()},
        }
        record = EvaluationRecord(
            **vars(self.header),
            trial=self._trials[trial],
            evaluation=len(self.lines),
            **measured,
            seconds=round(arrived, 6),
            slot_seconds=round(arrived * self.width, 6),
            slot=slot,
            began=round(interval[0], 6),
            ended=round(interval[1], 6),
        )
        self.lines.append(record.line())
        self._ok += record.status == "ok"
