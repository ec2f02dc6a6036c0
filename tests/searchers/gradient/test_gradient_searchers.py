"""The gradient-based searchers: the contract, and what each of them is for."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from itertools import groupby, islice, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from searchers.catalog import SEARCHERS as CATALOG
from searchers.errors import SearcherError
from searchers.gradient.fds import FDS
from searchers.gradient.greedy import Greedy
from searchers.gradient.hd import HD, adapt
from searchers.gradient.measured_points import evaluate, hypergradient_note
from searchers.gradient.outer_optimizers import AdamDescent, GradientDescent, SignDescent
from searchers.gradient.rmd import RMD, per_step
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.reversible import Reversible
from searchers.hypergradients.scaled import scaled
from searchers.hypergradients.schedules import by_unit
from searchers.inner_problem import Metrics
from searchers.protocols import BlackBoxSearcher, Brief, Chain
from searchers.space import Categorical, Float, Space, Vector
from searchers.testing.gradient import Valley, check_gradient, example_brief

SEARCHERS = [s for s in CATALOG.values() if not isinstance(s, BlackBoxSearcher)]
VARIANTS = [
    FDS(outer=AdamDescent(), name="fds with Adam"),
    FDS(outer=GradientDescent(), draws=2, name="fds with gradient descent"),
    RMD(outer=SignDescent(), name="rmd with signs"),
    Greedy(horizon=4, outer=SignDescent(0.01), name="greedy with signs"),
]


def test_the_catalog_has_every_gradient_based_searcher() -> None:
    assert {s.name for s in SEARCHERS} == {"hd", "greedy", "fds", "fds_published", "rmd"}


@pytest.mark.slow
@pytest.mark.parametrize("searcher", [*SEARCHERS, *VARIANTS], ids=lambda s: s.name)
def test_contract(searcher) -> None:
    check_gradient(searcher)


@pytest.mark.slow
@pytest.mark.parametrize("searcher", [FDS(), RMD(), *VARIANTS[:3]], ids=lambda s: s.name)
@pytest.mark.parametrize("space", ["log", "linear"])
def test_improves_on_where_it_began(searcher, space: str) -> None:
    brief = example_brief(space)
    brief = replace(brief, initial=(brief.space.from_unit(np.full(len(brief.space), 0.15)),))
    found = list(islice(searcher.search(Valley(), brief, Chain()), 25))
    first, *_ = evaluate(Valley(), brief, brief.initial[0], 9, 0, Auto())
    best = min(e.metrics.loss for e in found if e.epochs == 9)
    assert best < first.metrics.loss / 3


@dataclass(frozen=True)
class Cliff(Valley):
    """A valley whose validation loss is infinite for a long way of weights."""

    def validation(self, weights) -> Metrics:
        metrics = super().validation(weights)
        return Metrics(math.inf) if metrics.loss > 1e3 else metrics


@pytest.mark.parametrize(
    "searcher", [FDS(SignDescent(0.4)), RMD(AdamDescent(0.6))], ids=lambda s: s.name
)
def test_comes_back_from_beyond_the_edge(searcher) -> None:
    brief = example_brief("linear")
    brief = replace(brief, initial=(brief.space.from_unit(np.array([0.17, 0.17, 0.17, 0.5])),))
    found = list(islice(searcher.search(Cliff(), brief, Chain()), 30))
    losses = [e.metrics.loss for e in found]
    assert max(losses) > 100  # it did go over
    assert losses[-1] < 1


def test_a_nan_hypergradient_is_reported() -> None:
    @dataclass(frozen=True)
    class Broken(Valley):
        def validation_loss(self, vector, buffers):
            return super().validation_loss(vector, buffers) * (math.nan if len(buffers) else 1)

        def training_loss(self, vector, buffers, batch, theta):
            return (
                super().training_loss(vector, buffers, batch) + 0 * (vector - vector).sqrt().sum()
            )

    evaluation, derivative = evaluate(
        Broken(), example_brief(), example_brief().initial[0], 1, 0, Auto()
    )
    assert not np.isfinite(derivative).all()
    assert set(evaluation.notes["nonfinite"]) <= set(example_brief().space.scalars)
    assert evaluation.notes["nonfinite"]


def test_the_hypergradient_of_each_outer_step_is_noted() -> None:
    """By the fraction of each range; of what has a value a step, the norm over the steps."""
    brief = example_brief()
    (fds,) = islice(FDS(warm_steps=0).search(Valley(), brief, Chain()), 1)
    _, derivative = evaluate(Valley(), brief, brief.initial[0], 9, 0, Auto())
    assert list(fds.notes["hypergradient"]) == list(brief.space.scalars)
    assert list(fds.notes["hypergradient"].values()) == pytest.approx(derivative, rel=1e-4)
    fine = per_step(brief, 27)
    (rmd,) = islice(RMD().search(Valley(), brief, Chain()), 1)
    _, by_step = evaluate(Valley(), fine, fine.initial[0], 9, 0, Auto())
    steps, rest = by_step[:27], by_step[27:]
    expected = [np.linalg.norm(steps), *rest]
    assert list(rmd.notes["hypergradient"]) == list(brief.space.domains)
    assert list(rmd.notes["hypergradient"].values()) == pytest.approx(expected, rel=1e-4)


@given(st.dictionaries(st.text(max_size=3), st.floats(), max_size=5))
def test_a_noted_hypergradient_is_json_and_has_what_is_finite(derivatives) -> None:
    noted = hypergradient_note(derivatives).get("hypergradient", {})
    assert set(noted) == {name for name, d in derivatives.items() if math.isfinite(d)}
    assert json.loads(json.dumps(noted, allow_nan=False)) == noted
    for name, value in noted.items():
        assert value == pytest.approx(np.clip(derivatives[name], -1e300, 1e300), rel=1e-4)


def test_leaving_the_fixed_point_numbers_is_a_divergence() -> None:
    """Exact reversal cannot go on there; the search can."""
    brief = example_brief("linear")
    brief = replace(brief, initial=(brief.space.from_unit(np.array([0.9, 0.9, 0.9, 0.5])),))
    exact = FDS(engine=Reversible())
    found = list(islice(exact.search(Valley(), brief, Chain()), 4))
    assert "left the range" in found[-1].notes["engine"]
    assert set(found[-1].notes["nonfinite"]) == set(brief.space.scalars)
    assert found[-1].metrics.loss > 1e3


def test_in_fds_smaller_budgets_come_after_a_full_training_of_what_was_offered() -> None:
    epochs = [
        e.epochs for e in islice(FDS(warm_steps=2).search(Valley(), example_brief(), Chain()), 7)
    ]
    assert epochs == [9, 1, 1, 3, 3, 9, 9]


@pytest.mark.slow
def test_fds_averages_over_more_draws_once_it_has_converged() -> None:
    found = islice(FDS(warm_steps=0).search(Valley(), example_brief(), Chain()), 200)
    configurations = (tuple(e.configuration.values()) for e in found)
    repeats = (at for at, (a, b) in enumerate(pairwise(configurations)) if a == b)
    assert next(repeats, 0) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("space", ["log", "linear"])
def test_fds_never_comes_to_rest(space: str) -> None:
    """Restart after restart it goes on moving, with no more draws than it may have."""
    searcher = FDS(most_draws=4)
    found = list(islice(searcher.search(Valley(), example_brief(space), Chain()), 125))
    configurations = [tuple(e.configuration.values()) for e in found]
    longest = max(len(list(same)) for _, same in groupby(configurations))
    assert longest <= 4
    assert len(set(configurations[-50:])) > 10


def test_hd_follows_schedules_of_its_other_hyperparameters() -> None:
    space = Space(
        {"learning_rate": Float(1e-3, 1.0, log=True), "momentum": Vector(3, Float(0.0, 0.9))}
    )
    flat = {"learning_rate": 0.1, "momentum_0": 0.0, "momentum_1": 0.5, "momentum_2": 0.9}
    brief = Brief(space, (flat,), flat, (1, 3), True, 0)
    (first,) = islice(HD().search(Valley(), brief, Chain()), 1)
    assert [first.configuration[f"momentum_{i}"] for i in range(3)] == [0.0, 0.5, 0.9]


def test_rmd_has_a_value_for_each_step() -> None:
    brief = example_brief()
    fine = per_step(brief, 27)
    assert len(fine.space) == 27 + 2
    found = list(islice(RMD().search(Valley(), brief, Chain()), 5))
    schedule = found[-1].notes["schedule"]["learning_rate"]
    assert len(schedule) == 27
    assert len(set(schedule)) > 3  # more freedom than the windows have
    windows = np.log(np.reshape(schedule, (3, 9))).mean(axis=1)
    said = [found[-1].configuration[f"learning_rate_{i}"] for i in range(3)]
    np.testing.assert_allclose(np.exp(windows), said, rtol=1e-5)


def test_hd_is_the_additive_rule_of_baydin() -> None:
    """α ← α + β⟨gₜ, uₜ₋₁⟩, by hand on the valley without momentum."""
    brief = example_brief("linear")
    flat = dict.fromkeys(brief.space.scalars, 0.05) | {"momentum": 0.0}
    trained, rates, lost = adapt(Valley(), Valley().draw(3), brief, flat, beta=1e-3)
    curvature = torch.linspace(0.2, 1.0, 4, dtype=torch.float64)
    draw = Valley().draw(3)
    weights, last, rate = draw.initial().vector, torch.zeros(4).double(), 0.05
    for step in range(27):
        gradient = curvature * weights + draw.batch(step)
        rate += 1e-3 * float(gradient @ last)
        assert rates[step] == pytest.approx(rate, rel=1e-12)
        weights, last = weights - rate * gradient, gradient
    torch.testing.assert_close(trained.state.weights, weights)
    assert lost == 0


def test_hd_restarts_from_draws_of_the_prior_and_stays_in_range() -> None:
    brief = example_brief()
    found = list(islice(HD().search(Valley(), brief, Chain()), 20))
    momenta = [e.configuration["momentum"] for e in found]
    assert momenta[:2] == pytest.approx([c["momentum"] for c in brief.initial])
    assert len(set(momenta)) == 20
    for evaluation in found:
        rates = evaluation.notes["schedule"]["learning_rate"]
        assert 1e-3 <= min(rates) <= max(rates) <= 10.0


@pytest.mark.parametrize("searcher", SEARCHERS, ids=lambda s: s.name)
@pytest.mark.parametrize(
    "space",
    [
        Space({"layers": Float(1, 2)}),
        Space({"learning_rate": Categorical((0.1, 0.2))}),
    ],
)
def test_a_space_without_derivatives_is_refused_in_one_line(searcher, space: Space) -> None:
    flat = space.from_unit(np.zeros(1))
    brief = Brief(space, (flat,), flat, (1,), True, 0)
    with pytest.raises(SearcherError) as caught:
        next(searcher.search(Valley(), brief, Chain()))
    assert "\n" not in str(caught.value)


def test_hd_reports_a_hypergradient_that_is_not_finite() -> None:
    @dataclass(frozen=True)
    class Breaking(Valley):
        """Its gradients are NaN at last."""

        def training_loss(self, vector, buffers, batch, theta):
            gone = math.nan if float(vector.detach().norm()) < 3.7 else 1.0
            return super().training_loss(vector, buffers, batch) * gone

    (broken,) = islice(HD().search(Breaking(), example_brief(), Chain()), 1)
    assert broken.notes["nonfinite"] == ["learning_rate"]
    assert len(broken.notes["schedule"]["learning_rate"]) == 27
    (whole,) = islice(HD().search(Valley(), example_brief(), Chain()), 1)
    assert "nonfinite" not in whole.notes


def test_hd_adapts_one_learning_rate() -> None:
    rate = Float(1e-3, 1.0)
    space = Space({"learning_rate": rate, "learning_rate.bias": rate})
    flat = space.from_unit(np.full(2, 0.5))
    with pytest.raises(SearcherError, match=r"learning_rate\.bias"):
        adapt(Valley(), Valley().draw(0), Brief(space, (flat,), flat, (1,), True, 0), flat, 0.1)


def test_hd_needs_a_learning_rate() -> None:
    space = Space({"momentum": Vector(2, Float(0.0, 0.9))})
    flat = space.from_unit(np.zeros(2))
    with pytest.raises(SearcherError, match="adapts a learning rate"):
        next(HD().search(Valley(), Brief(space, (flat,), flat, (1,), True, 0), Chain()))


UNITS = Space(
    {
        "learning_rate": Vector(7, Float(1e-3, 3.0, log=True)),
        "momentum": Float(0.0, 0.99),
        "weight_decay": Float(1e-6, 3e-3, log=True),
    }
)


@given(arrays(float, len(UNITS), elements=st.floats(0.001, 0.999)))
def test_by_unit_is_the_chain_rule(u) -> None:
    flat = UNITS.from_unit(u)
    h = 1e-6
    for i, name in enumerate(UNITS.scalars):
        up, down = u.copy(), u.copy()
        up[i] += h
        down[i] -= h
        slope = (UNITS.from_unit(up)[name] - UNITS.from_unit(down)[name]) / (2 * h)
        unit = by_unit(UNITS, flat, scaled(np.eye(len(u))[i]))[i]
        np.testing.assert_allclose(unit, slope, rtol=1e-5)
