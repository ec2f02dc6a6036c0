"""The hypergradients of every level: against finite differences, and an unrolled graph."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from searchers.errors import SearcherError
from searchers.online import SGD, AdaGrad, Adam, RMSProp, Tower, level_state
from searchers.online.arithmetic import Numbers, Tensors
from searchers.online.level_state import RunningNorm
from searchers.online.transforms import IDENTITY, SIGMOID, SQUARE, Transform

STEPS = 8
BETAS = ("lr", "beta1", "beta2")

BASES = {
    "sgd": SGD(0.1),
    "momentum": SGD(0.1, 0.9, learned=("lr", "momentum")),
    "dampened": SGD(0.1, 0.8, dampening=0.3, learned=("lr", "momentum")),
    "nesterov": SGD(0.1, 0.9, nesterov=True, learned=("lr", "momentum")),
    "adagrad": AdaGrad(0.1),
    "rmsprop": RMSProp(0.05, 0.8),
    "rmsprop all": RMSProp(0.05, 0.8, learned=("lr", "gamma")),
    "adam": Adam(0.05),
    "adam all": Adam(0.05, 0.8, 0.95, learned=BETAS),
    "adam of torch": Adam(0.05, 0.8, 0.95, initial_square=0.0, learned=BETAS),
    "adam betas": Adam(0.05, 0.8, 0.95, eps=1e-2, learned=("beta2", "beta1")),
    "adam beta2": Adam(0.05, 0.8, 0.95, learned=("beta2",)),
}


class Problem:
    """A small smooth net in float64 with a batch for each step."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(60, 9, 4, generator=generator, dtype=torch.float64)
        self.targets = torch.randn(60, 9, 2, generator=generator, dtype=torch.float64)
        shapes = [(4, 5), (5,), (5, 2)]
        self.start = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]

    def params(self) -> list[Tensor]:
        return [torch.nn.Parameter(w.clone()) for w in self.start]

    def loss(self, params: list[Tensor], step: int) -> Tensor:
        hidden = torch.tanh(self.inputs[step] @ params[0] + params[1])
        return (hidden @ params[2] - self.targets[step]).square().mean()

    def train(self, optimizer: torch.optim.Optimizer, params: list[Tensor], steps: range) -> None:
        for step in steps:
            optimizer.zero_grad()
            self.loss(params, step).backward()
            optimizer.step()


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem()


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
@pytest.mark.parametrize("steps", [1, STEPS])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_hypergradient_is_the_slope_of_the_next_loss(
    problem: Problem, base: Any, steps: int, weight_decay: float
) -> None:
    """Central differences of the loss after an update, by each raw number used in that update."""
    still = SGD(0.0)

    def trained(index: int = 0, shift: float = 0.0) -> tuple[Tower, list[Tensor]]:
        params = problem.params()
        tower = Tower(params, [base, still], weight_decay)
        problem.train(tower, params, range(steps - 1))
        group = tower.param_groups[0]
        state, *above = group["level_states"]
        raw = [number + shift * (i == index) for i, number in enumerate(state.raw)]
        state = level_state.with_raw(group["levels"][0], state, raw)
        group["level_states"], group["lr"] = [state, *above], state.values["lr"]
        problem.train(tower, params, range(steps - 1, steps))
        return tower, params

    def objective(params: list[Tensor]) -> float:
        decay = sum(float(p.detach().square().sum()) for p in params) * weight_decay / 2
        return problem.loss(params, steps).item() + decay

    tower, params = trained()
    problem.train(tower, params, range(steps, steps + 1))
    found = tower.param_groups[0]["hypergradient"]
    assert len(found) == len(base.learned)
    for index in range(len(base.learned)):
        up, down = (objective(trained(index, shift)[1]) for shift in (1e-6, -1e-6))
        assert found[index] == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-9)


TOWERS: dict[str, list[Any]] = {
    "sgd/sgd": [SGD(0.1), SGD(0.02)],
    "sgd/sgd/sgd/sgd": [SGD(0.05), SGD(1e-3), SGD(1e-5), SGD(1e-6)],
    "momentum at all levels": [
        SGD(0.02, 0.9, learned=("lr", "momentum")),
        SGD(2e-4, 0.5, learned=("lr", "momentum")),
        SGD(1e-5, 0.5),
    ],
    "adam/sgd": [Adam(0.02), SGD(0.001)],
    "adam/adam/adam/sgd": [
        Adam(0.02, learned=BETAS),
        Adam(0.01, learned=BETAS),
        Adam(0.01, learned=BETAS),
        SGD(1e-3),
    ],
    "rmsprop/rmsprop/sgd": [
        RMSProp(0.01, 0.9, learned=("lr", "gamma")),
        RMSProp(0.01, 0.95, learned=("lr", "gamma")),
        SGD(1e-3),
    ],
    "adagrad/adagrad/adam/rmsprop": [AdaGrad(0.05), AdaGrad(0.02), Adam(1e-3), RMSProp(1e-3)],
    "sgd/adam/adagrad": [SGD(0.1), Adam(0.01, learned=("lr", "beta1")), AdaGrad(1e-2)],
}


@pytest.mark.parametrize("levels", TOWERS.values(), ids=TOWERS)
def test_a_tower_is_the_one_that_autograd_unrolls(problem: Problem, levels: list[Any]) -> None:
    params = problem.params()
    tower = Tower(params, levels)
    problem.train(tower, params, range(40))
    expected_params, expected_raws = unrolled(problem, levels, 40)
    for found, expected in zip(params, expected_params, strict=True):
        torch.testing.assert_close(found.detach(), expected, rtol=1e-10, atol=1e-12)
    states = tower.param_groups[0]["level_states"]
    for state, raws in zip(states[:-1], expected_raws[:-1], strict=True):
        assert state.raw == pytest.approx([raw.item() for raw in raws], rel=1e-9)
    assert tower.param_groups[0]["skipped"] == 0


def unrolled(
    problem: Problem, levels: list[Any], steps: int
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """The same with autograd: every level's raw numbers stay in the graph for one step."""
    raws = [[to_tensor(level, name).requires_grad_() for name in level.learned] for level in levels]
    memories: list[list[dict[str, Tensor]]] = [[{} for _ in raw] for raw in raws[:-1]]
    memories.insert(0, [{} for _ in problem.start])
    params = [w.clone().requires_grad_() for w in problem.start]
    for step in range(steps):
        leaves = [*params, *(raw for level in raws for raw in level)]
        slopes = list(torch.autograd.grad(problem.loss(params, step), leaves, allow_unused=True))
        slopes = [
            torch.zeros_like(x) if s is None else s for x, s in zip(leaves, slopes, strict=True)
        ]
        widths = [len(params), *map(len, raws[:-1])]
        for height in reversed(range(len(levels))):
            below = params if height == 0 else raws[height - 1]
            first = sum(widths[:height])
            gradients = slopes[first : first + widths[height]]
            values = hyperparameters(levels[height], raws[height])
            for at, gradient in enumerate(gradients):
                move = MOVES[type(levels[height])](
                    levels[height], values, memories[height][at], gradient, step + 1
                )
                below[at] = below[at].detach() - move
                if not below[at].requires_grad:
                    below[at].requires_grad_()
    return [p.detach() for p in params], raws


def to_tensor(level: Any, name: str) -> Tensor:
    return torch.tensor(level.transforms[name].raw(getattr(level, name)), dtype=torch.float64)


def hyperparameters(level: Any, raws: list[Tensor]) -> dict[str, Any]:
    forward: dict[int, Callable[[Tensor], Tensor]] = {
        id(IDENTITY): lambda raw: raw,
        id(SQUARE): lambda raw: raw * raw,
        id(SIGMOID): lambda raw: (raw.tanh() + 1) / 2,
    }
    values = {name: getattr(level, name) for name in level.transforms}
    learned = zip(level.learned, raws, strict=True)
    return values | {name: forward[id(level.transforms[name])](raw) for name, raw in learned}


def sgd(level: Any, at: dict[str, Any], memory: dict[str, Tensor], g: Tensor, t: int) -> Tensor:
    if level.momentum:
        g = g + at["momentum"] * memory["v"] if "v" in memory else g
        memory["v"] = g.detach()
    return at["lr"] * g


def adam(level: Any, at: dict[str, Any], memory: dict[str, Tensor], g: Tensor, t: int) -> Tensor:
    before = memory or {"m": torch.zeros_like(g), "s": torch.full_like(g, level.initial_square)}
    m = at["beta1"] * before["m"] + (1 - at["beta1"]) * g
    s = at["beta2"] * before["s"] + (1 - at["beta2"]) * g * g
    memory.update(m=m.detach(), s=s.detach())
    root = (s / (1 - at["beta2"] ** t)).sqrt()
    return at["lr"] * m / (1 - at["beta1"] ** t) / (root + level.eps)


def adagrad(level: Any, at: dict[str, Any], memory: dict[str, Tensor], g: Tensor, t: int) -> Tensor:
    memory["s"] = memory.get("s", torch.full_like(g, level.initial_square)) + g * g
    return at["lr"] * g / (memory["s"] + level.eps).sqrt()


def rmsprop(level: Any, at: dict[str, Any], memory: dict[str, Tensor], g: Tensor, t: int) -> Tensor:
    s = at["gamma"] * memory.get("s", torch.zeros_like(g)) + (1 - at["gamma"]) * g * g
    memory["s"] = s.detach()
    return at["lr"] * g / (s + level.eps).sqrt()


MOVES: dict[type, Callable[..., Tensor]] = {
    SGD: sgd,
    Adam: adam,
    AdaGrad: adagrad,
    RMSProp: rmsprop,
}


@pytest.mark.parametrize("initial_square", [0.0, 1e-8])
def test_derivatives_are_zero_where_a_gradient_and_its_square_are(initial_square: float) -> None:
    """A constant pixel and a dead unit: their part of every hypergradient is 0, not NaN."""
    bases = [
        Adam(0.1, learned=BETAS, initial_square=initial_square),
        RMSProp(0.1, learned=("lr", "gamma")),
        AdaGrad(0.1, initial_square=initial_square),
        SGD(0.1, 0.9, learned=("lr", "momentum")),
    ]
    for base in bases:
        results = []
        for width in (2, 5):  # the last three weights never get a gradient
            weights = torch.nn.Parameter(torch.ones(width))
            tower = Tower([weights], [base, SGD(1e-3)])
            for step in range(5):
                weights.grad = torch.zeros(width)
                weights.grad[:2] = torch.tensor([0.3, -0.2 * step])
                tower.step()
            results.append(tower.param_groups[0]["hypergradient"])
            assert torch.equal(weights.detach()[2:], torch.ones(width - 2))
            assert tower.param_groups[0]["skipped"] == 0
        assert all(math.isfinite(value) for value in results[1])
        assert results[0] == pytest.approx(results[1], rel=1e-6)


NUMBERS = st.floats(-10, 10, allow_subnormal=False)


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
@settings(max_examples=25)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6))
def test_a_rule_moves_numbers_as_it_moves_tensors(
    base: Any, gradients: list[tuple[float, float]]
) -> None:
    at = {name: getattr(base, name) for name in base.transforms}
    x, y = [1.0, -2.0], [torch.tensor(v, dtype=torch.float64) for v in (1.0, -2.0)]
    kept = base.initial_memory()
    memory = {name: [number] * 2 for name, number in kept.items()}
    tensors = {name: [torch.full_like(t, number) for t in y] for name, number in kept.items()}
    for step, gradient in enumerate(gradients, 1):
        pull = [torch.tensor(g, dtype=torch.float64) for g in gradient]
        level_state.move(base, Numbers, x, memory, list(gradient), at, step)
        level_state.move(base, Tensors, y, tensors, pull, at, step)
    assert x == pytest.approx([t.item() for t in y], rel=1e-9, abs=1e-12)
    for name in memory:
        expected = [t.item() for t in tensors[name]]
        assert memory[name] == pytest.approx(expected, rel=1e-7, abs=1e-9)


@given(st.sampled_from([IDENTITY, SQUARE, SIGMOID]), st.floats(0.001, 0.999))
def test_a_raw_number_stands_for_its_value(transform: Transform, value: float) -> None:
    raw = transform.raw(value)
    assert transform.value(raw) == pytest.approx(value, rel=1e-9)
    slope = (transform.value(raw + 1e-6) - transform.value(raw - 1e-6)) / 2e-6
    assert transform.slope(raw) == pytest.approx(slope, rel=1e-4)


@given(st.floats(-1e6, 1e6))
def test_a_decay_rate_stays_between_0_and_1(raw: float) -> None:
    assert 0 < SIGMOID.value(raw) < 1
    assert math.isfinite(SIGMOID.slope(raw))


def test_clipping_follows_its_three_formulas() -> None:
    norm = RunningNorm()
    gradient, norm = level_state.clipped(norm, [0.0, 0.0])
    assert gradient == [0.0, 0.0]
    assert norm.terms == 0, "counting starts at the first gradient that is not zero"
    gradient, norm = level_state.clipped(norm, [3.0, 4.0])
    assert gradient == [3.0, 4.0]  # threshold 5, norm 5
    gradient, norm = level_state.clipped(norm, [6.0, 8.0])
    assert gradient == pytest.approx([4.5, 6.0])  # threshold (1 · 5 + 10) / 2 = 7.5, norm 10
    assert norm.mean == pytest.approx((5 + 7.5) / 2)
    gradient, norm = level_state.clipped(norm, [0.6, -0.8])
    assert gradient == [0.6, -0.8]  # threshold (2 · 6.25 + 1) / 3, norm 1
    assert norm == (3, pytest.approx((2 * 6.25 + 1) / 3))


def test_clipping_scales_what_a_level_moves_by(problem: Problem) -> None:
    """The learning rate is moved by the clipped hypergradients, each in turn."""
    params, plain_params = problem.params(), problem.params()
    tower = Tower(params, [SGD(0.1), SGD(0.01)], clip="hypergradients")
    norm, lr = RunningNorm(), 0.1
    for step in range(40):
        problem.train(tower, params, range(step, step + 1))
        group = tower.param_groups[0]
        gradient, norm = level_state.clipped(norm, group["hypergradient"])
        lr -= 0.01 * gradient[0]
        assert group["lr"] == pytest.approx(lr, rel=1e-12)
    plain = Tower(plain_params, [SGD(0.1), SGD(0.01)])
    problem.train(plain, plain_params, range(40))
    assert plain.param_groups[0]["lr"] != pytest.approx(lr, rel=1e-6)


@pytest.mark.parametrize(
    "levels",
    [
        [SGD(0.1, 0.9), SGD(0.01)],
        [RMSProp(0.01), Adam(1e-2), SGD(1e-3)],
        [Adam(0.05, learned=BETAS), SGD(1e-3)],
        [AdaGrad(0.1)],
    ],
)
def test_gradients_are_clipped_by_a_running_mean_of_each_parameters_own(
    problem: Problem, levels: list[Any]
) -> None:
    """As if somebody clipped each p.grad before the tower sees it."""
    params, by_hand = problem.params(), problem.params()
    tower = Tower(params, levels, clip="all")
    reference = Tower(by_hand, levels, clip="hypergradients")
    norms, clipped = [RunningNorm() for _ in by_hand], 0
    for step in range(40):
        problem.train(tower, params, range(step, step + 1))
        reference.zero_grad()
        problem.loss(by_hand, step).backward()
        for i, p in enumerate(by_hand):
            assert p.grad is not None
            gradient, norms[i] = level_state.clipped(norms[i], p.grad.flatten().tolist())
            clipped += gradient != p.grad.flatten().tolist()
            p.grad = torch.tensor(gradient, dtype=p.dtype).view_as(p)
        reference.step()
        for p, q in zip(params, by_hand, strict=True):
            torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)
    assert clipped > 20
    assert tower.hyperparameters()[0][0] == pytest.approx(reference.hyperparameters()[0][0])


def test_running_means_of_gradients_are_saved_and_loaded(problem: Problem) -> None:
    levels = [RMSProp(0.01), SGD(1e-3)]
    params = problem.params()
    tower = Tower(params, levels, clip="all")
    problem.train(tower, params, range(10))
    others = [torch.nn.Parameter(p.detach().clone()) for p in params]
    loaded = Tower(others, levels, clip="all")
    file = io.BytesIO()
    torch.save(tower.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    problem.train(tower, params, range(10, 20))
    problem.train(loaded, others, range(10, 20))
    for p, q in zip(params, others, strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=0)


def test_a_gradient_that_is_not_finite_is_no_part_of_the_running_mean() -> None:
    p = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    tower = Tower([p], [SGD(0.1), SGD(0.0)], clip="all")
    for gradient in ([3.0, 4.0], [math.inf, 0.0], [6.0, 8.0]):
        before = p.detach().clone()
        p.grad = torch.tensor(gradient, dtype=p.dtype)
        tower.step()
        if math.isfinite(gradient[0]):
            expected = [3.0, 4.0] if gradient[0] == 3 else [4.5, 6.0]
            torch.testing.assert_close(before - p.detach(), 0.1 * torch.tensor(expected).double())
        else:
            p.data.copy_(before)


def test_a_state_of_before_clipping_had_a_choice_goes_on(problem: Problem) -> None:
    for before, now in ((True, "hypergradients"), (False, None)):
        params = problem.params()
        tower = Tower(params, [SGD(0.1), SGD(0.01)], clip=now)
        problem.train(tower, params, range(5))
        saved = tower.state_dict()
        saved["param_groups"][0]["clip"] = before
        tower.load_state_dict(saved)
        assert tower.param_groups[0]["clip"] == now


@pytest.mark.parametrize("clip", [True, False, "weights", 1.0])
def test_what_can_be_clipped_is_named(problem: Problem, clip: Any) -> None:
    with pytest.raises(SearcherError, match='clip is "hypergradients", "all" or None'):
        Tower(problem.params(), [SGD(0.1)], clip=clip)
