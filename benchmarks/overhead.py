"""What the framework itself costs a cell: with one-second evaluations, and with empty ones.

    python benchmarks/overhead.py [SECONDS]

Each cell runs for so many seconds (20, unless told). Prints where its time went, and exits with 1

* if more than 5 % of a cell with one-second evaluations is orchestration, at width 1;
* if an empty trial takes a slot more than 55 ms, at width 1 or 2, torch loaded;
* if the parts of any cell's ledger are further than 2 % from its slot-seconds.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from hpobench import Results, Study
from searchers.inner_problem import InnerProblem
from searchers.space import Float, Space
from trainables.task import Instance, Task
from trainables.tasks import find_task

MOST_ORCHESTRATION = 0.05
MOST_MILLISECONDS = 55.0
MOST_RESIDUAL = 0.02

ONE_SECOND = 1.0
OWN_PARTS = ("checkpoint", "observing", "orchestration", "idle")


class Slowed:
    """An inner problem whose training steps sleep."""

    def __init__(self, inner: InnerProblem, seconds: float):
        self._inner, self._seconds = inner, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def training_loss(self, *arguments: Any) -> torch.Tensor:
        time.sleep(self._seconds)
        return self._inner.training_loss(*arguments)


def one_second() -> Task:
    """The quadratic task with trainings that take a second."""
    quadratic = find_task("quadratic")

    def build(seed: int, device: torch.device) -> Instance:
        instance = quadratic.build(seed, device)
        slow = Slowed(instance.inner, ONE_SECOND / quadratic.horizon)
        return Instance(slow, instance.test)

    return dataclasses.replace(quadratic, name="one_second", build=build)


def empty() -> Task:
    """A task whose training is a single step, and a trivial one."""
    rate = {"learning_rate": 0.1}
    return dataclasses.replace(
        find_task("quadratic"),
        name="empty",
        space=Space({"learning_rate": Float(0.0, 1.0)}),
        initial=(rate,),
        default=rate,
        optimum=None,
        budgets=(1,),
    )


def main() -> None:
    budget = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = measure(budget, width=1, tasks=[one_second(), empty()])
    if cores and cores > 1:
        rows += measure(budget, width=2, tasks=[empty()])
    else:
        print("one core: nothing is measured at width 2")
    show(rows)
    slow = max(row["orchestration"] for row in rows if row["task"] == "one_second")
    each = max(row["milliseconds"] for row in rows if is_empty_trial(row))
    residual = max(abs(row["residual"]) for row in rows)
    print(f"orchestration of one-second evaluations: {slow:.2%} (limit {MOST_ORCHESTRATION:.0%})")
    print(f"an empty trial takes a slot {each:.1f} ms (limit {MOST_MILLISECONDS:g} ms)")
    print(f"largest residual of a ledger: {residual:.2%} (limit {MOST_RESIDUAL:.0%})")
    sys.exit(slow > MOST_ORCHESTRATION or each > MOST_MILLISECONDS or residual > MOST_RESIDUAL)


def is_empty_trial(row: dict[str, Any]) -> bool:
    """Whether nothing was done in a trial: nothing trained, nothing thought."""
    return row["task"] == "empty" and row["searcher"] == "random"


def measure(budget: float, width: int, tasks: list[Task]) -> list[dict[str, Any]]:
    """A row for each cell of a study of random search, TPE and FDS on these tasks."""
    with tempfile.TemporaryDirectory() as folder:
        study = Study(
            "overhead",
            tasks,
            ["random", "tpe", "fds"],
            seeds=1,
            budget=budget,
            width=width,
            yardstick_draws=2,
        )
        results = study.run(Path(folder) / "run", wandb="off")
    return shares(results)


def shares(results: Results) -> list[dict[str, Any]]:
    """By cell: evaluations, parts as shares of its slot-seconds, and ms of a slot for each."""
    counts = results.evaluations.groupby("cell").size()
    rows = []
    for cell in results.cells.to_dict("records"):
        if cell["status"] != "complete":
            sys.exit(f"{cell['cell']}: {cell['status']} ({cell['why']})")
        whole, count = cell["slots"] * cell["wall"], int(counts[cell["cell"]])
        rows.append(
            {
                **{name: cell[name] for name in ("task", "searcher", "residual", "startup")},
                "width": int(cell["slots"]),
                "evaluations": count,
                "milliseconds": 1000 * whole / count,
                "own": sum(cell[part] for part in OWN_PARTS) / whole,
                **{part: cell[part] / whole for part in ("search", "train", "orchestration")},
            }
        )
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'task':12}{'searcher':10}{'width':>6}{'evaluations':>12}{'ms each':>9}{'training':>10}"
        f"{'thinking':>10}{'own share':>11}{'orchestration':>15}{'residual':>10}{'start-up':>10}"
    )
    for row in rows:
        print(
            f"{row['task']:12}{row['searcher']:10}{row['width']:6d}{row['evaluations']:12d}"
            f"{row['milliseconds']:9.1f}{row['train']:10.1%}{row['search']:10.1%}{row['own']:11.2%}"
            f"{row['orchestration']:15.2%}{row['residual']:10.3%}{row['startup']:9.1f}s"
        )


if __name__ == "__main__":
    main()
