"""What an optimizer is given by mistake is refused in one line."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from searchers.errors import SearcherError
from searchers.online import SGD, SGDHD, AdaGrad, Adam, AdamHD, Multiplicative, Tower

BETAS = ("lr", "beta1", "beta2")

MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "negative lr": (lambda: SGD(-0.1), "lr must be finite and not negative, got -0.1"),
    "NaN lr": (lambda: Adam(math.nan), "lr must be finite"),
    "torch's class": (
        lambda: Tower(params(), [torch.optim.SGD]),  # type: ignore[list-item]
        r"levels\[0\] is the class torch.optim.sgd.SGD: give a level of searchers.online",
    ),
    "torch's optimizer above": (
        lambda: Tower(params(), [SGD(0.1), torch.optim.SGD(params(), 0.1)]),  # type: ignore[list-item]
        r"levels\[1\] is an object of torch.optim.sgd.SGD: give a level",
    ),
    "a level that is not made": (
        lambda: Tower(params(), [Adam]),  # type: ignore[list-item]
        r"levels\[0\] is the class searchers.online.levels.Adam: give a level .* with its numbers",
    ),
    "one level, no list": (
        lambda: Tower(params(), SGD(0.1)),  # type: ignore[arg-type]
        "levels: give a list, the base first",
    ),
    "a group's level": (
        lambda: Tower([{"params": params(), "levels": [0.1]}], [SGD(0.1)]),
        r"levels\[0\] is an object of builtins.float",
    ),
    "torch's state": (
        lambda: SGDHD(params(), 0.1).load_state_dict(
            torch.optim.SGD(params(), 0.3, 0.9).state_dict()
        ),
        "its group 0 has no levels, .* lr=0.3",
    ),
    "no levels": (lambda: Tower(params(), []), "at least one level"),
    "beta1": (lambda: Adam(beta1=1.0), r"beta1 must lie in \[0, 1\), got 1.0"),
    "learned beta1": (lambda: Adam(beta1=0.0, learned=BETAS), "a learned beta1 must lie in"),
    "momentum": (lambda: SGD(0.1, -0.5), "momentum must lie in"),
    "unknown learned": (lambda: AdaGrad(learned=("gamma",)), "cannot learn 'gamma'"),
    "a start below 0": (lambda: AdaGrad(initial_square=-1.0), "initial_square must not be"),
    "NaN dampening": (lambda: SGD(0.1, dampening=math.nan), "dampening must be finite, got nan"),
    "twice": (lambda: Adam(learned=("lr", "lr")), "learns each hyperparameter once"),
    "endless decay": (
        lambda: Tower([torch.ones(1)], [SGD(0.1)], weight_decay=math.inf),
        "weight_decay must be finite",
    ),
    "eps": (lambda: Adam(eps=0.0), "eps must be positive, got 0.0"),
    "nesterov": (lambda: SGD(0.1, nesterov=True), "nesterov=True needs a momentum"),
    "bounds": (lambda: SGD(0.1, bounds=(0.2, 1)), "lies outside its bounds"),
    "base": (lambda: Tower(params(), [Multiplicative(0.1)]), "cannot be the base level"),
    "multiplied betas": (
        lambda: Tower(params(), [Adam(learned=BETAS), Multiplicative(0.1)]),
        "Multiplicative moves lr alone",
    ),
    "nothing learned": (
        lambda: Tower(params(), [SGD(0.1, learned=()), SGD(0.1)]),
        "SGD learns nothing",
    ),
    "weight decay": (
        lambda: Tower(params(), [SGD(0.1)], weight_decay=-1),
        "weight_decay must be finite and not negative",
    ),
    "group": (
        lambda: Tower([{"params": params(), "beta1": 0.5}], [SGD(0.1)]),
        "SGD has no 'beta1'",
    ),
    "torch's betas": (
        lambda: Tower([{"params": params(), "betas": (0.9, 0.99)}], [Adam()]),
        "Adam has no 'betas' to set for a group",
    ),
    "lr in words": (lambda: SGD("0.1"), "SGD: lr is a number, not '0.1'"),  # type: ignore[arg-type]
    "several learning rates": (
        lambda: SGD(torch.ones(2)),  # type: ignore[arg-type]
        r"SGD: lr is a number, not tensor\(\[1., 1.\]\)",
    ),
    "no learning rate above": (
        lambda: SGDHD(params(), 0.1, None),  # type: ignore[arg-type]
        "lr is a number, not None",
    ),
    "integers": (
        lambda: Tower([torch.ones(2, dtype=torch.cfloat, requires_grad=True)], [SGD(0.1)]),
        "cannot move torch.complex64 parameters",
    ),
    "hyper_lr": (
        lambda: Tower([{"params": params(), "hyper_lr": 0.5}], [SGD(0.1)]),
        "1 values for 0 levels above",
    ),
    "half": (
        lambda: Tower([nn.Parameter(torch.ones(2).half())], [SGD(0.1)]),
        "keep them in float32",
    ),
}


def params() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(2))]


@pytest.mark.parametrize(("make", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_one_line(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SearcherError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_a_sparse_gradient_is_a_mistake() -> None:
    table = nn.Embedding(5, 2, sparse=True)
    tower = Tower(table.parameters(), [SGD(0.1)])
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(SearcherError, match="sparse=False"):
        tower.step()


def test_the_state_of_another_tower_is_refused() -> None:
    optimizer = SGDHD([torch.ones(3, requires_grad=True)], 0.1)
    other = AdamHD([torch.ones(3, requires_grad=True)], 0.1)
    with pytest.raises(SearcherError, match="is Adam / SGD, that of this SGDHD is SGD / SGD"):
        optimizer.load_state_dict(other.state_dict())
    assert repr(optimizer).startswith("SGDHD (\n  group 0: SGD / SGD, lr 0.1")
