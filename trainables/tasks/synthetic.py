"""Two tasks whose best schedule is known in closed form.

`quadratic` is deterministic: gradient descent on ½ Σ hᵢ wᵢ² with as many steps as there are
eigenvalues. A step of length 1/hᵢ removes the i-th component for good, so the learning rates
1/h₁, 1/h₂, …, in any order and without momentum, reach loss 0.

`noisy_quadratic` is stochastic: ½ h |w|² in d dimensions, each gradient with Gaussian noise of
deviation σ a coordinate. With A = E|w|² a step gives

    A' = (1 − αh)² A + α² σ² d,    smallest at α = h A / (h² A + σ² d),

which is smaller the smaller A is, so the greedy schedule is the best one. It is the Kalman filter
for the minimum seen through noisy gradients, the best of all linear estimators: momentum, which is
linear too, may be searched but cannot do better. (Weight decay pulls to the minimum, which happens
to be 0 here, and is left out.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from searchers.inner_problem import NO_THETA, Buffers, Metrics, Theta, Weights
from searchers.space import Float, Space, Vector
from trainables.rng import generator
from trainables.task import Instance, Task

STEPS = 9  # one learning rate each
EIGENVALUES = tuple(10 ** (-i / (STEPS - 1)) for i in range(STEPS))  # 1 … 0.1

CURVATURE = 1.0  # h
DIMENSION = 200  # d
NOISE = DIMENSION**-0.5  # σ, so that σ² d is 1
START = 10.0  # |w|² before the first step


@dataclass(frozen=True)
class QuadraticDraw:
    """One training: where it starts, and the gradient noise of its steps.

    Args:
        problem: the cell's.
        training: its number.
    """

    problem: QuadraticProblem
    training: int

    def initial(self) -> Weights:
        start = self.problem.start(generator(self.problem.seed, self.training, "weights"))
        return Weights(start.to(self.problem.device), {})

    def batch(self, step: int) -> Tensor:
        """The noise added to the step's gradient, shape (P,)."""
        problem = self.problem
        stream = generator(problem.seed, self.training, f"step {step}")
        noise = torch.randn(len(problem.eigenvalues), generator=stream, dtype=torch.float64)
        return (problem.noise * noise).to(problem.device)


@dataclass(frozen=True)
class QuadraticProblem:
    """½ Σ hᵢ wᵢ² with noisy gradients, one step an epoch; validation is exact. In float64.

    Args:
        eigenvalues: the hᵢ, shape (P,).
        noise: the deviation of each coordinate of a gradient.
        start: CPU generator → initial weights, shape (P,).
        seed: the cell's.
        device: where it trains.
        steps_per_epoch: one, so that epochs are steps.
    """

    eigenvalues: Tensor
    noise: float
    start: Callable[[torch.Generator], Tensor]
    seed: int
    device: torch.device
    steps_per_epoch: int = 1
    hyperparameters: ClassVar[Mapping[str, float]] = {}
    groups: ClassVar[Mapping[str, Tensor]] = {}

    def draw(self, training: int) -> QuadraticDraw:
        return QuadraticDraw(self, training)

    def training_loss(
        self, vector: Tensor, buffers: Buffers, batch: Tensor, theta: Theta = NO_THETA
    ) -> Tensor:
        return self.validation_loss(vector, buffers) + batch @ vector

    def validation_loss(self, vector: Tensor, buffers: Buffers) -> Tensor:
        return 0.5 * (self.eigenvalues * vector**2).sum()

    def validation(self, weights: Weights) -> Metrics:
        return Metrics(float(self.validation_loss(weights.vector, weights.buffers)))


def expected_loss(learning_rates: Sequence[float], momentum: float = 0.0) -> float:
    """E ½ h |w|² of `noisy_quadratic` after one step with each of the learning rates.

    Exact: the recursion of E|w|², E w·v and E|v|² for v' = momentum · v + gradient,
    w' = w − α v'.
    """
    h, variance = CURVATURE, NOISE**2 * DIMENSION
    ww, wv, vv = START, 0.0, 0.0
    for alpha in learning_rates:
        w_next_v = momentum * wv + h * ww  # E w · v'
        vv = momentum**2 * vv + 2 * momentum * h * wv + h**2 * ww + variance
        ww = ww - 2 * alpha * w_next_v + alpha**2 * vv
        wv = w_next_v - alpha * vv
    return 0.5 * h * ww


def optimal_schedule(steps: int = STEPS) -> tuple[float, ...]:
    """The learning rates with the smallest `expected_loss`; their momentum is 0."""
    h, variance = CURVATURE, NOISE**2 * DIMENSION
    ww, schedule = START, []
    for _ in range(steps):
        schedule.append(h * ww / (h**2 * ww + variance))
        ww = ww * variance / (h**2 * ww + variance)
    return tuple(schedule)


def exact_schedule() -> tuple[float, ...]:
    """Learning rates that solve `quadratic`, loss 0, with momentum 0."""
    return tuple(1 / h for h in EIGENVALUES)


def _equal_losses(stream: torch.Generator) -> Tensor:
    """The same for every draw; each component holds the same part of a loss of 1."""
    return (torch.tensor(EIGENVALUES, dtype=torch.float64) * STEPS / 2) ** -0.5


def _on_a_sphere(stream: torch.Generator) -> Tensor:
    """A random direction; |w|² is START exactly."""
    direction = torch.randn(DIMENSION, generator=stream, dtype=torch.float64)
    return direction * (START**0.5 / direction.norm())


def _build(
    eigenvalues: tuple[float, ...],
    noise: float,
    start: Callable[[torch.Generator], Tensor],
    seed: int,
    device: torch.device,
) -> Instance:
    """Nothing is held out: validation and test are both the exact loss."""
    values = torch.tensor(eigenvalues, dtype=torch.float64, device=device)
    problem = QuadraticProblem(values, noise, start, seed, device)
    return Instance(problem, problem.validation)


QUADRATIC = Task(
    name="quadratic",
    summary=f"½ Σ hᵢ wᵢ², {STEPS} eigenvalues from 1 to 0.1, {STEPS} steps; best loss 0 (known)",
    build=partial(_build, EIGENVALUES, 0.0, _equal_losses),
    space=Space(
        {
            "learning_rate": Vector(STEPS, Float(0.1, 20.0, log=True)),
            "momentum": Float(0.0, 0.9),
        }
    ),
    initial=({"learning_rate": (0.5,) * STEPS, "momentum": 0.0},),
    default={"learning_rate": (1.0,) * STEPS, "momentum": 0.5},
    optimum={"learning_rate": exact_schedule(), "momentum": 0.0},
    budgets=(1, 3, 9),
    smaller_budget="truncate",  # a window is one step: fewer steps have no room for all windows
    loss_ceiling=100.0,
    metric="loss",
)

NOISY_QUADRATIC = Task(
    name="noisy_quadratic",
    summary=(
        f"½ |w|² in {DIMENSION} dimensions, noisy gradients, {STEPS} steps; "
        f"best mean loss {expected_loss(optimal_schedule()):.4f} (known)"
    ),
    build=partial(_build, (CURVATURE,) * DIMENSION, NOISE, _on_a_sphere),
    space=Space(
        {
            "learning_rate": Vector(STEPS, Float(0.01, 2.0, log=True)),
            "momentum": Float(0.0, 0.9),
        }
    ),
    initial=({"learning_rate": (0.1,) * STEPS, "momentum": 0.0},),
    default={"learning_rate": (0.2,) * STEPS, "momentum": 0.0},
    optimum={"learning_rate": optimal_schedule(), "momentum": 0.0},
    budgets=(1, 3, 9),
    smaller_budget="truncate",  # the first part of the best schedule is the best short schedule
    loss_ceiling=100.0,
    metric="loss",
)
