"""Training and going back exactly: bit for bit, and the same hypergradient as by other means."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch

from searchers.errors import SearcherError
from searchers.hypergradients.engines import Engine, Hypergradient
from searchers.hypergradients.reverse import Stored
from searchers.hypergradients.reversible import (
    ExactState,
    Linear,
    Reversible,
    check_returned,
    train_exactly,
    with_ratios,
)
from searchers.hypergradients.reversible_arithmetic import OutOfRange
from searchers.hypergradients.schedules import Schedule, per_step
from searchers.hypergradients.training import clone, rows
from searchers.inner_problem import Weights
from searchers.update_rules import SGD, Adam, Maclaurin, UpdateRule
from tests.searchers.hypergradients.small_problems import (
    NETS,
    differences,
    normalised_net,
    plain_net,
    problem_of,
    varied,
)
from trainables.models import lenet, mlp
from trainables.network import Examples, NetworkProblem
from trainables.training_losses import LabelSmoothing, WeightedExamples

STEPS = 15
RULES = [SGD(), SGD(clamp=0.05), Maclaurin()]
FINE = Reversible(fraction_bits=48)


def rule_id(rule: UpdateRule) -> str:
    return repr(rule)


def along(rule: UpdateRule, *more: str, steps: int = STEPS) -> Schedule:
    """Other values at each step, every momentum a ratio."""
    return with_ratios(per_step(rule, varied(rule, steps, more)), 20)


def recorded(problem, schedule: Schedule, fraction_bits: int) -> list[tuple[torch.Tensor, ...]]:
    """Weights and velocity before each step, and at the end, of the exact training."""
    begin = problem.draw(0).initial()
    exact = ExactState(begin.vector, fraction_bits)
    states: list[tuple[torch.Tensor, ...]] = []

    class Watched:
        steps_per_epoch = problem.steps_per_epoch

        def training_loss(self, *arguments):
            state = exact.state()
            states.append((state.weights, *state.memory))
            return problem.training_loss(*arguments)

    train_exactly(Watched(), problem.draw(0), schedule, exact, clone(begin.buffers))
    state = exact.state()
    return [*states, (state.weights, *state.memory)]


def on_the_grid(value: torch.Tensor, recorded: torch.Tensor) -> torch.Tensor:
    """``recorded``, with the derivative of ``value``."""
    assert torch.allclose(value.detach(), recorded, atol=1e-11)
    return recorded + (value - value.detach())


def unrolled(problem, schedule: Schedule, fraction_bits: int):
    """Autograd through the whole training along the recorded trajectory: by step and by start."""
    states = recorded(problem, schedule, fraction_bits)
    values = {n: torch.tensor(v, requires_grad=True) for n, v in schedule.values.items()}
    begin = states[0][0].clone().requires_grad_()
    weights, velocity = begin, states[0][1]
    buffers = clone(problem.draw(0).initial().buffers)
    for step in range(schedule.steps):
        at = {name: column[step] for name, column in values.items()}
        theta = {n: at[n] for n in problem.hyperparameters}
        loss = problem.training_loss(weights, buffers, problem.draw(0).batch(step), theta)
        (slope,) = torch.autograd.grad(loss, weights, create_graph=True)
        slope = slope if getattr(schedule.rule, "clamp", None) is None else slope.clamp(-0.05, 0.05)
        pull = slope + at["weight_decay"] * weights
        if isinstance(schedule.rule, Maclaurin):
            velocity = at["momentum"] * velocity - (1 - at["momentum"]) * pull
            towards = 1
        else:
            velocity = at["momentum"] * velocity + (1 - (step > 0) * at["dampening"]) * pull
            towards = -1
        velocity = on_the_grid(velocity, states[step + 1][1])
        weights = on_the_grid(
            weights + towards * at["learning_rate"] * velocity, states[step + 1][0]
        )
    names = list(schedule.jacobian)
    found = torch.autograd.grad(
        problem.validation_loss(weights, buffers), [begin, *(values[n] for n in names)]
    )
    return found[0], dict(zip(names, found[1:], strict=True))


@pytest.mark.parametrize("rule", RULES, ids=rule_id)
@pytest.mark.parametrize("net", NETS)
def test_it_is_the_derivative_along_the_exact_trajectory(rule: UpdateRule, net) -> None:
    """To rounding, against automatic differentiation of the unrolled training."""
    problem = problem_of(net, LabelSmoothing())
    schedule = along(rule, "label_smoothing")
    result = FINE.hypergradient(problem, problem.draw(0), schedule)
    by_initial, by_step = unrolled(problem, schedule, FINE.fraction_bits)
    assert torch.allclose(result.by_initial, by_initial, rtol=0, atol=1e-12)
    for name, expected in by_step.items():
        np.testing.assert_allclose(
            result.by_step[name].values(), expected.numpy(), rtol=0, atol=1e-12, err_msg=name
        )
        assert expected.abs().max() > 1e-6, name


@pytest.mark.parametrize("rule", RULES, ids=rule_id)
@pytest.mark.parametrize("net", NETS)
def test_it_agrees_with_the_stored_trajectory_in_floating_point(rule: UpdateRule, net) -> None:
    problem = problem_of(net, LabelSmoothing())
    schedule = along(rule, "label_smoothing")
    engines: tuple[Engine, ...] = (FINE, Stored())
    exact, stored = (e.hypergradient(problem, problem.draw(0), schedule) for e in engines)
    expected = stored.by_coefficient.values()
    apart = np.abs(exact.by_coefficient.values() - expected).max()
    assert apart <= 1e-10 * max(1.0, np.abs(expected).max())
    assert torch.allclose(exact.trained.state.weights, stored.trained.state.weights, atol=1e-10)


@pytest.mark.parametrize("rule", RULES, ids=rule_id)
def test_it_agrees_with_finite_differences(rule: UpdateRule) -> None:
    problem = problem_of(plain_net)
    schedule = along(rule)
    result = FINE.hypergradient(problem, problem.draw(0), schedule)
    values = dict(schedule.values)
    for name in schedule.jacobian:
        for step in (0, 7, STEPS - 1):
            h = 1e-6 if schedule.rule == RULES[1] else None
            expected = differences(problem, rule, values, {}, name, step, h)
            found = result.by_step[name].values()[step]
            assert abs(found - expected) < 1e-7 * max(1.0, abs(expected)), (name, step)


def test_groups_and_constants() -> None:
    """A learning rate of their own for the biases; a weight decay for each weight."""
    problem = problem_of(plain_net, WeightedExamples(), {"bias": lambda n: n.endswith("bias")})
    values = {**varied(SGD(), STEPS), "learning_rate.bias": np.full(STEPS, 0.11)}
    base = per_step(SGD(), values)
    constants = {
        "weight_decay": torch.linspace(0, 0.1, len(problem.draw(0).initial().vector)).double(),
        "example_weights": torch.linspace(0.5, 1.5, 40).double(),
    }
    schedule = with_ratios(dataclasses.replace(base, constants=constants, groups=problem.groups))
    exact, stored = (
        engine.hypergradient(problem, problem.draw(0), schedule) for engine in (FINE, Stored())
    )
    for name, expected in stored.by_constant.items():
        assert torch.allclose(exact.by_constant[name], expected, rtol=0, atol=1e-10)
        assert expected.abs().max() > 1e-4
    for name in ("learning_rate", "learning_rate.bias"):
        found = [result.by_step[name].values() for result in (exact, stored)]
        np.testing.assert_allclose(*found, rtol=0, atol=1e-10)
        assert np.abs(found[0]).min() > 0


def images(model, count: int = 256) -> NetworkProblem:
    """Random images of MNIST's shape, in float32."""
    stream = torch.Generator().manual_seed(0)
    shape = (1, 28, 28)
    inputs = torch.randn(count, *shape, generator=stream)
    labels = torch.randint(10, (count,), generator=stream)
    data = Examples(inputs, labels)
    return NetworkProblem(
        lambda: model(shape, 10),
        data,
        data,
        batch_size=32,
        seed=0,
        device=torch.device("cpu"),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("model", "steps"), [(mlp, 120), (lenet, 60)])
@pytest.mark.parametrize("momentum", [0.9, 0.5])
def test_float32_networks_come_back_bit_for_bit(model, steps: int, momentum: float) -> None:
    """The engine itself refuses a return that is not exact; at ½ a word has been spilled."""
    problem = images(model)
    schedule = per_step(
        SGD(), {"learning_rate": np.full(steps, 0.02), "momentum": np.full(steps, momentum)}
    )
    result = Reversible().hypergradient(problem, problem.draw(0), schedule)
    begin = problem.draw(0).initial().vector
    assert not torch.allclose(result.trained.state.weights, begin, atol=1e-2)
    exact = ExactState(begin, 40)
    train_exactly(problem, problem.draw(0), with_ratios(schedule), exact, {})
    assert bool(exact.buffer.spilled) == (momentum == 0.5)
    assert torch.equal(exact.state().weights, result.trained.state.weights)


def test_it_says_how_many_bits_it_kept() -> None:
    problem = problem_of(plain_net)
    result = Reversible().hypergradient(problem, problem.draw(0), along(SGD(), steps=64))
    assert result.engine == "reversible, 1.000 bits a weight and step"
    assert result.steps == 4 * 64


def test_running_statistics_are_those_of_the_training() -> None:
    """Going back runs the batches again, but moves nobody's running statistics."""
    problem = problem_of(normalised_net)
    schedule = along(SGD())
    exact, stored = (
        engine.hypergradient(problem, problem.draw(0), schedule) for engine in (FINE, Stored())
    )
    for name, expected in stored.trained.buffers.items():
        assert torch.allclose(exact.trained.buffers[name], expected), name


def test_a_momentum_is_rounded_to_a_ratio() -> None:
    problem = problem_of(plain_net)
    learned = per_step(SGD(), {"learning_rate": np.full(9, 0.1), "momentum": np.full(9, 0.89873)})
    coarse = with_ratios(learned, 10)
    assert coarse.values["momentum"].tolist() == [0.9] * 9
    engine = Reversible(45, largest_denominator=10)
    results: list[Hypergradient] = [
        engine.hypergradient(problem, problem.draw(0), schedule) for schedule in (learned, coarse)
    ]
    assert torch.equal(results[0].by_initial, results[1].by_initial)  # type: ignore[arg-type]


def one_line(caught: pytest.ExceptionInfo[SearcherError]) -> bool:
    return "\n" not in str(caught.value)


@pytest.mark.parametrize("rule", [SGD(nesterov=True, name="nesterov"), Adam()], ids=rule_id)
def test_a_rule_that_cannot_be_reversed_is_refused(rule: UpdateRule) -> None:
    problem = problem_of(plain_net)
    schedule = per_step(rule, {"learning_rate": np.full(3, 0.1)})
    with pytest.raises(SearcherError, match=f"{rule.name} cannot be reversed") as caught:
        Reversible().hypergradient(problem, problem.draw(0), schedule)
    assert one_line(caught)


def test_no_momentum_is_refused() -> None:
    problem = problem_of(plain_net)
    schedule = per_step(SGD(), {"learning_rate": np.full(3, 0.1)})
    with pytest.raises(SearcherError, match=r"momentum 0 forgets .* checkpointed") as caught:
        Reversible().hypergradient(problem, problem.draw(0), schedule)
    assert one_line(caught)


def test_a_momentum_of_1_forgets_nothing() -> None:
    problem = problem_of(plain_net)
    values = {"learning_rate": np.full(STEPS, 0.01), "momentum": np.ones(STEPS)}
    schedule = per_step(SGD(), values)
    exact, stored = (
        engine.hypergradient(problem, problem.draw(0), schedule) for engine in (FINE, Stored())
    )
    assert torch.allclose(exact.by_initial, stored.by_initial, atol=1e-10)  # type: ignore[arg-type]


def test_momenta_of_groups_are_refused() -> None:
    problem = problem_of(plain_net, groups={"bias": lambda n: n.endswith("bias")})
    values = {"momentum": np.full(3, 0.9), "momentum.bias": np.full(3, 0.5)}
    schedule = dataclasses.replace(per_step(SGD(), values), groups=problem.groups)
    with pytest.raises(SearcherError, match=r"momentum\.bias.*by one ratio") as caught:
        Reversible().hypergradient(problem, problem.draw(0), schedule)
    assert one_line(caught)


@pytest.mark.parametrize(
    "settings", [{"fraction_bits": 0}, {"fraction_bits": 50}, {"largest_denominator": 0}]
)
def test_settings_that_make_no_sense(settings: dict[str, int]) -> None:
    with pytest.raises(SearcherError) as caught:
        Reversible(**settings)
    assert one_line(caught)


def test_a_diverging_training_is_refused() -> None:
    problem = problem_of(plain_net)
    values = {"learning_rate": np.full(40, 1e4), "momentum": np.full(40, 0.9)}
    with pytest.raises(OutOfRange, match="left the range of fixed-point numbers") as caught:
        Reversible().hypergradient(problem, problem.draw(0), per_step(SGD(), values))
    assert one_line(caught)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_is_refused(wrong: float) -> None:
    exact = ExactState(torch.ones(4), 40)
    linear = Linear(Fraction(9, 10), 1.0, 0.0, -0.1)
    with pytest.raises(OutOfRange, match="the velocity left the range"):
        exact.pull(torch.tensor([0.0, wrong, 0.0, 1.0]), linear)


def test_gradients_that_are_not_the_same_again_are_noticed() -> None:
    """By a draw whose batches change by a millionth when read again."""

    class Unsteady:
        def __init__(self, draw):
            self._draw, self._read = draw, 0

        def initial(self) -> Weights:
            return self._draw.initial()

        def batch(self, step: int):
            self._read += 1
            batch = self._draw.batch(step)
            return batch._replace(inputs=batch.inputs + (1e-6 if self._read > STEPS else 0))

    problem = problem_of(plain_net)
    with pytest.raises(SearcherError, match="did not end at the initial weights") as caught:
        FINE.hypergradient(problem, Unsteady(problem.draw(0)), along(SGD()))
    assert one_line(caught)


@pytest.mark.parametrize("part", ["weights", "velocity", "word"])
def test_the_return_is_checked_to_the_last_bit(part: str) -> None:
    begin = torch.linspace(-1, 1, 5)
    exact = ExactState(begin, 40)
    check_returned(exact, begin)
    (exact.buffer.word if part == "word" else getattr(exact, part))[3] += 1
    with pytest.raises(SearcherError, match="did not end at the initial weights"):
        check_returned(exact, begin)


def test_rows_of_one_step_are_those_of_all() -> None:
    """Going back reads the schedule one step at a time."""
    schedule = along(SGD())
    like = torch.zeros(3)
    together = list(rows(schedule, range(STEPS), like))
    assert together == [next(iter(rows(schedule, range(i, i + 1), like))) for i in range(STEPS)]
