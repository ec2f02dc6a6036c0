"""The same trajectories as the authors' own code, where a checkout is at hand.

HPOBENCH_GDTUO: kach/gradient-descent-the-ultimate-optimizer. HPOBENCH_BAYDIN:
gbaydin/hypergradient-descent.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from searchers.online import SGD, SGDHD, AdaGrad, Adam, AdamHD, RMSProp, Tower

BETAS = ("lr", "beta1", "beta2")
GAMMA = ("lr", "gamma")
MOMENTUM = ("lr", "momentum")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def original(variable: str, folder: str, name: str) -> Iterator[Any]:
    if variable not in os.environ:
        pytest.skip(f"{variable} names no checkout")
    sys.path.insert(0, str(Path(os.environ[variable]) / folder))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def gdtuo() -> Iterator[Any]:
    yield from original("HPOBENCH_GDTUO", "src", "gradient_descent_the_ultimate_optimizer.gdtuo")


@pytest.fixture(scope="module")
def hypergrad() -> Iterator[Any]:
    yield from original("HPOBENCH_BAYDIN", ".", "hypergrad")


def network(dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 16, dtype=dtype), nn.Tanh(), nn.Linear(16, 3, dtype=dtype))


def batches(dtype: torch.dtype, count: int = 100) -> Iterator[tuple[Tensor, Tensor]]:
    """Some inputs are always 0, as the border of a picture is."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        inputs = torch.randn(32, 12, generator=generator, dtype=dtype)
        inputs[:, :3] = 0
        yield inputs, torch.randint(3, (32,), generator=generator)


def loss(net: Callable[[Tensor], Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(net(batch[0]), batch[1])


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


Stack = Callable[[Any], Any]
TOWERS: dict[str, tuple[Stack, list[Any]]] = {
    "sgd": (lambda g: g.SGD(0.1), [SGD(0.1)]),
    "sgd/sgd": (lambda g: g.SGD(0.1, optimizer=g.SGD(0.01)), [SGD(0.1), SGD(0.01)]),
    "sgd momentum/sgd momentum/sgd": (
        lambda g: g.SGD(0.05, 0.9, optimizer=g.SGD(1e-3, 0.5, optimizer=g.SGD(1e-4))),
        [SGD(0.05, 0.9, learned=MOMENTUM), SGD(1e-3, 0.5, learned=MOMENTUM), SGD(1e-4)],
    ),
    "adam/sgd": (
        lambda g: g.Adam(0.01, optimizer=g.SGD(1e-3)),
        [Adam(0.01, learned=BETAS), SGD(1e-3)],
    ),
    "adam/adam/adam/sgd": (
        lambda g: g.Adam(
            0.01, optimizer=g.Adam(0.01, optimizer=g.Adam(1e-3, optimizer=g.SGD(1e-4)))
        ),
        [*[Adam(lr, learned=BETAS) for lr in (0.01, 0.01, 1e-3)], SGD(1e-4)],
    ),
    "adam with another eps/sgd": (
        lambda g: g.Adam(0.01, 0.8, 0.95, log_eps=-4.0, optimizer=g.SGD(1e-3)),
        [Adam(0.01, 0.8, 0.95, 1e-4, 1e-4, learned=BETAS), SGD(1e-3)],
    ),
    "adam over alpha/adam": (
        lambda g: g.AdamBaydin(0.01, optimizer=g.Adam(1e-3)),
        [Adam(0.01), Adam(1e-3)],
    ),
    "rmsprop/rmsprop/sgd": (
        lambda g: g.RMSProp(0.01, 0.9, optimizer=g.RMSProp(0.01, 0.95, optimizer=g.SGD(1e-4))),
        [RMSProp(0.01, 0.9, learned=GAMMA), RMSProp(0.01, 0.95, learned=GAMMA), SGD(1e-4)],
    ),
    "rmsprop over alpha/rmsprop over alpha": (
        lambda g: g.RMSPropAlpha(0.01, optimizer=g.RMSPropAlpha(1e-3)),
        [RMSProp(0.01), RMSProp(1e-3)],
    ),
    "adagrad/adagrad/adam/rmsprop": (
        lambda g: g.AdaGrad(
            0.05,
            optimizer=g.AdaGrad(0.01, optimizer=g.AdamBaydin(1e-3, optimizer=g.RMSPropAlpha(1e-3))),
        ),
        [AdaGrad(0.05), AdaGrad(0.01), Adam(1e-3), RMSProp(1e-3)],
    ),
}


@pytest.mark.parametrize(("stack", "levels"), TOWERS.values(), ids=TOWERS)
def test_a_tower_follows_gdtuo(gdtuo: Any, stack: Stack, levels: list[Any]) -> None:
    """Losses, weights and every raw hyperparameter, in float64, over 100 steps."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        theirs = network(torch.float64)
        top = stack(gdtuo)
        wrapper = gdtuo.ModuleWrapper(theirs, optimizer=top)
        wrapper.initialize()
        expected = []
        for batch in batches(torch.float64):
            wrapper.begin()
            value = loss(wrapper.forward, batch)
            wrapper.zero_grad()
            value.backward(create_graph=True)
            wrapper.step()
            expected.append(value.item())
    finally:
        torch.set_default_dtype(before)
    ours = network(torch.float64)
    tower = Tower(ours.parameters(), levels)
    seen = []
    for batch in batches(torch.float64):
        tower.zero_grad()
        value = loss(ours, batch)
        value.backward()
        tower.step()
        seen.append(value.item())
    assert seen == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-6, atol=1e-6)
    for state, level in zip(tower.param_groups[0]["level_states"], levels, strict=True):
        raws = [value.item() for value in top.parameters.values()][: len(state.raw)]
        assert state.raw == pytest.approx(raws, rel=1e-6), level
        top = top.optimizer


@pytest.mark.parametrize(
    ("momentum", "nesterov", "dampening"),
    [(0.0, False, 0.0), (0.9, False, 0.0), (0.9, True, 0.0)],
)
def test_sgd_hd_follows_the_authors(
    hypergrad: Any, momentum: float, nesterov: bool, dampening: float
) -> None:
    ours, theirs = network(torch.float32), network(torch.float32)
    mine = SGDHD(ours.parameters(), 0.1, 1e-2, momentum, dampening, 1e-3, nesterov)
    other = hypergrad.SGDHD(
        theirs.parameters(), 0.1, momentum, dampening, 1e-3, nesterov, hypergrad_lr=1e-2
    )
    for batch in batches(torch.float32):
        for net, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            loss(net, batch).backward()
            optimizer.step()
        assert mine.param_groups[0]["lr"] == pytest.approx(
            float(other.param_groups[0]["lr"]), rel=1e-5
        )
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-4, atol=1e-5)


def test_adam_hd_of_a_single_tensor_follows_the_authors(hypergrad: Any) -> None:
    """With one tensor their loop over tensors changes nothing."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(20, generator=generator)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    mine = AdamHD([ours], 1e-2, 1e-4)
    other = hypergrad.AdamHD([theirs], 1e-2, hypergrad_lr=1e-4)
    for _ in range(100):
        target = torch.randn(20, generator=generator)
        for p, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            (p - target).square().mean().backward()
            optimizer.step()
        assert mine.param_groups[0]["lr"] == pytest.approx(
            float(other.param_groups[0]["lr"]), rel=1e-5
        )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
