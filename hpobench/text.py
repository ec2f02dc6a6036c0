"""Numbers as people read them, for the page, the terminal and sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

UNKNOWN = "–"


def number(value: float, digits: int = 3) -> str:
    """A number to three significant digits, with a true minus sign; a dash if not known."""
    if not math.isfinite(value):
        return UNKNOWN
    value += 0.0  # no minus zero
    if value and not 1e-4 <= abs(value) < 1e6:
        text = f"{value:.{digits - 1}e}"
    elif abs(value) >= 10 ** (digits - 1):
        text = f"{value:.0f}"
    else:
        text = f"{value:.{digits}g}"
    return text.replace("-", "−")


def plus_minus(mean: float, error: float) -> str:
    """Mean ± standard error, to the error's second digit; the mean alone without an error."""
    if not math.isfinite(mean) or not math.isfinite(error) or error <= 0:
        return number(mean)
    decimals = max(0, 1 - math.floor(math.log10(error)))
    if decimals > 6:
        return f"{number(mean)} ± {number(error, 2)}"
    return f"{mean:.{decimals}f} ± {error:.{decimals}f}".replace("-", "−")


def seconds(value: float) -> str:
    """Seconds, to hundredths below one and to three digits above."""
    return f"{value:.2f}" if 0 < value < 1 else number(value)


def thousands(count: float) -> str:
    """A count to three digits, with k, M or G for thousands, millions and thousands of millions."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(count) >= 0.9995 * size:
            return f"{number(count / size)}{letter}"
    return number(count)


def percent(share: float) -> str:
    """A share of a whole as a percentage."""
    if not math.isfinite(share):
        return UNKNOWN
    if 0 < abs(share) < 0.0005:
        return "< 0.1 %"
    text = f"{100 * share:.0f} %" if abs(share) >= 0.0995 else f"{100 * share:.1f} %"
    return text.replace("-", "−")


def memory(size: float) -> str:
    """Bytes, to three digits in MiB or GiB."""
    if not math.isfinite(size):
        return UNKNOWN
    return f"{number(size / 2**30)} GiB" if size >= 1000 * 2**20 else f"{number(size / 2**20)} MiB"


def plural(count: int, noun: str) -> str:
    """1 seed, 2 seeds."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def budget(budget: dict[str, Any]) -> str:
    """A study's budget for each cell: 60 seconds, 100 evaluations, 5000 training steps."""
    unit = {"steps": "training steps"}.get(budget["kind"], budget["kind"])
    return f"{budget['amount']:g} {unit if budget['amount'] != 1 else unit.removesuffix('s')}"


def plain(docstring: str) -> str:
    """The words of a docstring without the marks around code in it."""
    return re.sub(r"(`+)(.+?)\1", r"\2", docstring)


def pairs(values: Mapping[str, Any]) -> str:
    """name value, name value; without what has no value."""
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def default_held(row: Mapping[Any, Any]) -> str:
    """Of a row of the summary, for how many seeds its numbers are those of the task's default, and
    why; empty if for none."""
    held, complete = row["seeds_at_default"], row["seeds_complete"]
    if not held:
        return ""
    seeds = "" if held == complete else f" for {held} of {plural(complete, 'seed')}"
    untrained = row["seeds_untrained"] == held
    why = "nothing trained in full" if untrained else "no full training succeeded"
    return f"the default{seeds}: {why}"


def stem_of(name: str, flat: Mapping[str, Any]) -> str:
    """The vector that a name of a flat configuration is of (name_0, name_1, …), else the name."""
    stem, _, index = name.rpartition("_")
    return stem if stem and index.isdigit() and f"{stem}_0" in flat else name


def configuration(flat: dict[str, Any]) -> str:
    """A flat configuration on one line; a vector of equal values is written once."""
    return ", ".join(f"{name} = {value}" for name, value in _vectors(flat))


def _vectors(flat: dict[str, Any]) -> list[tuple[str, str]]:
    """Names with their values, those of a vector (name_0, name_1, …) together."""
    groups: dict[str, list[Any]] = {}
    for name, value in flat.items():
        groups.setdefault(stem_of(name, flat), []).append(value)
    return [(name, _values(values)) for name, values in groups.items()]


def _values(values: list[Any]) -> str:
    texts = [
        f"{v:.4g}" if isinstance(v, (int, float)) and v is not True and v is not False else str(v)
        for v in values
    ]
    if len(texts) == 1:
        return texts[0]
    return f"{len(texts)} × {texts[0]}" if len(set(texts)) == 1 else f"({', '.join(texts)})"
