"""What online hypergradients cost: a full training step over the same with torch's own optimizer.

    python benchmarks/online.py [PAIRS]

A training step is forward, backward and optimizer step on one thread; the other side of each pair
is `torch.optim.SGD` or `torch.optim.Adam` with foreach=True. Blocks of at least 50 ms of steps
alternate in one process, in alternating order, and are timed by the process's CPU time, so that
other programs' turns do not count; on a GPU, by the wall clock, once it has done them. The ratio is
the median over the pairs, with a 95 % interval of that median (order statistics).

The floors are the same training steps written by hand, without an optimizer class: torch's foreach
(or fused) operations for the update, and the inner products of the gradient with what made the last
move, for a hypergradient of SGD's learning rate and of Adam's three hyperparameters. The last
gradient is kept as it is, or copied (as it must be where gradients are zeroed, not set to None).

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
from timing import Row, report, row, wait
from torch import Tensor, nn

from searchers.online import SGD, SGDHD, Adam, AdamHD, Tower

BLOCK_SECONDS = 0.05
PAIRS = 21
CPU = torch.device("cpu")
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

    def __init__(self, widths: Sequence[int], batch: int, device: torch.device = CPU):
        self.widths, self.device = widths, device
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(batch, widths[0], generator=generator).to(device)
        self.labels = torch.randint(widths[-1], (batch,), generator=generator).to(device)

    def net(self) -> nn.Sequential:
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(self.widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers[:-1]).to(self.device)

    def loss(self, net: Callable[[Tensor], Tensor]) -> Tensor:
        return nn.functional.cross_entropy(net(self.inputs), self.labels)

    def gradients(self, net: nn.Sequential) -> list[Tensor]:
        """New gradients of the loss, in place of those that the net has."""
        params = list(net.parameters())
        for p in params:
            p.grad = None
        self.loss(net).backward()
        return [p.grad for p in params if p.grad is not None]

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


def sgd_by_hand(task: Task, inner: bool, copying: bool = False) -> Step:
    """SGD, after the inner product of the gradient with the last one."""
    net = task.net()
    params: list[Tensor] = list(net.parameters())
    kept = [torch.zeros_like(p) for p in params]
    rate = LR

    def one() -> None:
        nonlocal kept, rate
        gradients = task.gradients(net)
        if inner:
            rate += 1e-9 * sum(_numbers(list(map(_dot, gradients, kept))))
        with torch.no_grad():
            torch._foreach_add_(params, gradients, alpha=-rate)
        if copying:
            torch._foreach_copy_(kept, gradients)
        elif inner:
            kept = gradients

    return one


def adam_by_hand(task: Task) -> Step:
    """Adam (torch's fused step), after the inner products for alpha, beta1 and beta2.

    Of the last step it keeps the gradient g, the mean m and the square s alone. With D = √s + eps
    and u the new gradient, the inner products are those of u / D with m, g and m (s − g²) / (√s D)
    but for bias corrections.
    """
    net = task.net()
    params: list[Tensor] = list(net.parameters())
    kept, means, squares = ([torch.zeros_like(p) for p in params] for _ in range(3))
    scratch = [[torch.zeros_like(p) for p in params] for _ in range(3)]
    step = torch.zeros((), device=task.device)

    def one() -> None:
        nonlocal kept
        gradients = task.gradients(net)
        dots = []
        with torch.no_grad():
            for u, g, m, s, root, whole, by_beta2 in zip(
                gradients, kept, means, squares, *scratch, strict=True
            ):
                torch.sqrt(s, out=root).add_(1e-30)
                torch.add(root, 1e-8, out=whole)
                torch.addcmul(s, g, g, value=-1.0, out=by_beta2).div_(root).div_(whole)
                quotient = torch.div(u, whole, out=whole)
                dots += [_dot(quotient, g), _dot(quotient, m)]
                dots.append(_dot(quotient.mul_(m), by_beta2))
            _numbers(dots)
            step.add_(1.0)
            torch._fused_adam_(
                params,
                gradients,
                means,
                squares,
                [],
                [step] * len(params),
                lr=LR,
                beta1=0.9,
                beta2=0.999,
                weight_decay=0.0,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )
        kept = gradients

    return one


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return torch.dot(x.view(-1), y.view(-1))


def _numbers(dots: list[Tensor]) -> list[float]:
    """A GPU is waited for once."""
    return [dot.item() for dot in dots] if dots[0].is_cpu else torch.stack(dots).tolist()


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
    for what, step, torchs in (
        ("SGD", sgd_by_hand(task, inner=False), torch_sgd),
        ("SGD, an inner product", sgd_by_hand(task, inner=True), torch_sgd),
        ("SGD, an inner product, a copy", sgd_by_hand(task, True, copying=True), torch_sgd),
        ("Adam over alpha, beta1, beta2", adam_by_hand(task), torch_adam),
    ):
        yield f"by hand: {what}", step, task.step(torchs), None
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


def rows(pairs: int = PAIRS, device: torch.device = CPU) -> Iterator[Row]:
    """Every figure, as it comes."""
    for setting, (widths, batch) in NETS.items():
        for what, ours, theirs, target in contests(Task(widths, batch, device)):
            found = np.array(interleaved(ours, theirs, pairs, device))
            yield row(what, setting, found, "× torch's step", target)


def interleaved(ours: Step, theirs: Step, pairs: int, device: torch.device = CPU) -> list[float]:
    """Ratios of the times of equally many steps, one ratio a pair."""
    for step in (ours, theirs):
        seconds(step, 10, device)
    fastest = min(seconds(step, 10, device) / 10 for step in (ours, theirs))
    steps = 1 + int(BLOCK_SECONDS / fastest)
    ratios = []
    for pair in range(pairs):
        order = (ours, theirs) if pair % 2 else (theirs, ours)
        taken = {step: seconds(step, steps, device) for step in order}
        ratios.append(taken[ours] / taken[theirs])
    return ratios


def seconds(step: Step, count: int, device: torch.device = CPU) -> float:
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    wait()
    began = clock()
    for _ in range(count):
        step()
    wait()
    return clock() - began


def _original(variable: str, folder: str, name: str) -> Any:
    """A public original's module, if the environment variable names its checkout."""
    if variable not in os.environ:
        return None
    sys.path.insert(0, str(Path(os.environ[variable]) / folder))
    return importlib.import_module(name)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning)
    report(rows)
