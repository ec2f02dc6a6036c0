"""What the framework itself costs a cell, at width 1: one-second evaluations, and empty ones.

    python benchmarks/overhead.py [SECONDS]

Prints the share of a cell's time that is neither training, validation nor thinking. Exits with 1
if it is above 5 % with one-second evaluations.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from hpobench import Results, Study
from searchers.inner import InnerProblem
from trainables.task import Instance, Task
from trainables.tasks import find_task

LIMIT = 0.05
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


def slowed(name: str, seconds: float) -> Task:
    """The quadratic task with trainings that take so long."""
    quadratic = find_task("quadratic")
    steps = quadratic.horizon

    def build(seed: int, device: torch.device) -> Instance:
        instance = quadratic.build(seed, device)
        return Instance(Slowed(instance.inner, seconds / steps), instance.test)  # type: ignore[arg-type]

    return dataclasses.replace(quadratic, name=name, build=build)


def main() -> None:
    budget = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    with tempfile.TemporaryDirectory() as folder:
        study = Study(
            "overhead",
            [slowed("one_second", 1.0), find_task("quadratic")],
            ["random", "tpe", "fds"],
            seeds=1,
            budget=budget,
            yardstick_draws=2,
        )
        results = study.run(Path(folder) / "run", wandb="off")
    worst = 0.0
    print(f"{'task':12}{'searcher':12}{'evaluations':>12}{'own share':>12}{'ms each':>10}")
    for row in shares(results):
        print(
            f"{row['task']:12}{row['searcher']:12}{row['evaluations']:12d}"
            f"{row['share']:12.2%}{row['each']:10.1f}"
        )
        if row["task"] == "one_second":
            worst = max(worst, row["share"])
    print(f"largest own share with one-second evaluations: {worst:.2%} (limit {LIMIT:.0%})")
    sys.exit(worst > LIMIT)


def shares(results: Results) -> list[dict[str, Any]]:
    """By cell: evaluations, the framework's share of the wall-clock, and ms an evaluation."""
    counts = results.evaluations.groupby("cell").size()
    rows = []
    for cell in results.cells.to_dict("records"):
        own = sum(cell[part] for part in OWN_PARTS)
        count = int(counts[cell["cell"]])
        rows.append(
            {
                "task": cell["task"],
                "searcher": cell["searcher"],
                "evaluations": count,
                "share": own / cell["wall"],
                "each": 1000 * own / count,
            }
        )
    return rows


if __name__ == "__main__":
    main()
