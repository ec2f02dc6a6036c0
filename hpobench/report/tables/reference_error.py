"""How strict the target ref.+s.e. is on a task: its level beside those of 10 % and 1 %."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hpobench.results.regret import worth_of
from hpobench.results.targets import TARGET_WORDS, TARGETS
from hpobench.text import number, percent

if TYPE_CHECKING:
    from hpobench.results.run import Results

SHARES = {name: level for name, level in TARGETS.items() if level}
NAME = TARGET_WORDS["zero"]


def reference_error(results: Results, task: str) -> str:
    """The level in numbers, in a sentence; empty without a reference that was measured.

    Regret is measured split by split, so each has its own: the mean is told.
    """
    splits = {(task, seed): results.split(task, seed) for seed in results.study["seeds"]}
    errors = [s.tolerance for s in splits.values() if not math.isnan(s.tolerance)]
    if not errors:
        return ""
    mean, worth = sum(errors) / len(errors), worth_of(task, splits)
    level = f"{NAME}: a regret of {number(mean)}, the reference's standard error on a split"
    if not worth > 0:
        return f"{level}; the default has none, so there are no 10 % and 1 % of it."
    share, strict = percent(mean / worth), _strict([error / worth for error in errors])
    return f"{level}: {share} of the default's mean regret, {number(worth)}; {strict}."


def _strict(shares: list[float]) -> str:
    """How it compares with the other targets, if not alike on all splits then on how many."""
    most, least = max(SHARES, key=SHARES.__getitem__), min(SHARES, key=SHARES.__getitem__)
    looser = sum(share > SHARES[most] for share in shares)
    stricter = sum(share < SHARES[least] for share in shares)
    if looser:
        return f"looser than {TARGET_WORDS[most]}{_of_splits(looser, shares)}"
    if stricter:
        return f"stricter than {TARGET_WORDS[least]}{_of_splits(stricter, shares)}"
    return f"between {TARGET_WORDS[most]} and {TARGET_WORDS[least]}"


def _of_splits(count: int, shares: list[float]) -> str:
    return "" if count == len(shares) else f" on {count} of {len(shares)} splits"
