"""What engines cost, in steps of plain training and in memory: over the horizon, and over the
number of hyperparameters."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import torch

from hpobench.audit.memory import ALLOCATED, RESIDENT, WARM_UP, Point, peaks, work
from hpobench.audit.problems import cost_problem
from hpobench.audit.rows import Cost, taken_by, trouble
from searchers.hypergradients.engines import Engine
from searchers.stopwatch import wait_for
from trainables.network import NetworkProblem

HORIZONS, WINDOWS = (16, 64, 256), (1, 7, 20, 50)
HORIZON, USUAL = 64, 7
"""The horizon at which windows are counted, and the number of windows at which horizons are."""

FEWEST, MOST, SECONDS = 3, 15, 0.3
"""Pairs of measurements: at least, at most, and for how long they go on."""

PLAIN = "plain training"


def sizes() -> list[tuple[int, int]]:
    """What is measured: horizon and windows."""
    shapes = [(horizon, USUAL) for horizon in HORIZONS]
    return shapes + [(HORIZON, windows) for windows in WINDOWS if windows != USUAL]


def cost(engines: Sequence[tuple[str, Engine]], device: torch.device) -> Iterator[Cost]:
    """Every engine, by its label, at every size, and plain training for comparison."""
    candidates: list[tuple[str, Engine | None]] = [(PLAIN, None), *engines]
    points: list[tuple[str, Point]] = [
        (label, (engine, *size)) for label, engine in candidates for size in sizes()
    ]
    kind = ALLOCATED if device.type == "cuda" else RESIDENT
    problem = cost_problem(device)
    with ThreadPoolExecutor(1) as aside:  # another process, which CPU time does not count
        grown = aside.submit(peaks, [point for _, point in points], device)
        if device.type == "cuda":  # this process's own memory
            wait([grown])
        rows = []
        for label, point in points:
            row = Cost(label, *point[1:], 1.0, 1.0, 1.0, 0, math.nan, kind)
            rows.append(row if point[0] is None else timed(row, problem, point))
        for row, mebibytes in zip(rows, grown.result(), strict=True):
            yield replace(row, mebibytes=mebibytes)


def timed(row: Cost, problem: NetworkProblem, point: Point) -> Cost:
    """The row with its times, or with why there are none."""
    try:
        found, words = ratios(problem, point)
    except (Exception, SystemExit) as error:  # a user's engine may do anything
        why = trouble(error)
        timeless = replace(row, steps=math.nan, lowest=math.nan, highest=math.nan)
        return replace(timeless, note=why.note, refused=why.refused)
    middle, ends = statistics.median(found), (min(found), max(found))
    taken = "" if point[0] is None else taken_by(point[0].name, words)
    timed = replace(row, steps=middle, lowest=ends[0], highest=ends[1], pairs=len(found))
    return replace(timed, taken=taken)


def ratios(problem: NetworkProblem, point: Point) -> tuple[list[float], str]:
    """Time of an engine over that of plain training for as many steps, measured in turn.

    And what computed it, in the engine's own words.
    """
    plain: Point = (None, *point[1:])
    work(problem, (point[0], WARM_UP, 1))
    found: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(found) < FEWEST or (len(found) < MOST and time.perf_counter() < end):
        below, _ = _seconds(lambda: work(problem, plain), problem.device)
        own, words = _seconds(lambda: work(problem, point), problem.device)
        found.append(own / below)
    return found, words


def _seconds(run: Callable[[], str], device: torch.device) -> tuple[float, str]:
    """Of CPU time, which other processes do not lengthen; on a GPU, of wall-clock. Its result."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    wait_for(device)  # what it was given before is not this run's
    began = clock()
    words = run()
    wait_for(device)
    return clock() - began, words
