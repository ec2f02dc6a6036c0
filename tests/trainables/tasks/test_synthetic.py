"""The tasks with a known optimum: their closed forms against trainings."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.task import Instance, Task
from trainables.tasks import synthetic
from trainables.tasks.synthetic import (
    NOISY_QUADRATIC,
    QUADRATIC,
    STEPS,
    exact_schedule,
    expected_loss,
    optimal_schedule,
)

CPU = torch.device("cpu")


def trained_loss(
    instance: Instance, training: int, learning_rates: tuple[float, ...], momentum: float
) -> float:
    """SGD with momentum, one step for each learning rate."""
    draw = instance.inner.draw(training)
    weights = draw.initial()
    vector, velocity = weights.vector, torch.zeros_like(weights.vector)
    for step, learning_rate in enumerate(learning_rates):
        leaf = vector.detach().requires_grad_()
        loss = instance.inner.training_loss(leaf, {}, draw.batch(step))
        velocity = momentum * velocity + torch.autograd.grad(loss, leaf)[0]
        vector = vector - learning_rate * velocity
    return instance.inner.validation(weights._replace(vector=vector)).loss


schedules = st.lists(st.floats(0.01, 2.0), min_size=STEPS, max_size=STEPS)


@given(st.permutations(exact_schedule()))
@settings(max_examples=20)
def test_exact_schedule_solves_the_quadratic_in_any_order(learning_rates: list[float]) -> None:
    instance = QUADRATIC.build(0, CPU)
    assert trained_loss(instance, 0, (), 0.0) == pytest.approx(1.0)
    assert trained_loss(instance, 0, tuple(learning_rates), 0.0) < 1e-16


def test_without_one_of_its_rates_the_quadratic_is_not_solved() -> None:
    instance = QUADRATIC.build(0, CPU)
    for i in range(STEPS):
        rates = exact_schedule()[:i] + exact_schedule()[i + 1 :]
        assert trained_loss(instance, 0, rates, 0.0) > 1e-9


def test_the_quadratic_is_the_same_for_every_seed_and_training() -> None:
    losses = {
        trained_loss(QUADRATIC.build(seed, CPU), training, (0.5,) * STEPS, 0.3)
        for seed in range(2)
        for training in range(2)
    }
    assert len(losses) == 1


@pytest.mark.parametrize(
    ("learning_rates", "momentum"),
    [(optimal_schedule(), 0.0), ((0.3,) * STEPS, 0.0), ((0.1,) * STEPS, 0.6)],
)
def test_trained_losses_have_the_closed_form_as_their_mean(
    learning_rates: tuple[float, ...], momentum: float
) -> None:
    instance = NOISY_QUADRATIC.build(0, CPU)
    losses = np.array(
        [trained_loss(instance, training, learning_rates, momentum) for training in range(300)]
    )
    standard_error = losses.std(ddof=1) / math.sqrt(len(losses))
    expected = expected_loss(learning_rates, momentum)
    assert standard_error < 0.02 * expected  # sharp enough to fail
    assert abs(losses.mean() - expected) < 4 * standard_error


def test_noise_and_start_differ_by_seed_and_training() -> None:
    losses = {
        trained_loss(NOISY_QUADRATIC.build(seed, CPU), training, (0.3,) * STEPS, 0.0)
        for seed in range(2)
        for training in range(2)
    }
    assert len(losses) == 4
    starts = [NOISY_QUADRATIC.build(0, CPU).inner.draw(n).initial().vector for n in range(2)]
    assert not torch.equal(*starts)
    for start in starts:
        assert float(start @ start) == pytest.approx(synthetic.START)


def test_without_steps_the_loss_is_that_of_the_start() -> None:
    assert expected_loss(()) == pytest.approx(0.5 * synthetic.CURVATURE * synthetic.START)


def test_the_optimum_is_stationary_and_its_value_known() -> None:
    best, width = optimal_schedule(), 1e-4
    smallest = expected_loss(best)
    variance = synthetic.NOISE**2 * synthetic.DIMENSION
    h = synthetic.CURVATURE
    after = 1 / (1 / synthetic.START + STEPS * h**2 / variance)  # precisions add up
    assert smallest == pytest.approx(0.5 * h * after)
    for i in range(STEPS):
        ahead, behind = (
            expected_loss((*best[:i], best[i] + shift, *best[i + 1 :])) for shift in (width, -width)
        )
        assert abs(ahead - behind) / (2 * width) < 1e-9  # exact: a parabola in each rate
        assert ahead + behind - 2 * smallest > 0


@given(schedules, st.floats(0.0, 0.9))
def test_no_schedule_beats_the_optimum_not_even_with_momentum(
    learning_rates: list[float], momentum: float
) -> None:
    assert expected_loss(learning_rates, momentum) >= expected_loss(optimal_schedule()) - 1e-12


@given(st.integers(1, STEPS))
def test_a_shorter_best_schedule_is_the_first_part_of_a_longer_one(steps: int) -> None:
    assert optimal_schedule(steps) == optimal_schedule()[:steps]


@pytest.mark.parametrize("task", [QUADRATIC, NOISY_QUADRATIC])
def test_every_window_is_one_step_and_the_optimum_in_the_space(task: Task) -> None:
    instance = task.build(0, CPU)
    assert instance.inner.steps_per_epoch * task.horizon == STEPS
    assert len(task.budgets) >= 3
    assert task.optimum is not None
    task.space.flatten(task.optimum)
    default = task.default
    best, practised = (
        trained_loss(instance, 0, nested["learning_rate"], nested["momentum"])  # type: ignore
        for nested in (task.optimum, default)
    )
    assert best < practised
