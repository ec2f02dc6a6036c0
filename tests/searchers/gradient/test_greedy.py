"""Greedy hypergradients: of H steps, exactly, and with a memory that carries on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pytest
import torch

from searchers.errors import SearcherError
from searchers.gradient.greedy import Greedy, Rest, RestOf, constant, one_at_a_time
from searchers.gradient.measured_points import measure
from searchers.gradient.outer_optimizers import GradientDescent, SignDescent
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Graphs
from searchers.hypergradients.schedules import per_step, schedule
from searchers.hypergradients.training import start, train
from searchers.protocols import Brief, Chain
from searchers.space import Float, Space, Vector
from searchers.testing.gradient import Valley, example_brief
from searchers.update_rules import SGD, Adam, UpdateRule

RULES = [SGD(), SGD(nesterov=True), Adam()]
DOMAINS = {
    "learning_rate": Vector(2, Float(1e-3, 0.5, log=True)),
    "momentum": Float(0.0, 0.9),
    "beta1": Float(0.5, 0.99),
    "weight_decay": Vector(3, Float(0.0, 0.1)),
}


def brief_of(rule: UpdateRule) -> Brief:
    names = {name: d for name, d in DOMAINS.items() if name in rule.defaults}
    flat = Space(names).from_unit(np.linspace(0.4, 0.6, len(Space(names))))
    return Brief(Space(names), (flat,), flat, (1, 9), True, 0, rule=rule)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("horizon", [1, 4, 27, 100])
def test_is_the_training_along_the_schedule_that_it_records(rule, horizon: int) -> None:
    """So weights, momentum and the count of steps carry on from window to window."""
    brief = brief_of(rule)
    searcher = Greedy(horizon, GradientDescent(0.02))
    adapted = searcher.adapt(Valley(), brief, brief.initial[0], 5)
    along = per_step(rule, adapted.values)
    draw = Valley().draw(5)
    again = train(Valley(), draw, along, start(draw, rule), range(27))
    torch.testing.assert_close(again.state.weights, adapted.trained.state.weights)
    windows = -(-27 // horizon)
    for values in adapted.values.values():
        assert windows - 1 <= len(set(values)) <= windows  # at first momentum changes nothing
        assert all(len(set(values[i : i + horizon])) == 1 for i in range(0, 27, horizon))


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("engine", [Graphs(), Forward()], ids=repr)
def test_the_hypergradient_is_that_of_the_window_from_where_the_training_stands(
    rule, engine
) -> None:
    brief, draw, done, steps = brief_of(rule), Valley().draw(2), 6, 3
    space = one_at_a_time(brief.space)
    flat = space.from_unit(np.full(len(space), 0.4))
    before = schedule(brief, Valley(), brief.initial[0], 9)
    reached = train(Valley(), draw, before, start(draw, rule), range(done))
    rest, rest_of = Rest(draw, reached, done), RestOf(rule, reached.state.memory, done)
    found = engine.hypergradient(Valley(), rest, constant(Valley(), rest_of, flat, steps))

    def loss(values: dict[str, float]) -> float:
        full = {n: np.full(done + steps, v) for n, v in values.items()}
        trained = train(Valley(), draw, per_step(rule, full), reached, range(done, done + steps))
        return float(Valley().validation_loss(*trained.weights))

    for i, (name, value) in enumerate(flat.items()):
        h = 1e-6 * max(abs(value), 1e-2)
        expected = (loss({**flat, name: value + h}) - loss({**flat, name: value - h})) / (2 * h)
        assert found.by_coefficient.values()[i] == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_a_window_as_long_as_the_training_changes_nothing() -> None:
    brief = example_brief("scalar")
    (first,) = islice(Greedy(horizon=27).search(Valley(), brief, Chain()), 1)
    plain = measure(Valley(), brief, brief.initial[0], brief.horizon, 0)
    assert first.metrics == plain.metrics
    assert first.steps == plain.steps == 27


def test_the_schedule_moves_as_the_outer_optimizer_says() -> None:
    """On the way down a longer step is better all along: signs step by step."""
    brief = example_brief("scalar")
    searcher = Greedy(horizon=9, outer=SignDescent(0.05))
    (first,) = islice(searcher.search(Valley(), brief, Chain()), 1)
    rates = np.array(first.notes["schedule"]["learning_rate"])
    begin = float(brief.initial[0]["learning_rate"])
    factor = (10.0 / 1e-3) ** 0.05
    np.testing.assert_allclose(rates[::9] / begin, factor ** np.arange(3), rtol=1e-6)
    assert first.steps == 27 + 2 * 18 + 2  # two windows differentiated, two validation gradients


@pytest.mark.slow
def test_the_shorter_the_horizon_the_smaller_the_learning_rate() -> None:
    """The short-horizon bias of Wu et al.: noise is avoided at once, progress is lost later."""

    @dataclass(frozen=True)
    class Noisy(Valley):
        def draw(self, training: int):
            return _NoisyDraw(super().draw(training))

        def validation_loss(self, vector, buffers):
            return (torch.tensor([0.01, 0.01, 1.0, 1.0]).double() * vector.square()).sum() / 2

    space = Space({"learning_rate": Float(1e-2, 1.0, log=True)})
    flat = {"learning_rate": 0.5}
    brief = Brief(space, (flat,), flat, (60,), True, 0)
    ends = []
    for horizon in (1, 20):
        searcher = Greedy(horizon=horizon, outer=GradientDescent(0.002 * horizon))
        rates = [
            searcher.adapt(Noisy(), brief, flat, training).values["learning_rate"][-1]
            for training in range(3)
        ]
        ends.append(np.exp(np.log(rates).mean()))
    assert ends[0] < ends[1] / 1.5


@dataclass(frozen=True)
class _NoisyDraw:
    inner: object

    def initial(self):
        weights = self.inner.initial()
        return weights._replace(vector=weights.vector * torch.tensor([10.0, 10, 1, 1]).double())

    def batch(self, step: int):
        return 50 * self.inner.batch(step) * torch.tensor([0.0, 0, 1, 1]).double()


def test_restarts_from_draws_of_the_prior() -> None:
    brief = example_brief()
    found = list(islice(Greedy(horizon=14).search(Valley(), brief, Chain()), 8))
    momenta = [e.notes["schedule"]["momentum"][0] for e in found]
    assert momenta[:2] == pytest.approx([c["momentum"] for c in brief.initial])
    assert len(set(momenta)) == 8
    other = next(Greedy(horizon=14).search(Valley(), replace(brief, seed=1), Chain(3, 4)))
    assert other.notes["schedule"]["momentum"][0] not in momenta


def test_a_nan_hypergradient_is_reported() -> None:
    class Broken(Valley):
        def validation_loss(self, vector, buffers):
            return super().validation_loss(vector, buffers) * float("nan")

    brief = example_brief()
    first = next(Greedy(horizon=9).search(Broken(), brief, Chain()))
    assert first.notes["nonfinite"] == list(brief.space.domains)
    assert all(len(set(v)) == 1 for v in first.notes["schedule"].values())


def test_a_horizon_of_no_step_is_refused() -> None:
    with pytest.raises(SearcherError, match="a greedy horizon is a whole number, 1 or more"):
        Greedy(horizon=0)
