"""Two things timed side by side: interleaved in one process, compared by the ratio of each pair.

Where HPOBENCH_CPU_TIME is set, seconds are the process's own, not the wall clock's.
"""

from __future__ import annotations

import gc
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import binom


@dataclass(frozen=True)
class Row:
    """One measured figure with its 95 % interval, and the target that it has, if any."""

    what: str
    setting: str
    value: float
    low: float
    high: float
    pairs: int
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """A target is met when the interval reaches it."""
        if self.target is None:
            return None
        return self.high >= self.target if self.at_least else self.low <= self.target


CLOCK = time.process_time if os.environ.get("HPOBENCH_CPU_TIME") else time.perf_counter
"""Of a machine that is busy with other work, the processor's time says more than a wall clock."""


def seconds(work: Callable[[], object]) -> float:
    """What a piece of work takes, by `CLOCK`; a GPU has done nothing else meanwhile."""
    wait()
    began = CLOCK()
    work()
    wait()
    return CLOCK() - began


def wait() -> None:
    """Return when the GPU, where there is one, has done all work that it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def rounds(subjects: Mapping[str, Callable[[], object]], count: int) -> dict[str, np.ndarray]:
    """Seconds of each subject in each round, (count,): all in turn, in an order that rotates."""
    for work in subjects.values():
        work()  # libraries are loaded, memory is there
    return warm_rounds(subjects, count)


def warm_rounds(
    subjects: Mapping[str, Callable[[], object]], count: int, longest: float = math.inf
) -> dict[str, np.ndarray]:
    """`rounds` of subjects that have run before.

    No round begins after ``longest`` seconds, but there is at least one.
    """
    names = list(subjects)
    end = time.perf_counter() + longest
    measured: dict[str, list[float]] = {name: [] for name in names}
    for i in range(count):
        if i and time.perf_counter() > end:
            break
        turn = i % len(names)
        for name in (*names[turn:], *names[:turn]):
            gc.collect()
            measured[name].append(seconds(subjects[name]))
    return {name: np.array(values) for name, values in measured.items()}


def ratios(first: Callable[[], object], second: Callable[[], object], pairs: int) -> np.ndarray:
    """seconds(first) / seconds(second) of each pair, (pairs,)."""
    measured = rounds({"first": first, "second": second}, pairs)
    return measured["first"] / measured["second"]


def median_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """The median, and the order statistics that hold it with at least 95 % confidence."""
    ordered = np.sort(np.asarray(values, dtype=float))
    n = len(ordered)
    rank = int(binom.ppf(0.025, n, 0.5))
    return (
        float(np.median(ordered)),
        float(ordered[max(rank - 1, 0)]),
        float(ordered[min(n - rank, n - 1)]),
    )


def row(
    what: str,
    setting: str,
    values: np.ndarray,
    unit: str,
    target: float | None = None,
    at_least: bool = False,
) -> Row:
    median, low, high = median_interval(values)
    return Row(what, setting, median, low, high, len(values), unit, target, at_least)


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| what | setting | median | 95 % interval | pairs | target | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in rows:
        sign = "" if r.target is None else f"{'≥' if r.at_least else '≤'} {r.target:g}"
        met = {None: "", True: "yes", False: "no"}[r.met]
        value, interval, pairs = figures(r)
        lines.append(
            f"| {r.what} | {r.setting} | {value} | {interval} | {pairs} | {sign} | {met} |"
        )
    return "\n".join(lines)


def figures(row: Row) -> tuple[str, str, str]:
    """A row's median, its interval and the number of pairs, in words."""
    value, low, high = map(_number, (row.value, row.low, row.high))
    interval = f"{low} … {high}" if row.pairs > 5 else "–"  # of fewer, no interval has 95 %
    return f"{value} {row.unit}", interval, str(row.pairs or "–")


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def processor() -> str:
    """Its name."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return name


def machine() -> str:
    """The processor and the versions, in one line."""
    name = processor()
    if torch.cuda.is_available():
        name += f", {torch.cuda.get_device_name()}"
    threads, python = torch.get_num_threads(), platform.python_version()
    return f"{name}, {threads} thread(s), torch {torch.__version__}, Python {python}"


def report(rows: Callable[..., Iterable[Row]]) -> None:
    """Prints each row as it comes, then the table; on one thread.

    ``rows`` gets the command line's arguments, as whole numbers.
    """
    torch.set_num_threads(1)
    print(machine())
    measured = []
    for each in rows(*map(int, sys.argv[1:])):
        print(each, flush=True)
        measured.append(each)
    print(table(measured))
