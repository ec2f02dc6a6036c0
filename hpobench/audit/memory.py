"""The memory that an engine takes, measured as the growth of a process's peak.

On a CPU each point has a process of its own, forked from one that has only loaded the libraries:
in a process that has worked before, memory it once had is used again and would not be seen.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import torch

from hpobench.audit.problems import cost_problem, cost_schedule
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.training import start, train
from trainables.network import NetworkProblem

Point = tuple[Engine | None, int, int]
"""An engine (None: plain training), a horizon in steps, and how many windows."""

MEBIBYTE = 2**20
WARM_UP = 2
"""Steps of a first run, which loads what only a first one has to load."""
RESIDENT, ALLOCATED = "resident memory of the process", "memory allocated on the GPU"
CHILD = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer);"
    "from hpobench.audit.memory import serve; serve()"
)


def work(problem: NetworkProblem, point: Point) -> str:
    """Carry out a point; what did it, in the engine's own words."""
    engine, horizon, windows = point
    along, draw = cost_schedule(horizon, windows), problem.draw(0)
    if engine is None:
        train(problem, draw, along, start(draw, along.rule), range(horizon))
        return ""
    return engine.hypergradient(problem, draw, along).engine


def peaks(points: Sequence[Point], device: torch.device) -> list[float]:
    """How much the peak of memory grows at each point, MiB; NaN where it cannot be measured."""
    if device.type == "cuda":
        return [_allocated(point, device) for point in points]
    if not hasattr(os, "fork"):
        return [float("nan")] * len(points)
    request = pickle.dumps(sys.path) + pickle.dumps(list(points))
    process = [sys.executable, "-c", CHILD]
    answer = subprocess.run(process, input=request, capture_output=True, check=False)
    lines = answer.stdout.splitlines()
    found = [float(json.loads(line)) for line in lines]
    return found + [float("nan")] * (len(points) - len(found))


def serve() -> None:
    """Answer, in the other process, each point of the standard input with a line."""
    torch.set_num_threads(1)
    problem = cost_problem(torch.device("cpu"))
    for point in pickle.load(sys.stdin.buffer):
        print(json.dumps(_in_a_fork(problem, point)), flush=True)


def _in_a_fork(problem: NetworkProblem, point: Point) -> float:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, json.dumps(_grown(problem, point)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return float(json.loads(said)) if said else float("nan")


def _grown(problem: NetworkProblem, point: Point) -> float:
    work(problem, (point[0], WARM_UP, 1))
    before = _peak()
    work(problem, point)
    return (_peak() - before) / MEBIBYTE


def _peak() -> int:
    """The largest resident memory of this process so far, bytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _allocated(point: Point, device: torch.device) -> float:
    problem: Any = cost_problem(device)
    work(problem, point)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work(problem, point)
    return (torch.cuda.max_memory_allocated(device) - before) / MEBIBYTE
