"""Schedules, bases, and how they are pulled back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from searchers.errors import SearcherError
from searchers.hypergradients.reverse import Graphs, Stored
from searchers.hypergradients.scaled import scaled
from searchers.hypergradients.schedules import (
    check_schedule,
    check_space,
    per_step,
    schedule,
    schedule_values,
    window_means,
)
from searchers.protocols import Brief
from searchers.schedule_bases import (
    Basis,
    Cosine,
    Differentiated,
    Linear,
    Windows,
    window_of_step,
)
from searchers.space import Categorical, Float, Space, Vector
from searchers.testing.gradient import Valley
from searchers.update_rules import SGD, Adam
from tests.searchers.hypergradients.small_problems import plain_net, problem_of
from trainables.training_losses import LabelSmoothing

SPACE = Space(
    {
        "learning_rate": Vector(5, Float(1e-3, 1.0, log=True)),
        "momentum": Float(0.0, 0.99),
        "weight_decay": Vector(2, Float(0.0, 0.1)),
    }
)
units = arrays(float, len(SPACE), elements=st.floats(0, 1))
coefficients = arrays(float, st.integers(2, 9), elements=st.floats(-5, 5))


@given(st.integers(1, 400), st.integers(1, 12))
def test_windows_are_in_order_and_of_equal_length(steps: int, windows: int) -> None:
    of = window_of_step(steps, windows)
    lengths = np.bincount(of, minlength=windows)
    assert (np.diff(of) >= 0).all()
    assert lengths.max() - lengths.min() <= 1
    assert lengths.sum() == steps


@pytest.mark.parametrize("basis", [Windows(), Linear(), Cosine], ids=lambda b: b.words or "windows")
@given(coefficients, st.integers(1, 60))
def test_a_basis_stays_between_its_coefficients_and_knows_its_derivative(
    basis: Basis, given_: np.ndarray, steps: int
) -> None:
    own = given_[:2] if basis is Cosine else given_
    values, by = basis.values(own, steps), basis.jacobian(own, steps)
    assert values.shape == (steps,)
    assert by.shape == (steps, len(own))
    assert own.min() - 1e-9 <= values.min() <= values.max() <= own.max() + 1e-9
    for i in range(len(own)):
        up, down = own.copy(), own.copy()
        up[i] += 1e-5
        down[i] -= 1e-5
        slope = (basis.values(up, steps) - basis.values(down, steps)) / 2e-5
        np.testing.assert_allclose(by.toarray()[:, i], slope, atol=1e-8)


def test_straight_lines_pass_through_their_knots() -> None:
    np.testing.assert_allclose(Linear().values(np.array([1.0, 3.0, 2.0]), 5), [1, 2, 3, 2.5, 2])


@given(units, st.integers(7, 300))
def test_window_means_undo_a_schedule(u, steps: int) -> None:
    flat = SPACE.from_unit(u)
    means = window_means(SPACE, schedule_values(SPACE, flat, steps))
    for name in flat:
        np.testing.assert_allclose(means[name], flat[name], rtol=1e-9)


def test_least_squares_undo_other_bases() -> None:
    space = Space({"learning_rate": Vector(4, Float(0.0, 1.0), Linear())})
    flat = space.from_unit(np.array([0.1, 0.9, 0.3, 0.5]))
    means = window_means(space, schedule_values(space, flat, 50))
    np.testing.assert_allclose(list(means.values()), list(flat.values()), rtol=1e-9)


@given(units, units, st.sampled_from([1, 3, 9]), st.booleans())
def test_pulling_back_is_the_adjoint_of_the_schedule(u, direction, epochs, compress) -> None:
    """⟨J d, c⟩ = ⟨d, Jᵀ c⟩ for the linear map from configuration to per-step values."""
    flat = SPACE.from_unit(u)
    brief = Brief(SPACE, (flat,), flat, (1, 3, 9), compress, seed=0)
    along = schedule(brief, Valley(), flat, epochs)
    assert along.steps == epochs * Valley().steps_per_epoch
    moved = dict(zip(SPACE.scalars, direction, strict=True))
    noise = np.random.default_rng(0)
    covector = {name: noise.normal(size=along.steps) for name in SPACE.domains}
    values = schedule(brief, Valley(), moved, epochs).values
    left = sum(float(values[name] @ covector[name]) for name in covector)
    pulled = along.pull_back({name: scaled(c) for name, c in covector.items()}).values()
    np.testing.assert_allclose(left, float(direction @ pulled), rtol=1e-9, atol=1e-9)


def test_a_truncated_training_follows_the_first_part() -> None:
    flat = SPACE.from_unit(np.array([0.1, 0.3, 0.5, 0.7, 0.9, 0.5, 0.2, 0.8]))
    brief = Brief(SPACE, (flat,), flat, (1, 10), False, seed=0)
    short, full = (schedule(brief, Valley(), flat, epochs) for epochs in (1, 10))
    for name in full.values:
        np.testing.assert_array_equal(short.values[name], full.values[name][:3])
    ones = {name: scaled(np.ones(3)) for name in SPACE.domains}
    np.testing.assert_array_equal(short.pull_back(ones).values(), [3, 0, 0, 0, 0, 3, 3, 0])


def test_what_a_space_leaves_out_has_the_rules_default() -> None:
    along = per_step(Adam(), {"learning_rate": np.full(4, 0.1)})
    assert along.values["beta2"].tolist() == [0.999] * 4
    assert along.coefficients == 4


@pytest.mark.parametrize(
    ("domains", "says"),
    [
        ({"layers": Float(1, 2)}, "layers is no hyperparameter of the update rule sgd"),
        ({"learning_rate.head": Float(0, 1)}, "no group head of weights, but bias"),
        ({"learning_rate": Categorical((0.1, 0.2))}, "not a Float"),
        ({"beta1": Float(0, 1)}, "learning_rate, momentum, weight_decay"),
    ],
)
def test_a_space_that_cannot_be_differentiated_is_refused_in_one_line(domains, says: str) -> None:
    problem = problem_of(plain_net, groups={"bias": lambda name: "bias" in name})
    space = Space(domains)
    flat = space.from_unit(np.zeros(len(space)))
    with pytest.raises(SearcherError, match=says) as caught:
        check_space(Brief(space, (flat,), flat, (1,), True, 0, rule=SGD()), problem)
    assert "\n" not in str(caught.value)


def test_a_problems_own_hyperparameters_are_in_its_schedule() -> None:
    problem = problem_of(plain_net, LabelSmoothing())
    along = per_step(SGD(), {"learning_rate": np.full(4, 0.1)}, problem)
    np.testing.assert_array_equal(along.values["label_smoothing"], np.zeros(4))
    check_schedule(along, problem)
    with pytest.raises(SearcherError, match="no values for label_smoothing"):
        Stored().hypergradient(
            problem, problem.draw(0), per_step(SGD(), {"learning_rate": np.full(4, 0.1)})
        )


RATES, SHORT = np.full(4, 0.1), np.full(3, 0.1)
Half = Differentiated(lambda values, steps: values.expand(steps // 2), "too short")


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: per_step(SGD(), {"learning_rate": RATES, "momentum": SHORT}), "one value a step"),
        (lambda: per_step(SGD(), {"learning_rate": RATES[:0]}), "at least 1 step"),
        (
            lambda: check_schedule(per_step(SGD(), {"lr": RATES}), problem_of(plain_net)),
            "the schedule has lr, which is no hyperparameter of the update rule sgd",
        ),
        (
            lambda: schedule_values(Space({"a": Vector(1, Float(0, 1), Half)}), {"a_0": 0.5}, 8),
            "a:",
        ),
        (
            lambda: schedule_values(
                Space({"a": Vector(3, Float(0, 1), Cosine)}), {f"a_{i}": 0.5 for i in range(3)}, 8
            ),
            "a Cosine has 2 values",
        ),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused_in_one_line(make, line: str) -> None:
    with pytest.raises(SearcherError, match=line) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_what_is_shown_of_a_schedule_is_short() -> None:
    problem = problem_of(plain_net)
    along = per_step(SGD(), {"learning_rate": np.full(300, 0.1)})
    assert repr(along) == "<Schedule of sgd: 300 steps, 300 coefficients of learning_rate>"
    short = per_step(SGD(), {"learning_rate": RATES})
    said = repr(Graphs().hypergradient(problem, problem.draw(0), short))
    assert said.startswith("<Hypergradient by graphs: [")
    assert len(said) < 120
