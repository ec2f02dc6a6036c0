"""One searcher under two names, side by side on two slices. Nothing should make a difference.

    python benchmarks/same_searcher_twice.py [SEEDS] [SECONDS]

First the same random search twice, on trainings as short as they come. For names, slices and the
order of running: the paired difference over seeds of the time that an evaluation takes and of the
final regret, with its 95 % t-interval. Exits with 1 if an interval excludes zero by more than
chance allows (Bonferroni over the six comparisons).

Then the same random search once as a black box, which is asked in the cell's controller, and once
in a gradient-based searcher's clothes, which trains by itself in its slot, on trainings of 20 ms:
how many trainings each got done within the budget. Exits with 1 if the interval of the paired
difference goes beyond ± 2 %.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import overhead
import pandas as pd
from ray import cloudpickle
from scipy import stats

from hpobench import Results, Study
from searchers import RandomSearch
from searchers.inner_problem import InnerProblem
from searchers.protocols import Brief, Chain, Evaluation
from trainables.training_job import evaluate_job

cloudpickle.register_pickle_by_value(overhead)

NAMES = ("one", "other")
COMPARISONS = 6
LEVEL = 0.05 / COMPARISONS


MOST_APART = 0.02
"""By which share of their number trainings may differ."""


@dataclass(frozen=True)
class Clothed:
    """A random search that trains by itself, as gradient-based searchers do."""

    name: str = "clothed"

    def search(self, problem: InnerProblem, brief: Brief, chain: Chain) -> Iterator[Evaluation]:
        suggester = RandomSearch().suggester(brief)
        with tempfile.TemporaryDirectory() as folder:
            while (job := suggester.ask()) is not None:
                yield evaluate_job(problem, brief, job, Path(folder))


def main() -> None:
    seeds = [int(sys.argv[1])] if len(sys.argv) > 1 else []
    budget = [float(sys.argv[2])] if len(sys.argv) > 2 else []
    differs = same_twice(*(seeds or [40]), *(budget or [3.0]))
    differs |= in_other_clothes(*(seeds or [20]), *(budget or [5.0]))
    sys.exit(bool(differs))


def same_twice(seeds: int, budget: float) -> bool:
    """The same search twice; whether anything makes a difference."""
    searchers = [RandomSearch(name=name) for name in NAMES]
    study = Study("same", ["noisy_quadratic"], searchers, seeds, budget, yardstick_draws=2)
    cells = measured(study)
    print(f"{len(cells)} cells, {budget:g} s each, {cells['evaluations'].sum()} evaluations")
    print(f"slices: {', '.join(sorted(cells['slice'].unique()))}")
    differs = False
    for what, unit in (("milliseconds", "ms an evaluation"), ("regret", "final regret")):
        for by in ("searcher", "slice", "order"):
            differs |= show(paired(cells, by, what), f"{unit} by {by}", cells[what].mean()) < LEVEL
    return differs


def in_other_clothes(seeds: int, budget: float) -> bool:
    """The same search as a black box and as a gradient-based one; whether it makes a difference."""
    task = overhead.slowed("busy_20_ms", overhead.work)
    searchers = [Clothed(), RandomSearch(name="random")]
    cells = measured(Study("clothes", [task], searchers, seeds, budget, yardstick_draws=2))
    differences, mean = paired(cells, "searcher", "evaluations"), cells["evaluations"].mean()
    show(differences, "trainings, random − clothed", mean)
    low, high = (bound / mean for bound in interval(differences))
    print(f"as a share [{low:+.2%}, {high:+.2%}] (limit ± {MOST_APART:.0%})")
    return max(-low, high) > MOST_APART


def measured(study: Study) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        return measures(study.run(Path(folder) / "run", wandb="off"))


def measures(results: Results) -> pd.DataFrame:
    """For each cell: what an evaluation took, its final regret, its slice, its place in order."""
    cells = results.cells[results.cells["status"] == "complete"].copy()
    regret = results.regret().query("curve == 'incumbent'").groupby("cell")["regret"].last()
    cells["evaluations"] = results.evaluations.groupby("cell").size().reindex(cells["cell"]).values
    cells["milliseconds"] = 1000 * cells["wall"] / cells["evaluations"]
    cells["regret"] = regret.reindex(cells["cell"]).values
    cells["order"] = cells.groupby("seed").cumcount()  # the study's, by no clock
    return cells


def paired(cells: pd.DataFrame, by: str, what: str) -> np.ndarray:
    """Differences between the two cells of a seed, in the order of ``by``, shape (n,).

    Seeds whose two cells do not differ in ``by`` (both on one slice) say nothing of it.
    """
    differences = []
    for _, pair in cells.groupby("seed"):
        first, second = np.sort(pair[by].unique())[[0, -1]]
        if first != second:
            values = pair.set_index(by)[what]
            differences.append(values[second] - values[first])
    return np.array(differences)


def interval(differences: np.ndarray) -> tuple[float, float]:
    """The 95 % t-interval of their mean."""
    n, effect = len(differences), differences.mean()
    reach = stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)
    return effect - reach, effect + reach


def show(differences: np.ndarray, what: str, mean: float) -> float:
    """Print the mean difference and its interval; the p-value of none."""
    (low, high), effect = interval(differences), differences.mean()
    p = stats.ttest_1samp(differences, 0.0).pvalue if high > low else 1.0
    print(
        f"{what:28} {effect:+.4g} [{low:+.4g}, {high:+.4g}]"
        f" of {mean:.4g} ({effect / mean:+.1%}), p = {p:.2f}, {len(differences)} pairs"
    )
    return float(p)


if __name__ == "__main__":
    main()
