"""Do the statistics hold their level? Coverage of bands and intervals, false verdicts, power.

    python benchmarks/calibration.py [STUDIES]

Simulates 1,000 studies of each kind, unless told, at 5, 10 and 20 seeds, with the truth known. Some
kinds are declared (Gaussian curves, and regret curves of a random search on noisy splits): bands
cover these 93–97 % of the time. The others show where a t-interval of few seeds deviates, and have
no limit. Equal searchers are called different in at most 5 % of the studies, up to two standard
errors of the simulation. Exits with 1 outside of the limits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hpobench.statistics.aggregates import interquartile_mean, jackknife_interval
from hpobench.statistics.curves import StepCurve, mean_curve
from hpobench.statistics.verdicts import Difference, paired, seeds_to_separate, verdicts

Array = NDArray[np.float64]
STUDIES, SEEDS, POINTS = 1000, (5, 10, 20), 25
SEARCHERS, PAIRS = "abcdef", 15
LEAST, MOST, FAMILY_ERROR = 0.93, 0.97, 0.05
TRUTH_DRAWS = 200_000


class Kind(NamedTuple):
    """A kind of study: ``draw(rng, seeds)`` gives its curves, (seeds, points)."""

    name: str
    draw: Callable[[Generator, int], Array]
    declared: bool


def markov(rng: Generator, seeds: int, length: float) -> Array:
    """Gaussian curves of unit variance, so many correlation times long."""
    kept = np.exp(-length / (POINTS - 1))
    values = rng.standard_normal((seeds, POINTS))
    for i in range(1, POINTS):
        values[:, i] = kept * values[:, i - 1] + np.sqrt(1 - kept**2) * values[:, i]
    return values


def walk(rng: Generator, seeds: int) -> Array:
    return np.cumsum(rng.standard_normal((seeds, POINTS)), axis=1)


def smooth(rng: Generator, seeds: int, length: float) -> Array:
    """Gaussian curves with a Gaussian kernel, so many of its widths long."""
    at = np.linspace(0, length, POINTS)
    kernel = np.exp(-((at[:, None] - at) ** 2) / 2) + 1e-9 * np.eye(POINTS)
    return rng.standard_normal((seeds, POINTS)) @ np.linalg.cholesky(kernel).T


def random_search(
    rng: Generator, seeds: int, dimensions: int, split: float, evaluations: int = 256
) -> Array:
    """Incumbents' test losses of a random search around a quadratic optimum, on a log clock.

    A uniform draw's loss is below x with probability x^(dimensions / 2), where 1 is the worst.
    Validating and testing a configuration adds noise of standard deviation 0.1 to each; ``split``:
    that of the seed's own split, which all of its losses share.
    """
    losses = rng.random((seeds, evaluations)) ** (2 / dimensions)
    validation = losses + 0.1 * rng.standard_normal(losses.shape)
    test = losses + 0.1 * rng.standard_normal(losses.shape)
    improved = validation <= np.minimum.accumulate(validation, axis=1)
    incumbent = np.maximum.accumulate(np.where(improved, np.arange(evaluations), 0), axis=1)
    grid = np.unique(np.geomspace(1, evaluations, POINTS).astype(int)) - 1
    curves = np.take_along_axis(test, incumbent, axis=1)[:, grid]
    return np.asarray(curves + split * rng.standard_normal((seeds, 1)))


def lognormal(rng: Generator, seeds: int, sigma: float) -> Array:
    """Skewed values: exponentials of Markov curves."""
    return np.exp(sigma * markov(rng, seeds, length=2))


KINDS = (
    Kind("Markov, 2 correlation times", partial(markov, length=2), True),
    Kind("Markov, 10 correlation times", partial(markov, length=10), True),
    Kind("random walk", walk, True),
    Kind("random search, split noise 0.2", partial(random_search, dimensions=4, split=0.2), True),
    Kind("random search, split noise 0.1", partial(random_search, dimensions=4, split=0.1), True),
    Kind("random search, no split noise", partial(random_search, dimensions=4, split=0.0), True),
    Kind("... in 2 dimensions", partial(random_search, dimensions=2, split=0.0), False),
    Kind("smooth, 3 kernel widths", partial(smooth, length=3), False),
    Kind("lognormal 0.5", partial(lognormal, sigma=0.5), False),
    Kind("lognormal 1", partial(lognormal, sigma=1.0), False),
)

Losses: TypeAlias = Callable[[Generator, tuple[int, ...]], Array]
LOSSES: dict[str, Losses] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "lognormal 0.5": lambda rng, shape: rng.lognormal(0, 0.5, shape),
    "lognormal 1": lambda rng, shape: rng.lognormal(0, 1, shape),
}


def main() -> None:
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    outside = [*bands(studies), *intervals(studies), *equals(studies)]
    power(studies)
    print("\noutside of the limits: " + (", ".join(outside) or "nothing"))
    sys.exit(bool(outside))


def bands(studies: int) -> list[str]:
    """Coverage by the 95 % bands of the figures, on average over time."""
    print(f"coverage of 95 % bands, % (declared: 93 … 97, {studies} studies; others half as many)")
    print(f"{'seeds':34}" + "".join(f"{seeds:7}" for seeds in SEEDS))
    outside = []
    for kind in KINDS:
        mean = truth(kind.draw)
        repeats = studies if kind.declared else studies // 2
        covered = np.array([coverage(kind.draw, mean, seeds, repeats) for seeds in SEEDS])
        shares = "".join(f"{100 * share:7.1f}" for share in covered)
        print(f"{kind.name:34}{shares}  {'declared' if kind.declared else ''}", flush=True)
        if kind.declared and not np.all((covered >= LEAST) & (covered <= MOST)):
            outside.append(f"bands over {kind.name!r}")
    return outside


def truth(draw: Callable[[Generator, int], Array]) -> Array:
    """The mean curve, by a long simulation."""
    rng, block = np.random.default_rng(1), 10_000
    return np.mean([draw(rng, block).mean(axis=0) for _ in range(TRUTH_DRAWS // block)], axis=0)


def coverage(
    draw: Callable[[Generator, int], Array], mean: Array, seeds: int, studies: int
) -> float:
    rng, times = np.random.default_rng(seeds), np.arange(len(mean))
    covered = []
    for _ in range(studies):
        band = mean_curve([StepCurve(times, values) for values in draw(rng, seeds)]).band
        assert band is not None
        low, high = (end.values for end in band)
        covered.append(np.mean((low <= mean) & (mean <= high)))
    return float(np.mean(covered))


def intervals(studies: int) -> list[str]:
    """Coverage of the jackknife's interval of an interquartile mean over 1 and over 5 tasks."""
    print("\ncoverage of the interquartile mean's 95 % interval, % (declared: 93 … 97)")
    print(f"{'seeds':34}" + "".join(f"{seeds:7}" for seeds in SEEDS))
    outside = []
    for name, tasks, draw, declared in (
        ("normal, 5 tasks", 5, LOSSES["normal"], True),
        ("normal, 1 task", 1, LOSSES["normal"], False),
        ("lognormal 1, 5 tasks", 5, LOSSES["lognormal 1"], False),
    ):
        middle = interquartile_mean(draw(np.random.default_rng(1), (4_000_000,)))
        covered = []
        for seeds in SEEDS:
            rng = np.random.default_rng(seeds)
            drawn = (draw(rng, (tasks, seeds)) for _ in range(studies))
            found = [jackknife_interval(interquartile_mean, values) for values in drawn]
            covered.append(np.mean([i.low <= middle <= i.high for i in found]))
        shares = "".join(f"{100 * share:7.1f}" for share in covered)
        print(f"{name:34}{shares}  {'declared' if declared else ''}", flush=True)
        if declared and not all(LEAST <= share <= MOST for share in covered):
            outside.append(f"interquartile means, {name}")
    return outside


def equals(studies: int) -> list[str]:
    """How often a study of six equal searchers separates any two of them."""
    most = FAMILY_ERROR + 2 * np.sqrt(FAMILY_ERROR * (1 - FAMILY_ERROR) / studies)
    print(f"\nfalse verdicts among {SEARCHERS!r}, all equal, % of studies (limit {100 * most:.1f})")
    print(f"{'seeds':34}" + "".join(f"{seeds:7}" for seeds in SEEDS))
    outside = []
    for name, draw in LOSSES.items():
        shares = [false_verdicts(draw, seeds, studies) for seeds in SEEDS]
        print(f"{name:34}" + "".join(f"{100 * share:7.1f}" for share in shares))
        if max(shares) > most:
            outside.append(f"verdicts, {name}")
    return outside


def false_verdicts(draw: Losses, seeds: int, studies: int) -> float:
    rng = np.random.default_rng(seeds)
    return float(np.mean([bool(better(draw(rng, (6, seeds)))) for _ in range(studies)]))


def better(losses: Array) -> list[str]:
    """The better one of each pair that is separated; ``losses``: (searchers, seeds)."""
    found = verdicts(dict(zip(SEARCHERS, losses, strict=True)))
    return [verdict.better for verdict in found if verdict.better]


def power(studies: int) -> None:
    """Searcher a is better than five equal ones by so many standard deviations of a difference."""
    print("\npower: how often a better searcher is separated from each of five equal ones, %")
    print(f"{'seeds':34}" + "".join(f"{seeds:7}" for seeds in SEEDS) + "   advised for 80 %")
    for effect in (0.5, 1.0, 1.5, 2.0):
        advised = total_advised(effect)
        shares = [separated(effect, seeds, studies) for seeds in (*SEEDS, advised)]
        cells = "".join(f"{100 * share:7.1f}" for share in shares[:-1])
        print(f"effect {effect:<27}{cells}   {100 * shares[-1]:.1f} at {advised} seeds")


def separated(effect: float, seeds: int, studies: int) -> float:
    rng = np.random.default_rng(seeds)
    ahead = np.array([[effect * np.sqrt(2)], *[[0.0]] * 5])
    found = [better(rng.standard_normal((6, seeds)) - ahead).count("a") / 5 for _ in range(studies)]
    return float(np.mean(found))


def total_advised(effect: float) -> int:
    """By a study of two seeds with exactly this effect: how many seeds have 80 % power."""
    observed: Difference = paired(effect + np.array([-1.0, 1.0]) / np.sqrt(2), np.zeros(2))
    advice = seeds_to_separate(observed, pairs=PAIRS)
    assert advice is not None
    assert advice.more is not None
    return 2 + advice.more


if __name__ == "__main__":
    main()
