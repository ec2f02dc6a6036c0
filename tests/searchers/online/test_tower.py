"""A tower as a citizen among `torch.optim.Optimizer` classes."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from searchers.errors import SearcherError
from searchers.online import SGD, SGDHD, AdaGrad, Adam, AdamHD, RMSProp, Tower

Make = Callable[[Any], Tower]
BETAS = ("lr", "beta1", "beta2")

MAKES: dict[str, Make] = {
    "sgd-hd": lambda params: SGDHD(params, 0.05, 1e-3, momentum=0.9, nesterov=True),
    "adam-hd, second order": lambda params: AdamHD(params, 0.01, [1e-5, 1e-9], weight_decay=0.1),
    "multiplicative": lambda params: SGDHD(params, 0.05, 1e-2, multiplicative=True),
    "momentum": lambda params: Tower(
        params, [SGD(0.05, 0.9, learned=("lr", "momentum")), SGD(1e-4)]
    ),
    "adam/adam/sgd": lambda params: Tower(
        params,
        [Adam(0.01, learned=BETAS), Adam(1e-3, learned=BETAS), SGD(1e-5)],
        clip="hypergradients",
    ),
    "rmsprop/adagrad": lambda params: Tower(
        params, [RMSProp(0.01, learned=("lr", "gamma")), AdaGrad(1e-3)]
    ),
}
every = pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def batches(count: int, first: int = 0) -> list[tuple[Tensor, Tensor]]:
    generators = [torch.Generator().manual_seed(seed) for seed in range(first, first + count)]
    return [(torch.randn(8, 6, generator=g), torch.randn(8, 3, generator=g)) for g in generators]


def loss(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (net(batch[0]) - batch[1]).square().mean()


def train(
    net: nn.Module, optimizer: torch.optim.Optimizer, count: int, first: int = 0
) -> list[float]:
    """The learning rate after each step."""
    rates = []
    for batch in batches(count, first):
        optimizer.zero_grad()
        loss(net, batch).backward()
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.slow
@every
def test_training_goes_on_bit_for_bit_after_a_save(make: Make) -> None:
    """Also in an optimizer that was made with other settings: the saved ones count."""
    net = network()
    tower = make(net.parameters())
    train(net, tower, 6)
    file = io.BytesIO()
    torch.save({"net": net.state_dict(), "tower": tower.state_dict()}, file)
    rates = train(net, tower, 6, first=6)

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    other = network()
    other.load_state_dict(saved["net"])
    fresh = Tower(other.parameters(), [SGD(0.5), SGD(0.1)])
    fresh.load_state_dict(saved["tower"])
    assert train(other, fresh, 6, first=6) == rates
    assert torch.equal(weights(net), weights(other))
    assert fresh.hyperparameters() == tower.hyperparameters()


def test_what_is_saved_is_plain_data_in_a_layout_that_stays() -> None:
    """Files that are there are to be loaded by versions to come."""
    params = [nn.Parameter(torch.ones(1))]
    tower = Tower(params, [SGD(0.5), SGD(0.25), SGD(0.125)], clip="hypergradients")
    for slope in (1.0, 2.0):
        params[0].grad = torch.full((1,), slope)
        tower.step()
    (group,) = tower.state_dict()["param_groups"]
    assert group["storeys"] == [
        {"at": {"lr": 1.0, "momentum": 0.0}, "raw": [1.0]},
        {
            "at": {"lr": 0.25, "momentum": 0.0},
            "raw": [0.25],
            "memory": {"direction": [-2.0]},
            "steps": 2,
            "clipped": {"count": 1, "mean": 2.0},
        },
        {
            "at": {"lr": 0.125, "momentum": 0.0},
            "raw": [],
            "memory": {"direction": [0.0]},
            "steps": 2,
            "clipped": {"count": 0, "mean": 0.0},
        },
    ]
    other = Tower(params, [SGD(0.1), SGD(0.1), SGD(0.1)])
    other.load_state_dict(tower.state_dict())
    assert other.param_groups[0]["level_states"] == tower.param_groups[0]["level_states"]


@every
def test_a_saved_state_keeps_its_numbers_while_training_goes_on(make: Make) -> None:
    net = network()
    tower = make(net.parameters())
    train(net, tower, 3)
    saved = tower.state_dict()["param_groups"]
    before = copy.deepcopy(saved)
    train(net, tower, 3)
    assert saved == before
    assert tower.state_dict()["param_groups"] != before


@every
def test_a_copy_of_an_optimizer_goes_on_alike(make: Make) -> None:
    net = network()
    tower = make(net.parameters())
    train(net, tower, 3)
    other, twin = copy.deepcopy((net, tower))
    assert train(net, tower, 3, first=3) == train(other, twin, 3, first=3)
    assert torch.equal(weights(net), weights(other))


@every
def test_gradients_that_are_zeroed_in_place_do_no_harm(make: Make) -> None:
    """What is remembered of a gradient is no view of ``p.grad``, and ``p.grad`` is only read."""
    net, other = network(), network()
    tower, twin = make(net.parameters()), make(other.parameters())
    rates, seen = train(net, tower, 6), []
    for batch in batches(6):
        twin.zero_grad(set_to_none=False)
        loss(other, batch).backward()
        before = [p.grad.clone() for p in other.parameters() if p.grad is not None]
        twin.step()
        after = [p.grad for p in other.parameters() if p.grad is not None]
        assert all(map(torch.equal, before, after))
        seen.append(twin.param_groups[0]["lr"])
    assert seen == rates
    assert torch.equal(weights(net), weights(other))


@every
def test_a_closure_is_evaluated_with_gradients_and_its_loss_returned(make: Make) -> None:
    net, other = network(), network()
    tower, twin = make(net.parameters()), make(other.parameters())
    train(net, tower, 4)
    for batch in batches(4):

        def closure(batch: tuple[Tensor, Tensor] = batch) -> Tensor:
            twin.zero_grad()
            value = loss(other, batch)
            value.backward()
            return value

        expected = loss(other, batch).item()
        assert twin.step(closure).item() == expected
    assert torch.equal(weights(net), weights(other))


def test_hooks_of_a_step_are_called_and_a_profiler_sees_it() -> None:
    net = network()
    tower = SGDHD(net.parameters(), 0.05)
    calls: list[str] = []
    hooks = {
        "before": tower.register_step_pre_hook,
        "after": tower.register_step_post_hook,
        "before any": register_optimizer_step_pre_hook,
        "after any": register_optimizer_step_post_hook,
    }
    for name, register in hooks.items():  # one at a time: each alone must be enough
        hook = register(lambda *_, name=name: calls.append(name))
        train(net, tower, 1)
        hook.remove()
        train(net, tower, 1)
    assert calls == list(hooks)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        train(net, tower, 1)
    assert "Optimizer.step#SGDHD.step" in {event.key for event in profile.key_averages()}


@every
def test_groups_are_towers_of_their_own(make: Make) -> None:
    """Two groups in one optimizer move as two optimizers, a group each."""
    net, other = network(), network()
    first, second = list(net[0].parameters()), list(net[2].parameters())  # type: ignore[index]
    tower = make([{"params": first}, {"params": second, "lr": 0.02}])
    one = make(other[0].parameters())  # type: ignore[index]
    two = make([{"params": list(other[2].parameters()), "lr": 0.02}])  # type: ignore[index]
    for batch in batches(5):
        for each in (tower, one, two):
            each.zero_grad()
        loss(net, batch).backward()
        loss(other, batch).backward()
        for each in (tower, one, two):
            each.step()
    assert tower.hyperparameters() == one.hyperparameters() + two.hyperparameters()
    assert torch.equal(weights(net), weights(other))


def test_a_group_may_have_settings_of_its_own() -> None:
    net = network()
    tower = Tower(net[0].parameters(), [SGD(0.1, 0.9), SGD(1e-3), SGD(1e-6)])  # type: ignore[index]
    rest = list(net[2].parameters())  # type: ignore[index]
    tower.add_param_group(
        {"params": rest[:1], "momentum": 0.5, "hyper_lr": (1e-2, 0.0), "weight_decay": 0.1}
    )
    tower.add_param_group({"params": rest[1:], "levels": [Adam(), SGD(1e-7)], "beta1": 0.8})
    assert tower.hyperparameters() == [
        [{"lr": 0.1, "momentum": 0.9}, {"lr": 1e-3, "momentum": 0}, {"lr": 1e-6, "momentum": 0}],
        [{"lr": 0.1, "momentum": 0.5}, {"lr": 1e-2, "momentum": 0}, {"lr": 0.0, "momentum": 0}],
        [{"lr": 1e-3, "beta1": 0.8, "beta2": 0.999}, {"lr": 1e-7, "momentum": 0}],
    ]
    train(net, tower, 3)
    hypers = tower.hyperparameters()
    assert hypers[1][1]["lr"] == 1e-2, "its own level above stands still at a rate of 0"
    assert hypers[0][0]["lr"] != 0.1
    assert hypers[2][0]["lr"] != 1e-3


@every
def test_params_can_join_later(make: Make) -> None:
    net = network()
    tower = make(net[0].parameters())  # type: ignore[index]
    train(net, tower, 2)
    before = weights(net[2])  # type: ignore[index]
    tower.add_param_group({"params": net[2].parameters()})  # type: ignore[index]
    train(net, tower, 3)
    assert not torch.equal(weights(net[2]), before)  # type: ignore[index]
    assert all(len(group["hypergradient"]) for group in tower.param_groups)


def test_a_param_without_a_gradient_stays_and_has_no_part_in_the_hypergradient() -> None:
    """The derivative of the last move: what did not move then adds nothing."""
    a, b = (nn.Parameter(torch.ones(2)) for _ in range(2))
    tower = Tower([a, b], [SGD(0.1), SGD(1e-3)])

    def step(one: float | None, two: float | None) -> float:
        for p, value in ((a, one), (b, two)):
            p.grad = None if value is None else torch.full((2,), value)
        tower.step()
        return tower.param_groups[0]["hypergradient"][0]

    assert step(1.0, None) == 0
    assert torch.equal(b.detach(), torch.ones(2)), "never moved"
    assert b not in tower.state
    assert step(2.0, 3.0) == -2 * 1.0 * 2.0
    before = b.detach().clone()
    assert step(4.0, None) == -2 * 2.0 * 4.0
    assert torch.equal(b.detach(), before)
    assert step(1.0, 5.0) == -2 * 4.0 * 1.0, "b moved two steps ago, not at the last one"
    assert step(1.0, 1.0) == -2 * (1.0 * 1.0 + 5.0 * 1.0)


def test_tensors_of_different_age_have_bias_corrections_of_their_own() -> None:
    together, apart = (nn.Parameter(torch.ones(3)) for _ in range(2))
    tower = Tower([together, apart], [Adam(0.1)])
    reference = nn.Parameter(torch.ones(3))
    adam = torch.optim.Adam([reference], 0.1)
    for step in range(6):
        together.grad = torch.full((3,), 1.0)
        apart.grad = reference.grad = torch.full((3,), float(step)) if step > 2 else None
        tower.step()
        adam.step()
    torch.testing.assert_close(apart, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
@every
def test_a_hypergradient_that_is_not_finite_is_left_out_and_counted(
    make: Make, value: float
) -> None:
    """Here in float32; 1e30 is finite, its inner products are not."""
    p = nn.Parameter(torch.ones(4))
    tower = make([p])
    for _ in range(3):
        p.grad = torch.ones(4)
        tower.step()
    before = tower.hyperparameters()
    p.grad = torch.full((4,), value)
    tower.step()
    group = tower.param_groups[0]
    if group["skipped"]:
        assert tower.hyperparameters() == before
    else:
        assert value == 1e30, "Adam's and RMSProp's directions are bounded"
    p.grad = torch.full((4,), math.nan)
    skipped = group["skipped"]
    tower.step()
    tower.step()
    assert group["skipped"] == skipped + 2
    for level in tower.hyperparameters()[0]:
        assert all(map(math.isfinite, level.values()))


def test_a_learning_rate_that_overflows_stays() -> None:
    p = nn.Parameter(torch.ones(1, dtype=torch.float64))
    tower = Tower([p], [SGD(0.1), SGD(1e300)])
    for _ in range(2):
        p.grad = torch.full_like(p, 1e8)
        tower.step()
    assert tower.param_groups[0]["lr"] == 0.1
    assert tower.param_groups[0]["skipped"] == 1


@every
def test_a_gradient_scaler_leaves_hypergradients_unscaled(make: Make) -> None:
    net, other = network(), network()
    tower, twin = make(net.parameters()), make(other.parameters())
    rates = train(net, tower, 5)
    scaler, seen = torch.amp.GradScaler("cpu", init_scale=2.0**10), []
    for batch in batches(5):
        twin.zero_grad()
        scaler.scale(loss(other, batch)).backward()
        scaler.step(twin)
        scaler.update()
        seen.append(twin.param_groups[0]["lr"])
    assert seen == pytest.approx(rates, rel=1e-6)
    torch.testing.assert_close(weights(net), weights(other))


@every
def test_a_scheduler_may_set_the_learning_rate(make: Make) -> None:
    net = network()
    tower = make(net.parameters())
    train(net, tower, 3)
    tower.param_groups[0]["lr"] = 0.01
    found = train(net, tower, 1, first=3)[0]
    assert found != 0.01
    assert found == pytest.approx(0.01, rel=0.5), "it goes on from there"
    scheduler = torch.optim.lr_scheduler.ConstantLR(tower, factor=0.5, total_iters=2)
    assert tower.param_groups[0]["lr"] == pytest.approx(0.5 * found)
    train(net, tower, 1, first=4)
    scheduler.step()


@pytest.mark.parametrize("make", [*MAKES.values()])
def test_a_gradient_in_another_layout_is_the_same_gradient(make: Make) -> None:
    generator = torch.Generator().manual_seed(0)
    results = []
    gradients = [torch.randn(3, 4, generator=generator) for _ in range(4)]
    for transposed in (False, True):
        p = nn.Parameter(torch.ones(3, 4))
        tower = make([p])
        for gradient in gradients:
            p.grad = gradient.t().contiguous().t() if transposed else gradient.clone()
            tower.step()
        results.append((p.detach(), tower.param_groups[0]["lr"]))
    torch.testing.assert_close(results[0][0], results[1][0])
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-6)


@every
def test_params_of_mixed_precision_move_together(make: Make) -> None:
    params = [
        nn.Parameter(torch.ones(3, dtype=dtype))
        for dtype in (torch.bfloat16, torch.float32, torch.float64)
    ]
    tower = make(params)
    for _ in range(4):
        for p in params:
            p.grad = torch.full_like(p, 0.5)
        tower.step()
    assert all(p.isfinite().all() and (p < 1).all() for p in params)
    assert tower.param_groups[0]["skipped"] == 0


def test_the_fused_step_counts_in_float32_whatever_the_default_is(monkeypatch) -> None:
    """A GPU's reads float32; a count in float64 would look like another step to it."""
    counts: list[Tensor] = []
    fused = torch._fused_adam_

    def watched(*lists, **settings) -> None:
        counts.extend(lists[5])
        fused(*lists, **settings)

    monkeypatch.setattr(torch, "_fused_adam_", watched)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        net = network()
        train(net, AdamHD(net.parameters(), 0.01), 2)
    finally:
        torch.set_default_dtype(before)
    assert counts
    assert {count.dtype for count in counts} == {torch.float32}


@pytest.mark.gpu
@every
def test_a_gpu_gives_what_a_cpu_gives(make: Make) -> None:
    nets = [network().double(), network().double().cuda()]
    rates = []
    for net in nets:
        device = next(net.parameters()).device
        tower, seen = make(net.parameters()), []
        for x, y in batches(6):
            tower.zero_grad()
            loss(net, (x.double().to(device), y.double().to(device))).backward()
            tower.step()
            seen.append(tower.param_groups[0]["lr"])
        rates.append(seen)
    assert rates[0] == pytest.approx(rates[1], rel=1e-9)
    torch.testing.assert_close(weights(nets[0]), weights(nets[1]).cpu(), rtol=1e-9, atol=1e-9)


def test_one_level_is_the_optimizer_itself() -> None:
    net, other = network(), network()
    train(net, Tower(net.parameters(), [SGD(0.1, 0.9)], weight_decay=0.1), 5)
    train(other, torch.optim.SGD(other.parameters(), 0.1, 0.9, weight_decay=0.1), 5)
    torch.testing.assert_close(weights(net), weights(other))


def test_a_state_that_cannot_be_loaded_leaves_a_tower_as_it_was() -> None:
    net, other = network(), network()
    tower, twin = SGDHD(net.parameters(), 0.05, 1e-3), SGDHD(other.parameters(), 0.05, 1e-3)
    foreign = torch.optim.SGD(other.parameters(), 0.3, 0.9)
    assert train(net, tower, 3) == train(other, twin, 3)
    with pytest.raises(SearcherError):
        twin.load_state_dict(foreign.state_dict())
    assert train(net, tower, 3, first=3) == train(other, twin, 3, first=3)
    assert torch.equal(weights(net), weights(other))


def test_it_prints_as_a_line_for_each_group() -> None:
    net = network()
    groups = [
        {"params": net[0].parameters()},  # type: ignore[index]
        {"params": [net[2].bias], "levels": [SGD(0.25), SGD(0.1), SGD(0.01)]},  # type: ignore[index]
    ]
    assert repr(Tower(groups, [Adam(1e-3), SGD(1e-5)])).splitlines() == [
        "Tower (",
        "  group 0: Adam / SGD, lr 0.001, 2 tensors",
        "  group 1: SGD / SGD / SGD, lr 0.25, 1 tensor",
        ")",
    ]
    tower = SGDHD(net.parameters(), 0.05, 1e-3)
    rates = train(net, tower, 3)
    assert f"lr {rates[-1]:.6g}, 4 tensors" in str(tower), "the learning rate in use"
