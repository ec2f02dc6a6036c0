"""What happens in a cell, without Ray: hand out work, take reports, keep the clock and the books.

A cell goes through three phases. *Warming*: the clock starts when the last slot is warm.
*Running*: a slot is handed one evaluation's work at a time, whichever searcher asks for it: a job,
or the next evaluation of its chain. Each report that arrives within the budget becomes a line of
``evaluations.jsonl``. *Over*: the budget is spent, there is nothing left to try, or something
failed.
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
from trainables.trainable import Work, chain_work, job_work


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
    slots: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What the slots' processes say of themselves: which process it is, its GPUs, …"""
    memory: dict[str, int | None] = field(default_factory=lambda: {"host": None, "device": None})
    """Peak memory of a slot in bytes."""

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.width)
        self._suggester: Suggester | None = None
        self._chains: dict[int, Chain] = {}
        self._ended: set[int] = set()
        """Slots whose chains have ended."""
        self._jobs: dict[int, Job] = {}
        self._known: dict[int, Job] = {}
        """The last job of each training."""
        self._asked = 0
        """How many jobs the searcher has asked for."""
        self._trials: dict[int, int] = {}
        """Slot → number of the job, or of the chain, that it has last worked on."""
        self.busy: set[int] = set()
        """Slots at work."""
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
        return "training" if self.busy else "nothing"

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

    @property
    def left(self) -> float | None:
        """Seconds until the budget is spent; None if that has none, or does not run yet."""
        if self.budget.kind != "seconds" or self.started is None:
            return None
        return max(self.budget.amount - self.clock(), 0.0)

    def warm(self, slot: int, told: Mapping[str, Any]) -> None:
        """A slot is warm, and tells what it is; once the last one is, the clock runs."""
        self.stirred = self.now()
        self._meet(slot, told)
        if len(self.slots) == self.width and self.started is None:
            self.started = self.now()

    def next_work(self, slot: int) -> Work | None:
        """The next evaluation's work for a free slot; None if there is none for it now."""
        if self.over or self.started is None:
            return None
        work = self._guarded(self._work, slot)
        if self.over:
            return None
        if work is None:
            self.ledger.nothing_for(slot, self.clock())
            if self._nothing_left:
                self._end("nothing left to try")
            return None
        self.busy.add(slot)
        self.stirred = self.now()
        self.ledger.handed(slot, self.clock())
        return work

    def report(self, slot: int, report: dict[str, Any]) -> None:
        """An evaluation has arrived, or word that one failed, or that a chain has ended."""
        if self.over or slot not in self.busy:
            return
        assert self.started is not None
        arrived = self.clock()
        self.busy.discard(slot)
        self.stirred = self.now()
        began, ended = report.pop("worked")
        interval = began - self.started, ended - self.started
        self._meet(slot, report.pop("slot"))
        self.log += [report.pop("trace")] if "trace" in report else []
        job = self._jobs.pop(slot, None)
        if "disk" in report:
            self._fail(Fault(report["disk"], "disk full"))
            return
        if "failed" in report:
            self._fail(Fault(f"{self.searcher.name} failed: {report['failed']}", report["cause"]))
            return
        if "end" in report:
            self._ended.add(slot)
            self.ledger.reported(slot, report["parts"], *interval, arrived)
            return
        if report["status"] == "failed":
            self._last_failure = report["error"], report["cause"]
        if self.budget.kind == "steps" and self._steps + report["steps"] > self.budget.amount:
            self._end("budget")
            return
        self._steps += report["steps"]
        report["parts"] = self.ledger.reported(slot, report["parts"], *interval, arrived)
        self._write(slot, report, arrived, interval)
        if job is not None:
            self._guarded(self._tell, job, report["validation_loss"])

    def lost(self, fault: Fault) -> None:
        """A slot's process is gone."""
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

    def _meet(self, slot: int, told: Mapping[str, Any]) -> None:
        """What a slot tells of itself, and its peak memory so far."""
        self.slots[slot] = dict(told)
        for kind, most in self.memory.items():
            seen = told["memory"][kind]
            if seen is not None:
                self.memory[kind] = max(most or 0, seen)

    def _work(self, slot: int) -> Work | None:
        if not isinstance(self.searcher, BlackBoxSearcher):
            return self._next_of_chain(slot)
        if self._exhausted or self._enough_under_way():
            return None
        brief = self.task.brief(self.header.seed, self.width)
        if self._suggester is None:
            self._suggester = self.searcher.suggester(brief)
        asked = self._suggester.ask()
        if asked is None:
            self._exhausted = True
            return None
        job = checked_job(asked, brief, self._known)
        self._known[job.training] = job
        self._jobs[slot], self._trials[slot] = job, self._asked
        self._asked += 1
        return job_work(job)

    def _next_of_chain(self, slot: int) -> Work | None:
        if slot in self._ended:
            return None
        chain = self._chains.setdefault(slot, Chain(len(self._chains), self.width))
        self._trials[slot] = chain.index
        return chain_work(chain)

    @property
    def _nothing_left(self) -> bool:
        """Whether no slot is at work, and none ever would be."""
        of_chains = not isinstance(self.searcher, BlackBoxSearcher)
        return not self.busy and (not of_chains or len(self._ended) == self.width)

    def _tell(self, job: Job, loss: float) -> None:
        assert self._suggester is not None
        self._suggester.tell(job, loss)

    def _enough_under_way(self) -> bool:
        under_way = len(self.lines) + len(self.busy)
        return self.budget.kind == "evaluations" and under_way >= self.budget.amount

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
            assert self.started is not None  # nobody is asked anything earlier
            if self.budget.kind == "seconds":
                ended = min(ended, self.started + self.budget.amount)
            self.ledger.think(began - self.started, ended - self.started)
            if fault is not None:
                self._fail(fault)

    def _write(
        self,
        slot: int,
        report: dict[str, Any],
        arrived: float,
        interval: tuple[float, float],
    ) -> None:
        measured = report | {
            "steps": self._steps,
            "parts": {name: round(part, 6) for name, part in report["parts"].items()},
        }
        record = EvaluationRecord(
            **vars(self.header),
            trial=self._trials[slot],
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
