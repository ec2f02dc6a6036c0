"""Every engine against finite differences and against every other, in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from searchers.errors import SearcherError
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.forward import Directions, Forward
from searchers.hypergradients.reverse import Binomial, Checkpointed, Graphs, Stored
from searchers.hypergradients.schedules import Schedule, per_step, schedule
from searchers.hypergradients.training import start, train
from searchers.protocols import Brief
from searchers.schedule_bases import Cosine, Linear
from searchers.space import Float, Space, Vector
from searchers.testing.gradient import Valley
from searchers.update_rules import SGD, UPDATE_RULES, Adam, UpdateRule
from tests.searchers.hypergradients.small_problems import (
    NETS,
    differences,
    dropout_net,
    loss_of,
    normalised_net,
    plain_net,
    problem_of,
    usual,
    varied,
)
from trainables.training_losses import (
    InputNoise,
    LabelSmoothing,
    LearnedInputs,
    Ridge,
    WeightedExamples,
)

STEPS = 10
ENGINES: list[Engine] = [
    Graphs(),
    Checkpointed(),
    Checkpointed(segment=4),
    Binomial(slots=2),
    Forward(),
    Forward(chunk=5),
    Auto(),
]


def ids(thing: object) -> str:
    return getattr(thing, "name", getattr(thing, "__name__", repr(thing)))


def rich_space(rule: UpdateRule, *more: str) -> Space:
    """Windows, straight lines, a cosine and scalars, over everything that the rule has."""
    domains: dict[str, Float | Vector] = {
        name: Vector(3, Float(0.0, 1.0)) if i % 2 else Float(0.0, 1.0)
        for i, name in enumerate((*rule.defaults, *more))
    }
    domains["learning_rate"] = Vector(4, Float(0.0, 1.0), Linear())
    domains["learning_rate.bias"] = Vector(2, Float(0.0, 1.0), Cosine)
    domains["weight_decay.bias"] = Float(0.0, 1.0)
    return Space(domains)


def rich_schedule(problem, rule: UpdateRule, *more: str) -> Schedule:
    space = rich_space(rule, *more)
    flat = {}
    for name in space.domains:
        keys = space.names_of(name)
        flat |= {k: usual(rule, name.split(".")[0]) * (1 - 0.1 * i) for i, k in enumerate(keys)}
    brief = Brief(space, (flat,), flat, (1, 3), True, 1, rule=rule)
    return schedule(brief, problem, flat, 2)


@pytest.mark.slow
@pytest.mark.parametrize("rule", UPDATE_RULES, ids=ids)
@pytest.mark.parametrize("net", NETS, ids=ids)
def test_all_engines_agree(rule: UpdateRule, net) -> None:
    problem = problem_of(net, LabelSmoothing(), {"bias": lambda name: name.endswith("bias")})
    along = rich_schedule(problem, rule, "label_smoothing")
    first = Stored().hypergradient(problem, problem.draw(0), along)
    expected = first.by_coefficient.values()
    assert np.abs(expected).min() > 0
    for engine in ENGINES:
        result = engine.hypergradient(problem, problem.draw(0), along)
        apart = np.abs(result.by_coefficient.values() - expected).max()
        assert apart <= 1e-12 * max(1.0, np.abs(expected).max()), engine
        assert torch.equal(result.trained.state.weights, first.trained.state.weights)
        for name, buffer in first.trained.buffers.items():
            assert torch.equal(result.trained.buffers[name], buffer), engine


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "net"),
    [
        *((rule, plain_net) for rule in UPDATE_RULES),
        *((rule, net) for rule in (SGD(), Adam()) for net in NETS if net is not plain_net),
    ],
    ids=ids,
)
def test_agrees_with_finite_differences(rule: UpdateRule, net) -> None:
    """Every rule on one net, and two of them on the others; the audit's test mixes them more."""
    problem = problem_of(net, LabelSmoothing())
    values = varied(rule, STEPS, ("label_smoothing",))
    result = Stored().hypergradient(problem, problem.draw(0), per_step(rule, values))
    held = result.trained.buffers
    for name in values:
        for step in (0, STEPS // 2, STEPS - 1):
            expected = differences(problem, rule, values, held, name, step)
            found = result.by_step[name].values()[step]
            assert abs(found - expected) < 1e-7 * max(1.0, abs(expected)), (name, step)


@pytest.mark.parametrize(
    ("objective", "name"),
    [(LabelSmoothing(), "label_smoothing"), (InputNoise(), "noise"), (Ridge(), "ridge")],
)
def test_a_hyperparameter_of_the_loss(objective, name: str) -> None:
    problem = problem_of(plain_net, objective)
    values = varied(SGD(), STEPS, (name,))
    along = per_step(SGD(), values)
    results = [e.hypergradient(problem, problem.draw(0), along) for e in (Stored(), Forward())]
    held = results[0].trained.buffers
    place = STEPS * list(values).index(name)
    for step in (0, 6, STEPS - 1):
        expected = differences(problem, SGD(), values, held, name, step)
        for result in results:
            found = result.by_coefficient.values()[place + step]
            assert abs(found - expected) < 1e-8
    assert np.abs(results[0].by_step[name].values()).max() > 1e-5


@pytest.mark.parametrize("rule", [SGD(), Adam()], ids=ids)
def test_constants_of_any_shape(rule: UpdateRule) -> None:
    """Weights of examples, training inputs, a weight decay for each weight, initial weights."""
    rng = torch.Generator().manual_seed(3)

    def draw_like(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=rng, dtype=torch.float64)

    weights = len(problem_of(plain_net).draw(0).initial().vector)
    cases = [
        (WeightedExamples(), "example_weights", draw_like(40)),
        (LearnedInputs(), "inputs", 0.1 * draw_like(40, 6)),
        (None, "weight_decay", 0.1 * draw_like(weights)),
    ]
    for objective, name, constant in cases:
        problem = problem_of(plain_net, objective)
        base = per_step(rule, varied(rule, STEPS))
        base = replace(base, values={**base.values, **_still(problem, STEPS)})
        along = replace(base, constants={name: constant})
        for engine in (Stored(), Checkpointed(segment=4)):
            result = engine.hypergradient(problem, problem.draw(0), along)
            direction = draw_like(*constant.shape) - 0.5
            losses = [
                loss_of(problem, replace(base, constants={name: constant + h * direction}), {})
                for h in (1e-5, -1e-5)
            ]
            expected = (losses[0] - losses[1]) / 2e-5
            found = float((result.by_constant[name] * direction).sum())
            assert found == pytest.approx(expected, abs=1e-8), name
            assert abs(expected) > 1e-6


def _still(problem, steps: int) -> dict[str, np.ndarray]:
    return {name: np.full(steps, value) for name, value in problem.hyperparameters.items()}


def test_initial_weights() -> None:
    problem = problem_of(plain_net)
    along = per_step(SGD(), varied(SGD(), STEPS))
    result = Stored().hypergradient(problem, problem.draw(0), along)
    begin = start(problem.draw(0), SGD())
    direction = torch.randn(len(begin.state.weights), dtype=torch.float64)

    def loss(h: float) -> float:
        moved = SGD().init(begin.state.weights + h * direction)
        at = begin._replace(state=moved)
        trained = train(problem, problem.draw(0), along, at, range(STEPS))
        return float(problem.validation_loss(trained.state.weights, trained.buffers))

    assert result.by_initial is not None
    expected = (loss(1e-6) - loss(-1e-6)) / 2e-6
    assert float(result.by_initial @ direction) == pytest.approx(expected, abs=1e-8)


def test_a_clamped_gradient_is_differentiated_as_it_is_clamped() -> None:
    """diag(m) · H, not H · diag(m): against finite differences with a third of it clamped."""
    problem, rule = problem_of(plain_net), SGD(clamp=0.05)
    values = varied(rule, STEPS)
    along = per_step(rule, values)
    results = [
        e.hypergradient(problem, problem.draw(0), along) for e in (Stored(), Forward(), Graphs())
    ]
    held = results[0].trained.buffers
    for i, name in enumerate(values):
        expected = differences(problem, rule, values, held, name, 4, h=1e-6)
        for result in results:
            found = result.by_coefficient.values()[i * STEPS + 4]
            assert abs(found - expected) < 1e-7
    free = Stored().hypergradient(problem, problem.draw(0), per_step(SGD(), values))
    assert not torch.allclose(free.trained.state.weights, results[0].trained.state.weights)


def test_the_published_clamp_is_not_the_exact_hypergradient_once_it_fires() -> None:
    problem = problem_of(plain_net)
    along = per_step(SGD(), varied(SGD(), STEPS))
    exact, loose, tight = (
        e.hypergradient(problem, problem.draw(0), along).by_coefficient.values()
        for e in (Forward(chunk=4), Forward(1e6, chunk=4), Forward(0.01, chunk=4))
    )
    np.testing.assert_array_equal(exact, loose)
    assert np.abs(exact - tight).max() > 1e-3
    assert np.isfinite(tight).all()


def test_tangents_of_the_losss_hyperparameters_lie_where_the_loss_is() -> None:
    problem = problem_of(plain_net, Ridge())
    along = per_step(SGD(), varied(SGD(), STEPS, ("ridge",)), problem)
    tangents = Directions(along).by_theta(0, 1, torch.device("meta"))
    assert {name: tangent.device.type for name, tangent in tangents.items()} == {"ridge": "meta"}


def test_forward_mode_says_that_it_has_no_constants() -> None:
    problem = problem_of(plain_net, WeightedExamples())
    along = replace(
        per_step(SGD(), varied(SGD(), 3)), constants={"example_weights": torch.ones(40)}
    )
    with pytest.raises(SearcherError, match="example_weights"):
        Forward().hypergradient(problem, problem.draw(0), along)


def test_the_training_of_an_engine_is_the_plain_training() -> None:
    problem = problem_of(normalised_net)
    along = per_step(Adam(), varied(Adam(), STEPS))
    draw = problem.draw(0)
    plain = train(problem, draw, along, start(draw, Adam()), range(STEPS))
    for engine in ENGINES:
        trained = engine.hypergradient(problem, problem.draw(0), along).trained
        assert torch.equal(plain.state.weights, trained.state.weights)
        for name in plain.buffers:
            assert torch.equal(plain.buffers[name], trained.buffers[name])


def test_dropout_is_replayed_and_leaves_the_random_state_alone() -> None:
    problem = problem_of(dropout_net)
    vector, buffers = problem.draw(0).initial()
    before = torch.get_rng_state()
    losses = [float(problem.training_loss(vector, buffers, problem.draw(0).batch(2)))] * 2
    other = float(problem.training_loss(vector, buffers, problem.draw(1).batch(2)))
    assert losses[0] == losses[1] != other
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("rate", [1e4, 1e-4])
def test_a_wild_horizon_gives_a_sign_and_a_magnitude(rate: float) -> None:
    """A quadratic in float64 past 10^±308: the closed form has the logarithm."""

    class Steep(Valley):
        def training_loss(self, vector, buffers, batch, theta=None):
            return (1 - rate) * vector.square().sum() / 2  # each step of 1 multiplies by rate

        def validation_loss(self, vector, buffers):
            return vector.sum()

        def draw(self, training):
            draw = super().draw(training)
            small = type("Small", (), {})()
            small.initial = lambda: draw.initial()._replace(vector=torch.full((4,), 2.0).double())
            small.batch = draw.batch
            return small

    steps = 60
    along = per_step(SGD(), {"learning_rate": np.ones(steps)})
    result = Stored().hypergradient(Steep(), Steep().draw(0), along)
    # w_T = w_0 Π (1 − α_t (1 − r)); d Σ w_T / dα_t = −4 · 2 (1 − r) r^(T − 1)
    expected = np.log2(8 * abs(1 - rate)) + (steps - 1) * np.log2(rate)
    if rate < 1:
        np.testing.assert_allclose(result.by_coefficient.log2, expected, rtol=1e-9)
        assert (result.by_coefficient.sign == -1).all()
        assert (result.by_initial == 0).sum() == 0
    else:
        np.testing.assert_allclose(result.by_coefficient.log2, expected, rtol=1e-9)
        assert (result.by_coefficient.sign == 1).all()


def test_float32_does_not_overflow_where_the_weights_do_not() -> None:
    """Curvature 10⁸ along a weight that stays 0: the adjoint reaches 10^800."""

    class Saddle(Valley):
        def training_loss(self, vector, buffers, batch, theta=None):
            return -1e8 * vector[0].square() / 2 + vector[1:].sum()

        def validation_loss(self, vector, buffers):
            return vector.sum()

    class Still:
        def initial(self):
            from searchers.inner_problem import Weights

            return Weights(torch.zeros(4), {})

        def batch(self, step):
            return None

    along = per_step(SGD(), {"learning_rate": np.ones(100), "weight_decay": np.zeros(100)})
    result = Stored().hypergradient(Saddle(), Still(), along)
    assert np.isfinite(result.by_coefficient.mantissa).all()
    assert result.by_initial is not None
    assert result.by_initial[0] == float("inf")  # 10^800: beyond float64
    assert not result.by_initial.isnan().any()


def test_auto_says_what_it_takes_and_why() -> None:
    problem = problem_of(plain_net)
    space = Space({"learning_rate": Vector(9, Float(0.0, 1.0)), "momentum": Float(0.0, 1.0)})
    one = Space({"learning_rate": Float(0.0, 1.0)})

    def along(chosen: Space) -> Schedule:
        flat = chosen.from_unit(np.full(len(chosen), 0.1))
        brief = Brief(chosen, (flat,), flat, (1, 60), True, 1)
        return schedule(brief, problem, flat, 60)

    def choice(chosen: Space, memory: int) -> tuple[str, str]:
        engine, why = Auto(memory).choose(problem, problem.draw(0), along(chosen))
        return engine.name, why

    assert choice(space, 1 << 30)[0] == "graphs"
    assert choice(space, 1 << 19)[0] == "stored"
    assert choice(space, 1 << 15)[0] == "checkpointed"
    assert choice(one, 1 << 15)[0] == "forward"
    assert "MiB" in choice(space, 1 << 15)[1]
    result = Auto().hypergradient(problem, problem.draw(0), along(space))
    assert result.engine.startswith("graphs: all graphs fit")


@pytest.mark.parametrize("make", [lambda: Checkpointed(0), lambda: Binomial(0), lambda: Forward(0)])
def test_settings_that_make_no_sense(make) -> None:
    with pytest.raises(SearcherError) as caught:
        make()
    assert "\n" not in str(caught.value)
