"""What a hypergradient takes in memory: the growth of a process's peak, engine by engine.

    python benchmarks/memory.py

Each point is a fresh fork of a process that has only loaded the libraries: one that has worked
before would use again what it once had. LeNet, batch 128; where HPOBENCH_FDS names a checkout of
polo5/FDS, its inner loop too.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from engines import LENET, Setting, original
from timing import Row, machine, table

from searchers.hypergradients.engines import Engine
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Binomial, Checkpointed, Graphs, Stored

Make = Callable[[Setting, int], Callable[[], object]]

WARM_UP = replace(LENET, steps=2)


def rows() -> Iterator[Row]:
    """Every figure, as it comes."""
    for engine in (Graphs(), Stored(), Checkpointed(), Binomial()):
        for steps in (20, 80, 320):
            yield _row(engine.name, f"K=7, T={steps}", grown(_ours(engine), 7, steps))
    checkout = os.environ.get("HPOBENCH_FDS")
    for windows in (7, 20, 50):
        ours = grown(_ours(Forward()), windows, 50)
        yield _row("forward", f"K={windows}, T=50", ours)
        if checkout:
            theirs = grown(lambda s, k: original(checkout, s, k), windows, 50)
            yield _row("polo5/FDS", f"K={windows}, T=50", theirs)
            ratio = ours / theirs
            what = "forward over polo5/FDS"
            yield Row(what, f"K={windows}, T=50", ratio, ratio, ratio, 1, "×", 1.5)


def _ours(engine: Engine) -> Make:
    return lambda setting, windows: setting.ours(engine, windows)


def _row(what: str, setting: str, value: float) -> Row:
    return Row(what, f"LeNet, B=128, {setting}", value, value, value, 1, "MiB")


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
        said = pipe.read()
    os.waitpid(child, 0)
    return float(said)


def _peak() -> int:
    """KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    found = []
    for each in rows():
        print(each, flush=True)
        found.append(each)
    print(table(found))


if __name__ == "__main__":
    main()
