"""The UCI digits (8 × 8 pixels, 1,797 images, from scikit-learn): small, real, discriminating.

Two tasks, one problem: `digits` has the practitioner's log-scaled learning rates, and
`digits_weak_prior` linear ranges from zero as in the FDS paper. How wide and on which scale one
searches decides much of any comparison, so both are shown.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from searchers.space import Float, Space, Vector
from trainables.network import Examples, NetworkProblem, joined
from trainables.rng import generator
from trainables.task import Instance, Task

WINDOWS = 7
HIGHEST_LEARNING_RATE = 3.0
HIGHEST_MOMENTUM = 0.99
HIGHEST_WEIGHT_DECAY = 3e-3


def four_layer_net() -> nn.Module:
    """Four hidden tanh layers of 32: deep enough that a poor schedule does not train it."""
    layers: list[nn.Module] = []
    width = 64
    for _ in range(4):
        layers += [nn.Linear(width, 32), nn.Tanh()]
        width = 32
    return nn.Sequential(*layers, nn.Linear(width, 10))


def _images() -> tuple[Tensor, Tensor]:
    """What ``sklearn.datasets.load_digits`` loads, without its import.

    That takes half a second to a second, which every process of every cell would pay.
    """
    library = find_spec("sklearn")
    assert library is not None
    assert library.origin is not None
    file = Path(library.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.float32))
    return table[:, :-1] / 16.0, table[:, -1].long()


def build(seed: int, device: torch.device) -> Instance:
    """1,000 train, 400 validation, 397 test, drawn by the cell's seed; the full set has 1,400."""
    inputs, labels = _images()
    order = torch.randperm(len(labels), generator=generator(seed, "split"))
    train, validation, test = (
        Examples(inputs[part], labels[part]) for part in order.split([1000, 400, 397])
    )

    def trained_on(examples: Examples) -> NetworkProblem:
        return NetworkProblem(
            four_layer_net, examples, validation, batch_size=32, seed=seed, device=device
        )

    problem, examples = trained_on(train), test.to(device)
    return Instance(
        problem,
        test=lambda weights: problem.measure(weights, examples),
        full=lambda: trained_on(joined(train, validation)),
    )


DIGITS = Task(
    name="digits",
    summary="UCI digits, four tanh layers of 32, 9 epochs; learning rates on a log scale",
    build=build,
    space=Space(
        {
            "learning_rate": Vector(WINDOWS, Float(1e-3, HIGHEST_LEARNING_RATE, log=True)),
            "momentum": Float(0.0, HIGHEST_MOMENTUM),
            "weight_decay": Float(1e-6, HIGHEST_WEIGHT_DECAY, log=True),
        }
    ),
    initial=({"learning_rate": (0.055,) * WINDOWS, "momentum": 0.5, "weight_decay": 1e-5},),
    default={"learning_rate": (0.055,) * WINDOWS, "momentum": 0.9, "weight_decay": 1e-5},
    budgets=(1, 3, 9),
    smaller_budget="compress",
    loss_ceiling=10.0,
)

DIGITS_WEAK_PRIOR = Task(
    name="digits_weak_prior",
    summary="UCI digits, the same training; every range linear and starting at zero",
    build=build,
    space=Space(
        {
            "learning_rate": Vector(WINDOWS, Float(0.0, HIGHEST_LEARNING_RATE)),
            "momentum": Float(0.0, HIGHEST_MOMENTUM),
            "weight_decay": Float(0.0, HIGHEST_WEIGHT_DECAY),
        }
    ),
    initial=({"learning_rate": (0.0,) * WINDOWS, "momentum": 0.0, "weight_decay": 0.0},),
    default={"learning_rate": (0.055,) * WINDOWS, "momentum": 0.9, "weight_decay": 0.0},
    budgets=(1, 3, 9),
    smaller_budget="compress",
    loss_ceiling=10.0,
)
