"""The range and the scale of each hyperparameter of a task, as its study has them in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpobench.results.json_files import Record

_VECTOR = re.compile(r"(\d+)(?: ×|( [^:]+):) (.+)")
_NUMBERS = re.compile(r"(?:whole numbers, )?(log|linear) (\S+) … (\S+)")


@dataclass(frozen=True)
class Prior:
    """A hyperparameter: numbers in [low, high], or some ``choices``; see `searchers.space`.

    ``names``: of its values in a flat configuration. ``windows``: whether each of them holds in a
    window of the training, all equally long.
    """

    name: str
    names: tuple[str, ...]
    windows: bool
    log: bool = False
    low: float = 0.0
    high: float = 1.0
    choices: tuple[str, ...] | None = None

    def place(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Each value's fraction of the range, on its scale; NaN where a choice is not known."""
        if self.choices is not None:
            last = max(len(self.choices) - 1, 1)
            at = {choice: place / last for place, choice in enumerate(self.choices)}
            return np.array([at.get(str(value), np.nan) for value in values], dtype=float)
        numbers, ends = np.asarray(values, dtype=float), np.array([self.low, self.high])
        if self.log:
            numbers, ends = np.log(numbers), np.log(ends)
        return (numbers - ends[0]) / (ends[1] - ends[0])


def priors_of(task: Record) -> list[Prior]:
    """The hyperparameters of a task of ``study.json``, in order.

    One that is told in other words than `searchers.space.Space.describe` has counts as choices
    that are not known.
    """
    return [_prior(name, words) for name, words in task["space"].items()]


def _prior(name: str, words: str) -> Prior:
    vector = _VECTOR.fullmatch(words)
    count, basis, words = vector.groups() if vector else (None, None, words)
    names = (name,) if count is None else tuple(f"{name}_{i}" for i in range(int(count)))
    windows = basis is None
    numbers = _NUMBERS.fullmatch(words)
    if numbers:
        scale, low, high = numbers.groups()
        return Prior(name, names, windows, scale == "log", float(low), float(high))
    choices = tuple(words.removeprefix("one of ").split(", ")) if "one of " in words else ()
    return Prior(name, names, windows, choices=choices)
