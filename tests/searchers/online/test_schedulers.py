"""What each of torch's schedulers does to what was learned, as the guide says.

Should torch change one, or have a new one, the guide has to change.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as torchs
from torch.optim.swa_utils import SWALR

from searchers.online import SGDHD

Schedule = Callable[[Any], Any]
START, LEARNED = 0.1, 3.0

COMPOSE: dict[str, Schedule] = {
    "MultiplicativeLR": lambda tower: torchs.MultiplicativeLR(tower, lambda epoch: 0.9),
    "StepLR": lambda tower: torchs.StepLR(tower, 2, 0.5),
    "MultiStepLR": lambda tower: torchs.MultiStepLR(tower, [2, 4], 0.5),
    "ConstantLR": lambda tower: torchs.ConstantLR(tower, 0.5, 3),
    "LinearLR": lambda tower: torchs.LinearLR(tower, 0.5, 1.0, 4),
    "ExponentialLR": lambda tower: torchs.ExponentialLR(tower, 0.9),
    "PolynomialLR": lambda tower: torchs.PolynomialLR(tower, 20),
    "CosineAnnealingLR": lambda tower: torchs.CosineAnnealingLR(tower, 20),
    "ReduceLROnPlateau": lambda tower: torchs.ReduceLROnPlateau(tower, patience=1),
    "ChainedScheduler": lambda tower: torchs.ChainedScheduler(
        [torchs.LinearLR(tower, 0.5, 1.0, 4), torchs.CosineAnnealingLR(tower, 20)]
    ),
}
"""What was learned stays a factor of the learning rate."""

SET: dict[str, Schedule] = {
    "LambdaLR": lambda tower: torchs.LambdaLR(tower, lambda epoch: 0.9**epoch),
    "CosineAnnealingWarmRestarts": lambda tower: torchs.CosineAnnealingWarmRestarts(tower, 5),
    "CyclicLR": lambda tower: torchs.CyclicLR(tower, 0.01, 0.1, cycle_momentum=False),
    "OneCycleLR": lambda tower: torchs.OneCycleLR(tower, 0.1, total_steps=20, cycle_momentum=False),
    "ChainedScheduler": lambda tower: torchs.ChainedScheduler(
        [torchs.ExponentialLR(tower, 0.9), torchs.LambdaLR(tower, lambda epoch: 0.9**epoch)]
    ),
}
"""Each step sets the learning rate, whatever was learned."""


def sequential(tower: Any) -> Any:
    return torchs.SequentialLR(
        tower, [torchs.LinearLR(tower, 0.5, 1.0, 2), torchs.StepLR(tower, 3)], milestones=[3]
    )


def factors(schedule: Schedule, steps: int, built_after: bool = False) -> list[float]:
    """The learning rate in multiples of what it is where nothing was learned.

    First once the scheduler is built, then after each of its steps. Learned was a factor of
    `LEARNED`: before it was built, or right after.
    """
    return [
        learned / plain
        for learned, plain in zip(
            _rates(schedule, steps, LEARNED, built_after),
            _rates(schedule, steps, 1.0, built_after),
            strict=True,
        )
    ]


def _rates(schedule: Schedule, steps: int, factor: float, built_after: bool) -> list[float]:
    weight = torch.nn.Parameter(torch.ones(1))
    tower = SGDHD([weight], START, hyper_lr=0.0)
    [group] = tower.param_groups
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR steps its schedulers in words of old
        if built_after:
            group["initial_lr"] = START  # as an earlier scheduler, or a saved state, has it
            group["lr"] *= factor
        scheduler = schedule(tower)
        rates = [group["lr"]]
        if not built_after:
            group["lr"] *= factor
        for _ in range(steps):
            weight.grad = torch.ones(1)
            tower.step()
            scheduler.step(*([1.0] if isinstance(scheduler, torchs.ReduceLROnPlateau) else []))
            rates.append(group["lr"])
    return rates


@pytest.mark.parametrize("name", COMPOSE)
def test_a_scheduler_that_multiplies_composes(name: str) -> None:
    assert factors(COMPOSE[name], 8) == pytest.approx([1.0, *[LEARNED] * 8])
    assert factors(COMPOSE[name], 8, built_after=True) == pytest.approx([LEARNED] * 9)


@pytest.mark.parametrize("name", SET)
def test_a_scheduler_that_sets_undoes_what_was_learned(name: str) -> None:
    assert factors(SET[name], 8) == pytest.approx([1.0] * 9)


def test_a_sequence_sets_back_when_it_is_built_and_at_each_milestone() -> None:
    assert factors(sequential, 5) == pytest.approx([1.0, LEARNED, LEARNED, 1.0, 1.0, 1.0])
    assert factors(sequential, 5, built_after=True) == pytest.approx([1.0] * 6)


def test_a_sequence_keeps_what_was_learned_where_a_multiplicative_begins() -> None:
    def schedule(tower: Any) -> Any:
        parts = [torchs.ConstantLR(tower), torchs.MultiplicativeLR(tower, lambda epoch: 0.9)]
        return torchs.SequentialLR(tower, parts, milestones=[3])

    assert factors(schedule, 5) == pytest.approx([1.0, *[LEARNED] * 5])


@pytest.mark.parametrize("name", SET)
def test_one_that_sets_does_so_when_it_is_built_too(name: str) -> None:
    built, *after = factors(SET[name], 3, built_after=True)
    assert after == pytest.approx([1.0] * 3)
    if name != "CyclicLR":  # which takes the learned for its own beginning, for one step
        assert built == pytest.approx(1.0)


def test_a_cosine_forgets_at_its_end_and_above_a_floor() -> None:
    """Composing lasts until T_max; of a learning rate above eta_min, only that is multiplied."""
    cosine = factors(lambda tower: torchs.CosineAnnealingLR(tower, 4), 3)
    assert cosine == pytest.approx([1.0, *[LEARNED] * 3])
    floor = lambda tower: torchs.CosineAnnealingLR(tower, 4, eta_min=0.01)  # noqa: E731
    _, *until, last = factors(floor, 4)
    assert all(1 < factor < LEARNED for factor in until)
    assert last == pytest.approx(1.0)
    assert factors(floor, 8)[4:] == pytest.approx([1.0] * 5)


def test_swalr_goes_over_to_its_own() -> None:
    swa = factors(lambda tower: SWALR(tower, 0.05, anneal_epochs=4), 6)
    assert swa[1] == pytest.approx(LEARNED, rel=0.1)
    assert swa[4:] == pytest.approx([1.0] * 3)


def test_an_epoch_given_to_step_sets_the_learning_rate() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    tower = SGDHD([weight], START, hyper_lr=0.0)
    scheduler = torchs.StepLR(tower, 2, 0.5)
    tower.param_groups[0]["lr"] *= LEARNED
    tower.step()
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(1)
    assert tower.param_groups[0]["lr"] == pytest.approx(START)


def test_no_scheduler_of_torchs_is_left_out() -> None:
    said = {*COMPOSE, *SET, "SequentialLR", "LRScheduler"}
    assert said == set(torchs.__all__)


@pytest.mark.parametrize(
    "cycle",
    [
        lambda tower: torchs.OneCycleLR(tower, 0.1, total_steps=20),
        lambda tower: torchs.CyclicLR(tower, 0.01, 0.1),
    ],
)
def test_cycles_need_their_momentum_cycle_off(cycle: Schedule) -> None:
    with pytest.raises(ValueError, match="cycle_momentum"):
        cycle(SGDHD([torch.nn.Parameter(torch.ones(1))], 0.1))


@pytest.mark.parametrize(("loaded_last", "rate"), [(True, LEARNED), (False, START / 2)])
def test_a_sequence_is_built_before_a_state_is_loaded(loaded_last: bool, rate: float) -> None:
    tower = SGDHD([torch.nn.Parameter(torch.ones(1))], START, hyper_lr=0.0)
    saved = tower.state_dict()
    saved["param_groups"][0] |= {"lr": LEARNED, "initial_lr": START}
    if not loaded_last:
        tower.load_state_dict(saved)
    sequential(tower)
    if loaded_last:
        tower.load_state_dict(saved)
    assert tower.param_groups[0]["lr"] == pytest.approx(rate)
