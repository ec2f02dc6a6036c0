"""What a hypergradient costs: each engine against plain training and against polo5/FDS.

    python benchmarks/engines.py [PAIRS]

Everything is interleaved in one process, on one thread: K learning rates, one momentum and one
weight decay of SGD, on LeNet (batch 128) and WRN-16-1 (batch 32), unclamped, random images. "Steps
a step" are seconds over those of plain training (`torch.nn.Module`, `torch.optim.SGD`) for as many
steps. Where HPOBENCH_FDS names a checkout of github.com/polo5/FDS (it needs `six`), its own inner
loop is timed too, and two short ways to forward mode's products beside the engine's own:

- *jvp and vmap*: `torch.func`'s forward over reverse, vectorised over at most 9 tangents (on LeNet,
  more at once are slower). It cannot go through the written-out batch normalisation.
- *double backward*: one more backward pass for each tangent.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from timing import Row, ratios, report, rounds, row
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from searchers.hypergradients import forward
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Binomial, Checkpointed, Graphs, Stored
from searchers.hypergradients.schedules import Schedule, schedule
from searchers.hypergradients.tangents.products import OneByOne, Products
from searchers.hypergradients.training import clone
from searchers.protocols import Brief
from searchers.space import Float, Space, Vector
from trainables.models import wrn_16_1
from trainables.network import Examples, NetworkProblem
from trainables.torchvision_import import torchvision_datasets

CPU = torch.device("cpu")
RATE, MOMENTUM, DECAY = 0.01, 0.9, 1e-4


def lenet(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The original's LeNet: no padding, so 44,426 weights on 28 × 28 images."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, classes),
    )


@dataclass(frozen=True)
class Setting:
    """A network, its images, how long a training is, and where."""

    name: str
    model: Callable[[tuple[int, int, int], int], nn.Module]
    original: tuple[str, str]
    shape: tuple[int, int, int]
    batch_size: int
    steps: int
    device: torch.device = CPU

    @cached_property
    def problem(self) -> NetworkProblem:
        def images(count: int, seed: int) -> Examples:
            stream = torch.Generator().manual_seed(seed)
            inputs = torch.randn(count, *self.shape, generator=stream)
            return Examples(inputs, torch.randint(10, (count,), generator=stream))

        return NetworkProblem(
            partial(self.model, self.shape, 10),
            images(self.steps * self.batch_size, 0),
            images(self.batch_size, 1),
            batch_size=self.batch_size,
            seed=0,
            device=self.device,
        )

    @cached_property
    def batches(self) -> list[tuple[Tensor, Tensor]]:
        draw = self.problem.draw(0)
        return [(b.inputs, b.labels) for b in map(draw.batch, range(self.steps))]

    def along(self, windows: int) -> Schedule:
        space = Space(
            {
                "learning_rate": Vector(windows, Float(0.0, 1.0)),
                "momentum": Float(0.0, 1.0),
                "weight_decay": Float(0.0, 1.0),
            }
        )
        flat = space.flatten(
            {"learning_rate": (RATE,) * windows, "momentum": MOMENTUM, "weight_decay": DECAY}
        )
        return schedule(Brief(space, (flat,), flat, (1,), True, 0), self.problem, flat, 1)

    def plain(self) -> None:
        """Plain training, as anyone would write it."""
        torch.manual_seed(0)
        model = self.model(self.shape, 10).to(self.device)
        optimizer = torch.optim.SGD(
            model.parameters(), RATE, MOMENTUM, weight_decay=DECAY, foreach=True
        )
        for inputs, labels in self.batches:
            optimizer.zero_grad()
            cross_entropy(model(inputs), labels).backward()
            optimizer.step()

    def ours(self, engine: Engine, windows: int) -> Callable[[], object]:
        along = self.along(windows)
        return lambda: engine.hypergradient(self.problem, self.problem.draw(0), along)


LENET = Setting("LeNet, B=128", lenet, ("MNIST", "LeNet"), (1, 28, 28), 128, 20)
LENET_50 = replace(LENET, steps=50)
WRN = Setting("WRN-16-1, B=32", wrn_16_1, ("CIFAR10", "WRN-16-1"), (3, 32, 32), 32, 14)


def original(checkout: str, setting: Setting, windows: int) -> Callable[[], object]:
    """polo5/FDS's own inner loop and validation gradient on the same batches, unclamped."""
    if checkout not in sys.path:
        sys.path.insert(0, checkout)
    torchvision_datasets()  # declares what a torchvision for another torch needs to be imported
    import main as fds  # type: ignore[import-not-found]

    (dataset, architecture), device = setting.original, setting.device
    learner: Any = fds.MetaLearner.__new__(fds.MetaLearner)
    learner.args = SimpleNamespace(
        dataset=dataset, architecture=architecture, init_type="default", init_param=1,
        n_lrs=windows, n_moms=1, n_wds=1, learn_lr=True, learn_mom=True, learn_wd=True,
        pruning_ratio=0, clamp_grads=False, clamp_HZ=False, device=device,
    )  # fmt: skip
    learner.inner_lrs = torch.full((windows,), RATE, device=device)
    learner.inner_moms = torch.tensor([MOMENTUM], device=device)
    learner.inner_wds = torch.tensor([DECAY], device=device)
    learner.cross_entropy = nn.CrossEntropyLoss()
    learner.train_loader = setting.batches
    learner.n_inner_epochs_for_this_outer_step = 1
    learner.n_batches_per_epoch = setting.steps
    learner.n_total_batches_for_this_outer_step = setting.steps
    validation = setting.problem.validation_examples

    def run() -> list[Tensor]:
        with contextlib.redirect_stdout(io.StringIO()):
            tangents = learner.inner_loop()
        logits = learner.classifier.forward_with_param(validation.inputs, learner.weights)
        loss = learner.cross_entropy(logits, validation.labels)
        (slope,) = torch.autograd.grad(loss, learner.weights)
        return [slope @ tangent for tangent in tangents]

    return run


AT_ONCE = 9


def jvp_and_vmap(
    loss: Any, inputs: Sequence[Tensor], tangents: Sequence[Tensor | None]
) -> tuple[Tensor, Tensor]:
    """Forward mode's products, as short as `torch.func` allows: see `Products`, and the top."""

    def value(vector: Tensor) -> tuple[Tensor, Any]:
        buffers = clone(loss.buffers)  # a transform lets nothing be written that came from outside
        return replace(loss, buffers=buffers)(vector), buffers

    def along(direction: Tensor) -> Any:
        slope = torch.func.grad(value, has_aux=True)
        return torch.func.jvp(slope, (inputs[0],), (direction,), has_aux=True)

    out_dims: Any = None, 0, None  # one gradient, K changes, one set of buffers
    products = torch.func.vmap(along, out_dims=out_dims, randomness="same")
    directions = tangents[0]
    assert directions is not None
    changes = []
    for part in directions.tensor_split(-(-len(directions) // AT_ONCE)):
        gradient, change, buffers = products(part)
        changes.append(change)
    for name, buffer in buffers.items():
        loss.buffers[name].copy_(buffer)
    return gradient, torch.cat(changes)


SHORT: dict[str, Products] = {"jvp and vmap": jvp_and_vmap, "double backward": OneByOne()}


def forward_by(products: Products, setting: Setting, windows: int) -> Callable[[], object]:
    """Forward mode that takes these products without a probe."""
    work = setting.ours(Forward(), windows)

    def run() -> object:
        with mock.patch.object(forward, "fastest", return_value=products):
            return work()

    return run


ENGINES: tuple[Engine, ...] = (Graphs(), Stored(), Checkpointed(), Binomial(), Forward())


def rows(pairs: int = 15) -> Iterator[Row]:
    """Every figure, as it comes."""
    targets = {"stored": 4.6, "checkpointed": 4.8}
    for setting in (LENET, WRN):
        subjects = {engine.name: setting.ours(engine, 7) for engine in ENGINES}
        seconds = rounds({"plain": setting.plain, **subjects}, pairs)
        for name in subjects:
            ratio = seconds[name] / seconds["plain"]
            yield row(name, f"{setting.name}, K=7", ratio, "steps a step", targets.get(name))
    for engine in (Graphs(), Stored()):
        many = ratios(LENET_50.ours(engine, 50), LENET_50.ours(engine, 1), pairs)
        yield row(engine.name, f"{LENET.name}, cost at K=50 over K=1", many, "×", 1.1)
    checkout = os.environ.get("HPOBENCH_FDS")
    if checkout:
        yield from against_the_original(checkout, pairs)


def against_the_original(checkout: str, pairs: int) -> Iterator[Row]:
    targets = {(LENET, 1): None, (LENET, 7): 3.5, (LENET, 20): 6.5, (LENET_50, 50): 13.0}
    for (setting, windows), target in {**targets, (WRN, 7): 3.0}.items():
        engines: list[Engine] = [Graphs(), Stored(), Forward()]
        subjects = {engine.name: setting.ours(engine, windows) for engine in engines}
        for name, products in SHORT.items():
            if setting is not WRN or name != "jvp and vmap":
                subjects[f"forward by {name}"] = forward_by(products, setting, windows)
        theirs = original(checkout, setting, windows)
        seconds = rounds({"theirs": theirs, **subjects}, pairs)
        least = {"graphs": target, "stored": target}
        if setting is not WRN and windows >= 7:
            least["forward"] = 2.0
        for name in subjects:
            ratio = seconds["theirs"] / seconds[name]
            where = f"{setting.name}, K={windows}"
            yield row(f"{name} over polo5/FDS", where, ratio, "× as fast", least.get(name), True)


if __name__ == "__main__":
    report(rows)
