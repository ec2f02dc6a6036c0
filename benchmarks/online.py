"""What online hypergradients cost: a full training step over the same with torch's own optimizer.

    python benchmarks/online.py [PAIRS]

A training step is forward, backward and optimizer step on one thread; the other side of each pair
is `torch.optim.SGD` or `torch.optim.Adam` with foreach=True. Blocks of at least 50 ms of steps
alternate in one process, in alternating order, and are timed by the process's CPU time, so that
other programs' turns do not count. The ratio is the median over the pairs, with a 95 % interval of
that median (order statistics).

The floor: what any hypergradient of SGD's learning rate needs on top of torch's step is an inner
product with the last direction (and a copy of the gradient, where it cannot be kept). Where memory
is slow compared to the net's arithmetic, this pass alone is above a target of 1.03.

With HPOBENCH_GDTUO and HPOBENCH_BAYDIN naming checkouts of the originals
(kach/gradient-descent-the-ultimate-optimizer, gbaydin/hypergradient-descent) they are measured too.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import Row, machine, row, table
from torch import Tensor, nn

from searchers.online import SGD, SGDHD, Adam, AdamHD, Tower

BLOCK_SECONDS = 0.05
PAIRS = 21
NETS = {
    "784-128-10, B=256": ((784, 128, 10), 256),
    "784-512-512-10, B=128": ((784, 512, 512, 10), 128),
}
EVERYTHING = ("lr", "beta1", "beta2")
LR = 1e-5

Step = Callable[[], None]
Make = Callable[[Any], torch.optim.Optimizer]


class Task:
    """A net, a batch, and the training steps that different optimizers make of them."""

    def __init__(self, widths: Sequence[int], batch: int):
        self.widths = widths
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(batch, widths[0], generator=generator)
        self.labels = torch.randint(widths[-1], (batch,), generator=generator)

    def net(self) -> nn.Sequential:
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(self.widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def loss(self, net: Callable[[Tensor], Tensor]) -> Tensor:
        return nn.functional.cross_entropy(net(self.inputs), self.labels)

    def step(self, make: Make) -> Step:
        net = self.net()
        optimizer = make(net.parameters())

        def one() -> None:
            optimizer.zero_grad()
            self.loss(net).backward()
            optimizer.step()

        return one

    def gdtuo_step(self, gdtuo: Any, optimizer: Any) -> Step:
        """As the package's own examples train."""
        wrapper = gdtuo.ModuleWrapper(self.net(), optimizer=optimizer)
        wrapper.initialize()

        def one() -> None:
            wrapper.begin()
            loss = self.loss(wrapper.forward)
            wrapper.zero_grad()
            loss.backward(create_graph=True)
            wrapper.step()

        return one


def floor_step(task: Task, copying: bool) -> Step:
    """torch's SGD step after an inner product with stored tensors, and with a copy to them."""
    net = task.net()
    params = list(net.parameters())
    optimizer = torch_sgd(params)
    kept = [torch.zeros_like(p) for p in params]

    def one() -> None:
        optimizer.zero_grad()
        task.loss(net).backward()
        gradients = [p.grad for p in params if p.grad is not None]
        for gradient, last in zip(gradients, kept, strict=True):
            torch.dot(gradient.view(-1), last.view(-1)).item()
        if copying:
            torch._foreach_copy_(kept, gradients)
        optimizer.step()

    return one


def torch_sgd(params: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, LR, foreach=True)


def torch_adam(params: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, LR, foreach=True)


def tall(height: int) -> Make:
    return lambda params: Tower(params, [SGD(LR)] + [SGD(1e-9)] * (height - 1))


OURS: list[tuple[str, Make, Make, float | None]] = [
    ("tower of one level (plain SGD)", lambda p: Tower(p, [SGD(LR)]), torch_sgd, None),
    ("SGD-HD", lambda p: SGDHD(p, LR, 1e-9), torch_sgd, 1.03),
    ("SGD-HD, multiplicative", lambda p: SGDHD(p, LR, 1e-9, multiplicative=True), torch_sgd, 1.03),
    *[(f"tower of SGD, height {h}", tall(h), torch_sgd, 1.03) for h in (3, 5, 10)],
    ("Adam-HD", lambda p: AdamHD(p, LR, 1e-9), torch_adam, 1.03),
    ("Adam over alpha / SGD", lambda p: Tower(p, [Adam(LR), SGD(1e-9)]), torch_adam, 1.03),
    (
        "Adam over alpha, beta1, beta2 / SGD",
        lambda p: Tower(p, [Adam(LR, learned=EVERYTHING), SGD(1e-9)]),
        torch_adam,
        1.3,
    ),
]
"""What, how it is made, torch's own, and the target."""


def contests(task: Task) -> Iterator[tuple[str, Step, Step, float | None]]:
    """What, its training step, torch's, and the target."""
    yield "floor: an inner product", floor_step(task, False), task.step(torch_sgd), None
    yield "floor: an inner product, a copy", floor_step(task, True), task.step(torch_sgd), None
    for what, ours, theirs, target in OURS:
        yield what, task.step(ours), task.step(theirs), target
    gdtuo = _original("HPOBENCH_GDTUO", "src", "gradient_descent_the_ultimate_optimizer.gdtuo")
    if gdtuo:
        stacks = (
            ("SGD / SGD", gdtuo.SGD, torch_sgd),
            ("Adam over alpha / SGD", gdtuo.AdamBaydin, torch_adam),
            ("Adam over alpha, beta1, beta2 / SGD", gdtuo.Adam, torch_adam),
        )
        for name, base, torchs in stacks:
            stack = base(LR, optimizer=gdtuo.SGD(1e-9))
            yield f"gdtuo: {name}", task.gdtuo_step(gdtuo, stack), task.step(torchs), None
    hypergrad = _original("HPOBENCH_BAYDIN", ".", "hypergrad")
    if hypergrad:
        for kind, torchs in ((hypergrad.SGDHD, torch_sgd), (hypergrad.AdamHD, torch_adam)):
            step = task.step(functools.partial(kind, lr=LR, hypergrad_lr=1e-9))
            yield f"gbaydin: {kind.__name__}", step, task.step(torchs), None


def rows(pairs: int = PAIRS) -> Iterator[Row]:
    """Every figure, as it comes."""
    for setting, (widths, batch) in NETS.items():
        for what, ours, theirs, target in contests(Task(widths, batch)):
            found = np.array(interleaved(ours, theirs, pairs))
            yield row(what, setting, found, "× torch's step", target)


def interleaved(ours: Step, theirs: Step, pairs: int) -> list[float]:
    """Ratios of the times of equally many steps, one ratio a pair."""
    for step in (ours, theirs):
        seconds(step, 10)
    steps = 1 + int(BLOCK_SECONDS / min(seconds(step, 10) / 10 for step in (ours, theirs)))
    ratios = []
    for pair in range(pairs):
        order = (ours, theirs) if pair % 2 else (theirs, ours)
        taken = {step: seconds(step, steps) for step in order}
        ratios.append(taken[ours] / taken[theirs])
    return ratios


def seconds(step: Step, count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        step()
    return time.process_time() - began


def _original(variable: str, folder: str, name: str) -> Any:
    """A public original's module, if the environment variable names its checkout."""
    if variable not in os.environ:
        return None
    sys.path.insert(0, str(Path(os.environ[variable]) / folder))
    return importlib.import_module(name)


def main() -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=UserWarning)
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    print(machine())
    found = []
    for each in rows(pairs):
        print(each, flush=True)
        found.append(each)
    print(table(found))


if __name__ == "__main__":
    main()
