"""What the framework takes of each searcher's clock, evaluation by evaluation.

    python benchmarks/overhead.py [SECONDS]

Each cell runs for so many seconds (5, unless told): every searcher on trainings of 20 ms that keep
a core busy, at widths 1 and 2 as far as there are cores, and on trainings that sleep for 20 ms at
widths 1, 2 and 4; random search, TPE and FDS on empty trainings and on trainings of a second. What
the framework takes of an evaluation is all of its slot's time that is no training, differentiating,
validating, keeping of unfinished trainings or thinking: the way there and back, reports, records,
and weights that are kept to be tested. Prints medians and 95th percentiles, and exits with 1

* if a median is above 2 ms, or a 95th percentile above 4 ms;
* if the medians of two searchers at one width are more than 1 ms apart;
* if more than 5 % of a cell with one-second evaluations is orchestration;
* if the parts of any cell's ledger are further than 2 % from its slot-seconds.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from ray.cluster_utils import Cluster

from hpobench import Study
from hpobench.running.cores import available_cores
from searchers.inner_problem import InnerProblem
from searchers.space import Float, Space
from trainables.task import Instance, Task
from trainables.tasks import find_task

MOST_MEDIAN, MOST_95, MOST_APART = 2.0, 4.0, 1.0  # ms
MOST_ORCHESTRATION, MOST_RESIDUAL = 0.05, 0.02

SEARCHERS = ("random", "grid", "bo", "tpe", "hyperband", "bohb", "hd", "greedy", "fds", "rmd")
OWN_PARTS = ("orchestration", "observing")
STEP = 0.02 / 9
"""Seconds of a step of the quadratic task's nine, for trainings of 20 ms."""


class Slowed:
    """An inner problem whose training steps take a while more."""

    def __init__(self, inner: InnerProblem, wait: Callable[[], None]):
        self._inner, self._wait = inner, wait

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def training_loss(self, *arguments: Any) -> torch.Tensor:
        self._wait()
        return self._inner.training_loss(*arguments)


def sleep() -> None:
    time.sleep(STEP)


def sleep_long() -> None:
    time.sleep(1.0 / 9)


def work() -> None:
    end = time.perf_counter() + STEP
    while time.perf_counter() < end:
        pass


def slowed(name: str, wait: Callable[[], None]) -> Task:
    """The quadratic task with slower trainings."""
    quadratic = find_task("quadratic")

    def build(seed: int, device: torch.device) -> Instance:
        instance = quadratic.build(seed, device)
        return Instance(Slowed(instance.inner, wait), instance.test)

    return dataclasses.replace(quadratic, name=name, build=build)


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
    budget = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    cores = len(available_cores())
    cells = []
    for width in (1, 2, 4):
        tasks = [slowed("sleeping_20_ms", sleep)]
        tasks += [slowed("busy_20_ms", work)] if width <= cores else []
        cells += measure(tasks, SEARCHERS, width, budget)
        show(cells[-len(tasks) * len(SEARCHERS) :])
    few = [empty(), slowed("sleeping_1_s", sleep_long)]
    cells += measure(few, ("random", "tpe", "fds"), 1, budget)
    show(cells[-6:])
    sys.exit(beyond(cells))


def measure(
    tasks: Sequence[Task], searchers: Sequence[str], width: int, budget: float
) -> list[dict[str, Any]]:
    """A row for each cell, run one after the other on a Ray with a core for each slot.

    Where the machine has fewer, they share what there is: of trainings that sleep, that is enough.
    """
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": width, "include_dashboard": False}
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            study = Study(
                "overhead", tasks, searchers, seeds=1, budget=budget, width=width, yardstick_draws=2
            )
            out = Path(folder) / "run"
            results = study.run(out, wandb="off", address=cluster.address)
    finally:
        cluster.shutdown()
    rows = []
    for cell in results.cells.to_dict("records"):
        if cell["status"] != "complete":
            sys.exit(f"{cell['cell']}: {cell['status']} ({cell['why']})")
        lines = results.evaluations[results.evaluations["cell"] == cell["cell"]]
        rows.append(row(cell, lines))
    return sorted(rows, key=lambda row: row["task"])


def row(cell: dict[str, Any], lines: pd.DataFrame) -> dict[str, Any]:
    """A cell's figures: of its evaluations in ms, of its slot-seconds as shares."""
    parts = lines["parts"].tolist()
    own = pd.Series([1000 * sum(each.get(part, 0.0) for part in OWN_PARTS) for each in parts])
    whole = cell["slots"] * cell["wall"]
    return {
        **{name: cell[name] for name in ("task", "searcher", "residual", "startup")},
        "width": int(cell["slots"]),
        "evaluations": len(lines),
        "median": own.median(),
        "most": own.quantile(0.95),
        **{part: cell[part] / whole for part in ("search", "train", "orchestration")},
    }


def show(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'task':16}{'searcher':10}{'width':>6}{'evaluations':>12}{'ms each':>9}{'95 %':>7}"
        f"{'thinking':>10}{'orchestration':>15}{'residual':>10}{'start-up':>10}"
    )
    for row in rows:
        print(
            f"{row['task']:16}{row['searcher']:10}{row['width']:6d}{row['evaluations']:12d}"
            f"{row['median']:9.2f}{row['most']:7.2f}{row['search']:10.1%}"
            f"{row['orchestration']:15.2%}{row['residual']:10.3%}{row['startup']:9.1f}s",
            flush=True,
        )


def beyond(cells: list[dict[str, Any]]) -> bool:
    """Print the worst figures with their limits; whether one is beyond its own."""
    table = pd.DataFrame(cells)
    medians = table.groupby(["task", "width"])["median"]
    figures = [
        ("ms an evaluation, the median", table["median"].max(), MOST_MEDIAN),
        ("ms an evaluation, the 95th percentile", table["most"].max(), MOST_95),
        (
            "ms between the medians of two searchers",
            (medians.max() - medians.min()).max(),
            MOST_APART,
        ),
        (
            "orchestration of one-second evaluations",
            table[table["task"] == "sleeping_1_s"]["orchestration"].max(),
            MOST_ORCHESTRATION,
        ),
        ("residual of a ledger", table["residual"].abs().max(), MOST_RESIDUAL),
    ]
    for what, most, limit in figures:
        print(f"at most {most:.3g} {what} (limit {limit:g})")
    return any(most > limit for _, most, limit in figures)


if __name__ == "__main__":
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    main()
