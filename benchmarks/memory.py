"""What a hypergradient takes in memory: the growth of a process's peak, engine by engine.

    python benchmarks/memory.py [PAIRS]

Each measurement is a fresh fork of a process that has only loaded the libraries: one that has
worked before would use again what it once had. It differs from fork to fork by what the allocator
can fit where. LeNet, batch 128; where HPOBENCH_FDS names a checkout of polo5/FDS, its inner loop
too, in turn with ours.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from engines import LENET, Setting, forward_by, jvp_and_vmap, original
from timing import Row, report, row

from searchers.hypergradients.engines import Engine
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Binomial, Checkpointed, Graphs, Stored

Make = Callable[[Setting, int], Callable[[], object]]

WARM_UP = replace(LENET, steps=2)


def rows(pairs: int = 15) -> Iterator[Row]:
    """Every figure, as it comes."""
    for engine in (Graphs(), Stored(), Checkpointed(), Binomial()):
        for steps in (20, 80, 320):
            ours = np.array([grown(_ours(engine), 7, steps) for _ in range(3)])
            yield row(engine.name, f"LeNet, B=128, K=7, T={steps}", ours, "MiB")
    checkout = os.environ.get("HPOBENCH_FDS")
    ways: dict[str, Make] = {
        "forward": _ours(Forward()),
        "forward by jvp and vmap": partial(forward_by, jvp_and_vmap),
    }
    makes = dict(ways)
    if checkout:
        makes["polo5/FDS"] = partial(original, checkout)
    for windows in (7, 20, 50):
        where = f"LeNet, B=128, K={windows}, T=50"
        rounds = [{name: grown(makes[name], windows, 50) for name in makes} for _ in range(pairs)]
        growth = {name: np.array([each[name] for each in rounds]) for name in makes}
        for name, values in growth.items():
            yield row(name, where, values, "MiB")
        for name in ways if checkout else ():
            ratio = growth[name] / growth["polo5/FDS"]
            target = 1.5 if name == "forward" else None
            yield row(f"{name} over polo5/FDS", where, ratio, "×", target)


def _ours(engine: Engine) -> Make:
    return lambda setting, windows: setting.ours(engine, windows)


def grown(make: Make, windows: int, steps: int) -> float:
    """MiB by which the peak of resident memory grows, in a fork of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            make(WARM_UP, 1)()
            work = make(replace(LENET, steps=steps), windows)
            before = _peak()
            work()
            os.write(writing, str((_peak() - before) / 1024).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        growth = pipe.read()
    os.waitpid(child, 0)
    return float(growth)


def _peak() -> int:
    """KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    report(rows)
