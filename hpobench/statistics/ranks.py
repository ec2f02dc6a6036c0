"""Ranks of searchers within blocks, and which searchers those ranks set apart.

A block is one task with one seed: every searcher met the same split. Blocks of one seed may depend
on each other, as tasks can share a seed's split; seeds are taken as independent, and the tasks as
given: what is said holds for these tasks and new seeds. To speak of new tasks, average over each
task's seeds first, so that a task is a block.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import fdtrc

from hpobench.statistics.curves import CONFIDENCE, Array
from hpobench.statistics.signed_rank import p_value
from hpobench.statistics.verdicts import holm


class Friedman(NamedTuple):
    """Friedman's test that all searchers rank alike: the statistic in F's form and its p-value."""

    statistic: float
    p_value: float


@dataclass(frozen=True)
class CriticalDifference:
    """What a critical difference diagram shows of k searchers, in the order they were given.

    ``mean_ranks``: (k,), 1 is best. ``missing``: (k,), blocks that were not measured and rank
    last. ``p_values``: (k, k), of each pair, adjusted for their number; 1 on the diagonal.
    ``cliques``: largest sets of two or more searchers no two of which are set apart, as indices,
    best mean rank first. A clique may leave out a searcher whose mean rank lies among its own:
    mark its members. ``blocks``: how many. ``groups``: how many of them are independent of each
    other. ``fewest_groups``: with fewer, no pair of so many searchers can be set apart, whatever
    the values.
    """

    mean_ranks: Array
    missing: NDArray[np.int64]
    friedman: Friedman
    p_values: Array
    cliques: tuple[tuple[int, ...], ...]
    blocks: int
    groups: int
    fewest_groups: int


def ranks(values: ArrayLike) -> Array:
    """Ranks of searchers, 1 for the lowest; ties share their mean rank.

    Args:
        values: (…, searchers). A missing value (NaN) ranks last, with an infinite one.

    Returns:
        Of the same shape.
    """
    values = np.asarray(values, dtype=float)
    table = pd.DataFrame(np.where(np.isnan(values), math.inf, values).reshape(-1, values.shape[-1]))
    return table.rank(axis=1).to_numpy().reshape(values.shape)


def mean_ranks(values: ArrayLike) -> Array:
    """Mean ranks over blocks.

    Args:
        values: (…, blocks, searchers); the first axes may be time, say.

    Returns:
        (…, searchers).
    """
    return np.asarray(ranks(values).mean(axis=-2))


def friedman(values: ArrayLike) -> Friedman:
    """Friedman's test with Iman and Davenport's correction and with ties.

    It is the F test of a two-way analysis of variance of the ranks. Where all tie the p-value is 1;
    where all blocks agree it is how rarely they would by chance.

    Args:
        values: (blocks, searchers), at least two of each.
    """
    table = ranks(values)
    blocks, k = table.shape
    if blocks < 2 or k < 2:
        raise ValueError(f"values {table.shape} are not at least two blocks of two searchers")
    means = table.mean(axis=0)
    between = blocks * float(((means - (k + 1) / 2) ** 2).sum())
    within = float(((table - means) ** 2).sum())
    if within == 0:
        _, ties = np.unique(means, return_counts=True)
        arrangements = math.factorial(k) // math.prod(math.factorial(tie) for tie in ties.tolist())
        return Friedman(math.inf if between > 0 else 0.0, float(arrangements) ** (1 - blocks))
    statistic = (blocks - 1) * between / within
    return Friedman(statistic, float(fdtrc(k - 1, (k - 1) * (blocks - 1), statistic)))


def critical_difference(
    values: ArrayLike, groups: ArrayLike | None = None, confidence: float = CONFIDENCE
) -> CriticalDifference:
    """Mean ranks, and which searchers are not set apart.

    Each pair is compared by the exact Wilcoxon signed-rank test of its differences over blocks, the
    signs of a group changing together, adjusted by Holm.

    Nemenyi's test, and its single critical difference of mean ranks, takes its variance from
    searchers that are all alike. So whether it sets two apart depends on the others in the pool,
    and where some are clearly apart it finds little: of six searchers in three distant pairs, over
    ten blocks, it separated 37 % of those that differ, this one all, at 3 % false positives.
    (Benavoli, Corani and Mangili, "Should we really use post-hoc tests based on mean-ranks?", 2016)

    Args:
        values: (blocks, searchers). Those of different tasks should be comparable (normalised
            regret), for the sake of power; the level holds anyway. A missing value (NaN) loses to
            any other.
        groups: labels of blocks that may depend on each other, (blocks,); each block by itself
            unless told.
        confidence: 1 − how often, at most, any two that are alike are set apart.
    """
    values = np.asarray(values, dtype=float)
    alike = friedman(values)
    blocks, k = values.shape
    missing = np.isnan(values).sum(axis=0)
    ended = np.where(np.isnan(values), math.inf, values)
    pairs = list(itertools.combinations(range(k), 2))
    groups = np.arange(blocks) if groups is None else np.asarray(groups)
    adjusted = holm([p_value(_differences(ended[:, i], ended[:, j]), groups) for i, j in pairs])
    p_values = np.ones((k, k))
    for (i, j), p in zip(pairs, adjusted, strict=True):
        p_values[i, j] = p_values[j, i] = p
    means = mean_ranks(values)
    level = 1 - confidence
    sets = cliques(p_values > level, order=np.argsort(means, kind="stable").tolist())
    fewest = math.ceil(1 + math.log2(len(pairs) / level))
    independent = len(np.unique(groups))
    return CriticalDifference(means, missing, alike, p_values, sets, blocks, independent, fewest)


def cliques(alike: ArrayLike, order: list[int]) -> tuple[tuple[int, ...], ...]:
    """The largest sets of two or more, any two of which are alike.

    Args:
        alike: (k, k), symmetric.
        order: the numbers of all k, best first.

    Returns:
        Members in that order, and the sets in the order of their members.
    """
    import networkx  # takes a quarter of a second, and only this figure needs it

    near = np.asarray(alike, dtype=bool)[np.ix_(order, order)] & ~np.eye(len(order), dtype=bool)
    largest = networkx.find_cliques(networkx.from_numpy_array(near))
    members = sorted(sorted(clique) for clique in largest if len(clique) > 1)
    return tuple(tuple(order[place] for place in clique) for clique in members)


def _differences(a: Array, b: Array) -> Array:
    """a − b; two infinite ones tie."""
    with np.errstate(invalid="ignore"):
        return np.where(a == b, 0.0, a - b)
