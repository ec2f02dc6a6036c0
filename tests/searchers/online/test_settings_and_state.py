"""What a user gives to an optimizer, in its groups and in its state, is what it goes on from."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from searchers.errors import SearcherError
from searchers.online import SGDHD


@pytest.mark.parametrize("kind", [torch.tensor, np.float32, np.array, lambda number: number])
def test_settings_are_numbers_of_its_own(kind: Callable[[float], Any]) -> None:
    """A tensor would be moved for everybody that it was given to."""
    given = {name: kind(number) for name, number in {"lr": 0.01, "momentum": 0.5}.items()}
    decay = kind(0.1)
    weights = [nn.Parameter(torch.ones(3) * scale) for scale in (1.0, 2.0)]
    groups = [{"params": [w]} for w in weights]
    optimizer = SGDHD(groups, hyper_lr=kind(1e-3), weight_decay=decay, **given)
    alone = SGDHD([nn.Parameter(torch.ones(3))], 0.01, 1e-3, momentum=0.5, weight_decay=0.1)
    for _ in range(3):
        for one in (optimizer, alone):
            for group in one.param_groups:
                for w in group["params"]:
                    w.grad = 2 * w.detach()
            one.step()
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates[0] == pytest.approx(alone.param_groups[0]["lr"], rel=1e-6)
    assert rates[0] != rates[1]
    assert float(given["lr"]) == pytest.approx(0.01)
    assert float(decay) == pytest.approx(0.1)
    state = optimizer.state_dict()
    for group in (*optimizer.param_groups, *state["param_groups"]):
        assert type(group["lr"]) is type(group["weight_decay"]) is float
    for values in itertools.chain(*optimizer.hyperparameters()):
        assert {type(number) for number in values.values()} == {float}


def test_a_groups_own_keys_stay_with_it_as_with_torchs_optimizers() -> None:
    groups = [{"params": [nn.Parameter(torch.ones(2))], "name": "head", "lr_scale": 0.5, "lr": 0.2}]
    ours, torchs = SGDHD(groups, 0.1), torch.optim.SGD([dict(groups[0])], 0.1)
    for one in (ours, torchs):
        assert one.param_groups[0]["name"] == "head"
        assert one.state_dict()["param_groups"][0]["lr_scale"] == 0.5
        assert one.param_groups[0]["lr"] == 0.2
    other = SGDHD([{"params": [nn.Parameter(torch.ones(2))], "name": "old"}], 0.1)
    other.load_state_dict(ours.state_dict())
    assert other.param_groups[0]["name"] == "head"


def test_what_is_frozen_may_be_of_any_type_and_is_refused_once_it_has_a_gradient() -> None:
    frozen = nn.Parameter(torch.ones(2, dtype=torch.int8), requires_grad=False)
    half = nn.Parameter(torch.ones(2).half(), requires_grad=False)
    weight = nn.Parameter(torch.ones(2))
    optimizer = SGDHD([weight, frozen, half], 0.1)
    weight.grad = torch.ones(2)
    optimizer.step()
    assert torch.equal(weight, torch.full((2,), 0.9))
    half.requires_grad_()
    half.grad = torch.ones(2).half()
    with pytest.raises(SearcherError, match=r"cannot move torch\.float16"):
        optimizer.step()


def trained(optimizer: torch.optim.Optimizer, change: Callable[[Any], None]) -> list[Tensor]:
    """Two weights after three steps, a change, and three more."""
    weights = [w for group in optimizer.param_groups for w in group["params"]]
    for step in range(6):
        if step == 3:
            change(optimizer)
        for w in weights:
            w.grad = (step + 1) * w.detach() / 7
        optimizer.step()
    return weights


def replaced(key: str, make: Callable[[Tensor], Tensor | None]) -> Callable[[Any], None]:
    def change(optimizer: torch.optim.Optimizer) -> None:
        for state in optimizer.state.values():
            state[key] = make(state[key])

    return change


def forgotten(optimizer: torch.optim.Optimizer) -> None:
    optimizer.state[optimizer.param_groups[0]["params"][0]].clear()


def popped(key: str) -> Callable[[Any], None]:
    def change(optimizer: torch.optim.Optimizer) -> None:
        for state in optimizer.state.values():
            state.pop(key)

    return change


def entries(make: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], None]:
    """Another dictionary in the place of each parameter's."""

    def change(optimizer: torch.optim.Optimizer) -> None:
        for p, state in list(optimizer.state.items()):
            optimizer.state[p] = make(state)

    return change


def converted(optimizer: torch.optim.Optimizer) -> None:
    w = optimizer.param_groups[0]["params"][0]
    w.data, w.grad = w.data.double(), None


@pytest.mark.parametrize(
    "change",
    [
        lambda key: replaced(key, torch.zeros_like),
        lambda key: replaced(key, lambda velocity: 2 * velocity),
        lambda key: replaced(key, torch.Tensor.zero_),
        lambda key: forgotten,
        lambda key: converted,
        popped,
        lambda key: replaced(key, lambda velocity: None),
        lambda key: entries(lambda state: {}),
        lambda key: entries(dict),
        lambda key: entries(lambda state: {**state, key: 3 * state[key]}),
        lambda key: entries(lambda state: {key: torch.full_like(state[key], 0.1)}),
    ],
    ids=[
        "zeroed by assignment",
        "replaced",
        "zeroed in place",
        "forgotten",
        "converted",
        "popped",
        "set to None",
        "entry emptied",
        "entry copied",
        "entry with another velocity",
        "entry with a velocity alone",
    ],
)
@pytest.mark.parametrize("dampening", [0.0, 0.3])
def test_what_is_put_into_the_state_is_what_it_goes_on_from(
    change: Callable[[str], Callable[[Any], None]], dampening: float
) -> None:
    """As with torch's SGD, whose trajectory it is without a hyper-learning-rate."""

    def weights() -> list[Tensor]:
        return [nn.Parameter(torch.arange(1.0, 4.0)), nn.Parameter(torch.ones(2, 2))]

    ours = SGDHD(weights(), 0.1, 0.0, momentum=0.9, dampening=dampening)
    torchs = torch.optim.SGD(weights(), 0.1, 0.9, dampening)
    right = trained(torchs, change("momentum_buffer"))
    found = trained(ours, change("velocity"))
    for one, other in zip(found, right, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=1e-6, atol=0)
    saved = ours.state_dict()["state"]
    for place, w in enumerate(found):
        torch.testing.assert_close(saved[place]["velocity"], ours.state[w]["velocity"])
