"""A/A: one searcher under two names, side by side on two slices. Nothing should make a difference.

    python benchmarks/same_searcher_twice.py [SEEDS] [SECONDS]

For names, slices and the order of running: the paired difference over seeds of the time that an
evaluation takes and of the final regret, with its 95 % t-interval. Exits with 1 if an interval
excludes zero by more than chance allows (Bonferroni over the six comparisons).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from hpobench import Results, Study
from searchers import RandomSearch

NAMES = ("one", "other")
COMPARISONS = 6
LEVEL = 0.05 / COMPARISONS


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    budget = float(sys.argv[2]) if len(sys.argv) > 2 else 3.0
    searchers = [RandomSearch(name=name) for name in NAMES]
    study = Study("same", ["noisy_quadratic"], searchers, seeds, budget, yardstick_draws=2)
    with tempfile.TemporaryDirectory() as folder:
        results = study.run(Path(folder) / "run", wandb="off")
    cells = measures(results)
    print(f"{len(cells)} cells, {budget:g} s each, {cells['evaluations'].sum()} evaluations")
    print(f"slices: {', '.join(sorted(cells['slice'].unique()))}")
    differs = False
    for what, unit in (("milliseconds", "ms an evaluation"), ("regret", "final regret")):
        for by in ("searcher", "slice", "order"):
            differences = paired(cells, by, what)
            differs |= show(differences, f"{unit} by {by}", cells[what].mean())
    sys.exit(differs)


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


def show(differences: np.ndarray, what: str, mean: float) -> bool:
    """Print the mean difference and its interval; whether it is beyond chance."""
    n, effect = len(differences), differences.mean()
    error = differences.std(ddof=1) / np.sqrt(n)
    reach = stats.t.ppf(0.975, n - 1) * error
    p = stats.ttest_1samp(differences, 0.0).pvalue if error > 0 else 1.0
    print(
        f"{what:28} {effect:+.4g} [{effect - reach:+.4g}, {effect + reach:+.4g}]"
        f" of {mean:.4g} ({effect / mean:+.1%}), p = {p:.2f}, {n} pairs"
    )
    return bool(p < LEVEL)


if __name__ == "__main__":
    main()
