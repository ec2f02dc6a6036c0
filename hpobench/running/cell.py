"""Running one attempt at a cell: a process of its own, driving one Ray Tune experiment.

The runner starts it with ``python -m hpobench.running.cell`` and a pickled `Order` on its standard
input; it leaves ``evaluations.jsonl`` and ``cell.json`` in the cell's folder.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpobench.budget import Budget
from hpobench.errors import RunError
from hpobench.results.records import write_json
from hpobench.running.control import Control, DiskFault, Fault, Header, WorkerLost
from hpobench.study import Cell

EXIT_WORKER_LOST = 3
EXIT_DISK = 4
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

PATIENCE_SECONDS = 30.0
"""How long after its budget a searcher may still be thinking before its cell is ended."""


EXIT: dict[type[Fault], int] = {WorkerLost: EXIT_WORKER_LOST, DiskFault: EXIT_DISK, Fault: 1}
"""The exit status of a cell's process, by what went wrong; the first kind that fits."""


@dataclass(frozen=True)
class Order:
    """All that a cell's process needs to know."""

    cell: Cell
    budget: Budget
    width: int
    cpus: int
    gpus: float
    folder: Path
    attempt: int
    address: str
    slice: str
    cores: tuple[int, ...]
    runner: int

    @property
    def scratch(self) -> Path:
        """A folder for what lives no longer than the cell."""
        return self.folder / "scratch"

    @property
    def outcome(self) -> Path:
        """What the process came to, for the runner: a JSON file."""
        return self.scratch / "outcome.json"


def run_cell(order: Order) -> tuple[Control, float]:
    """Run the attempt to its end: the control, which has the books, and the seconds of start-up."""
    import ray
    from ray import tune

    from hpobench.running.tuning import CellSearch, CellStopper
    from trainables.trainable import Post, SlotTrainable

    began = time.monotonic()
    cell = order.cell
    warm_up = getattr(cell.searcher, "warm_up", None)
    if warm_up is not None:
        warm_up()
    ray.init(order.address, log_to_driver=False, logging_level="ERROR", namespace=cell.name)
    control = Control(
        Header(cell.name, cell.task.name, cell.searcher.name, cell.seed, order.attempt),
        cell.task,
        cell.searcher,
        order.budget,
        order.width,
        order.folder / "evaluations.jsonl",
    )
    post = Post(
        task=cell.task,
        searcher=cell.searcher,
        seed=cell.seed,
        width=order.width,
        scratch=order.scratch,
        threads=order.cpus,
        cores=order.cores,
        device="cuda" if order.gpus else "cpu",
    )
    slot = {"cpu": order.cpus, "gpu": order.gpus, order.slice: 1}
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(SlotTrainable, post=post), slot),
        tune_config=tune.TuneConfig(
            search_alg=CellSearch(control),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(order.scratch),
            stop=CellStopper(control),
            verbose=0,
        ),
    )
    threading.Thread(target=_end_a_thinker, args=(control, order), daemon=True).start()
    tuner.fit()
    control.close()
    return control, (control.started or time.monotonic()) - began


def _end_a_thinker(control: Control, order: Order) -> None:
    """End this process when its searcher thinks on and on after its budget of seconds."""
    while order.budget.kind != "seconds" or control.overdue() < PATIENCE_SECONDS:
        time.sleep(1)
    why = f"still thinking {PATIENCE_SECONDS:g} s after its budget had ended"
    fault = f"{order.cell.searcher.name} failed: {why}"
    write_json(order.outcome, {"ended": "budget", "ledger": None, "fault": fault})
    os._exit(1)


def _end_with(runner: int) -> None:
    """End this process when its runner is gone: nobody would wait for the cell."""
    while os.getppid() == runner:
        time.sleep(1)
    os._exit(1)


def main() -> None:
    from ray import cloudpickle

    order: Order = cloudpickle.load(sys.stdin.buffer)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner decides when a cell is given up
    threading.Thread(target=_end_with, args=(order.runner,), daemon=True).start()
    if order.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, order.cores)
    outcome: dict[str, Any] = {"ended": None, "ledger": None}
    fault: Fault | None
    try:
        control, startup = run_cell(order)
        fault = control.fault
        outcome = {"ended": control.ended, "ledger": control.ledger.as_json(startup)}
        if fault is not None:
            traceback.print_exception(fault)
    except BaseException as error:
        traceback.print_exc()
        fault = Fault(f"{type(error).__name__}: {error}".splitlines()[0])
        if isinstance(error, RunError) or getattr(error, "errno", None) in DISK_FULL:
            fault = DiskFault(str(fault))
    with suppress(OSError):
        sys.stderr.flush()
    try:
        write_json(order.outcome, {**outcome, "fault": str(fault) if fault else None})
    except RunError:
        fault = fault if isinstance(fault, DiskFault) else DiskFault("its outcome")
    status = next((code for kind, code in EXIT.items() if isinstance(fault, kind)), 0)
    # Without waiting for Ray's goodbyes: everything is on disk.
    os._exit(status)


if __name__ == "__main__":
    main()
