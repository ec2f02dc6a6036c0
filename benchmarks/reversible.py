"""What exactly reversible training costs: bits for each weight and step, and time.

    python benchmarks/reversible.py [LENET_STEPS]

The bits kept at momentum 0.9 and 0.98; whether trainings came back bit for bit (5,000 steps of a
784-128-10 network, and LENET_STEPS of LeNet, by default as many); the time of the exact training
and of the way back with its Hessian-vector products over that of plain training along the same
schedule, in interleaved pairs on one thread. Batches are 128 random images of MNIST's shape.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator

import numpy as np
import torch
from timing import Row, report, row, seconds
from torch import nn

from searchers.errors import SearcherError
from searchers.hypergradients.engines import validation_gradient
from searchers.hypergradients.reverse import Adjoint
from searchers.hypergradients.reversible import (
    ExactState,
    Reversible,
    check_returned,
    go_back_exactly,
    train_exactly,
    with_ratios,
)
from searchers.hypergradients.reversible_arithmetic import InformationBuffer, as_ratio
from searchers.hypergradients.schedules import Schedule, per_step
from searchers.hypergradients.training import Trained, start, train
from searchers.update_rules import SGD, Maclaurin, UpdateRule
from trainables.models import Shape, lenet
from trainables.network import Examples, NetworkProblem

MOMENTA = (0.9, 0.98)
PAIRS = 21
SHAPE = (1, 28, 28)
BATCH = 128


def mlp(shape: Shape, classes: int) -> nn.Module:
    """The 784-128-10 network of the published measurements: 101,770 weights."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(math.prod(shape), 128), nn.ReLU(), nn.Linear(128, classes)
    )


def rows(lenet_steps: int = 5000) -> Iterator[Row]:
    """Every figure, as it comes; what is counted, not timed, has no pairs and no interval."""
    for momentum in MOMENTA:
        for steps in (500, 5000):
            setting, target = f"momentum {momentum}, {steps} steps", 0.2 if steps == 5000 else None
            yield counted(
                "buffer", setting, bits(momentum, steps), "bits a weight and step", target
            )
    for model, steps in ((mlp, 5000), (lenet, lenet_steps)):
        for momentum in MOMENTA:
            setting = f"{model.__name__}, momentum {momentum}, {steps} steps"
            missed = not returns(model, momentum, steps)
            yield counted("not back bit for bit", setting, missed, "trainings", 0.0)
    for model, steps in ((mlp, 40), (lenet, 5)):
        for rule in (SGD(), Maclaurin()):
            setting = f"{model.__name__}, {rule.name}"
            forward, back = over_plain(model, rule, steps)
            yield row("exact training", setting, forward, "steps a step")
            yield row("way back", setting, back, "steps a step", 3.2)


def counted(what: str, setting: str, value: float, unit: str, target: float | None) -> Row:
    return Row(what, setting, value, value, value, 0, unit, target)


def bits(momentum: float, steps: int) -> float:
    """The buffer's memory after so many multiplications, however full its words."""
    buffer, velocity = InformationBuffer(1), torch.zeros(1, dtype=torch.float64)
    for _ in range(steps):
        buffer.multiply(velocity, as_ratio(momentum))
    return buffer.bits() / steps


def returns(model: Callable[..., nn.Module], momentum: float, steps: int) -> bool:
    """Whether the engine, which checks weights, velocity and buffer, came back bit for bit."""
    problem = problem_of(model)
    schedule = schedule_of(SGD(), steps, momentum)
    try:
        Reversible().hypergradient(problem, problem.draw(0), schedule)
    except SearcherError as error:
        print(error, file=sys.stderr)
        return False
    return True


def over_plain(
    model: Callable[..., nn.Module], rule: UpdateRule, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of the exact training and of the way back over the plain training's, (PAIRS,)."""
    problem = problem_of(model)
    draw, schedule = problem.draw(0), schedule_of(rule, steps, 0.9)
    begin = start(draw, rule)

    def once() -> tuple[float, float]:
        exact, buffers = ExactState(begin.state.weights, 40), dict(begin.buffers)
        plain = seconds(lambda: train(problem, draw, schedule, begin, range(steps)))
        there = seconds(lambda: train_exactly(problem, draw, schedule, exact, buffers))
        trained = Trained(exact.state(), buffers)
        adjoint = Adjoint(schedule, validation_gradient(problem, trained), trained.state)
        back = seconds(lambda: go_back_exactly(problem, draw, schedule, exact, buffers, adjoint))
        check_returned(exact, begin.state.weights)
        return there / plain, back / plain

    once()  # libraries are loaded, memory is there
    forward, back = np.array([once() for _ in range(PAIRS)]).T
    return forward, back


def problem_of(model: Callable[..., nn.Module]) -> NetworkProblem:
    stream = torch.Generator().manual_seed(0)
    count = 10 * BATCH
    inputs = torch.rand(count, *SHAPE, generator=stream)
    data = Examples(inputs, torch.randint(10, (count,), generator=stream))
    return NetworkProblem(
        lambda: model(SHAPE, 10), data, data, batch_size=BATCH, seed=0, device=torch.device("cpu")
    )


def schedule_of(rule: UpdateRule, steps: int, momentum: float) -> Schedule:
    values = {"learning_rate": 0.01, "momentum": momentum, "weight_decay": 1e-4}
    return with_ratios(per_step(rule, {n: np.full(steps, value) for n, value in values.items()}))


if __name__ == "__main__":
    report(rows)
