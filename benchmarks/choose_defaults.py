"""Which settings the gradient-based searchers should have, on tasks that no study reports on.

    python benchmarks/choose_defaults.py [--seeds 2] [--families fds,rmd,hd,greedy]

Each setting searches every task with every seed, up to budgets in training steps. Its incumbent
(the best single validation loss so far) is trained again on fresh draws; the mean of these losses
counts, as its own validation loss would favour who evaluates most. Prints Markdown tables: for each
setting and budget the mean rank within its family over (task, seed), and its loss divided by that
of the family's first setting, as a geometric mean over tasks and seeds; then that of each task.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.datasets import load_breast_cancer, load_wine, make_moons
from sklearn.preprocessing import scale
from torch import nn

from searchers import FDS, HD, RMD
from searchers.gradient.greedy import Greedy
from searchers.gradient.measured_points import measure
from searchers.gradient.outer_optimizers import AdamDescent, GradientDescent, SignDescent
from searchers.hypergradients.schedules import Schedule, schedule
from searchers.hypergradients.training import start, train
from searchers.inner_problem import InnerProblem
from searchers.protocols import Brief, Chain, Evaluation, GradientSearcher
from searchers.space import Float, Nested, Space, Vector
from searchers.update_rules import SGD, Adam, UpdateRule
from trainables.network import Examples, NetworkProblem
from trainables.rng import generator
from trainables.task import Instance, Task
from trainables.tasks.synthetic import NOISY_QUADRATIC

BUDGETS = (12, 36, 100)
"""In full trainings' worth of steps: about 3, 10 and 28 hypergradients."""

FRESH = range(10_000, 10_004)
"""Draws that no search sees."""


def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    if name == "cancer":
        inputs, labels = load_breast_cancer(return_X_y=True)
    elif name == "wine":
        inputs, labels = load_wine(return_X_y=True)
    elif name == "moons":
        inputs, labels = make_moons(600, noise=0.25, random_state=0)
    else:  # what a random network says, a tenth of it wrong
        stream = np.random.default_rng(0)
        inputs = stream.normal(size=(600, 12))
        hidden = np.tanh(inputs @ stream.normal(size=(12, 6)))
        labels = (hidden @ stream.normal(size=(6, 4))).argmax(1)
        labels = np.where(stream.random(600) < 0.1, stream.integers(0, 4, 600), labels)
    return scale(inputs), labels


def network(widths: tuple[int, ...], nonlinear: type[nn.Module]) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nonlinear()]
    return nn.Sequential(*layers[:-1])


def build(
    name: str,
    make_model: Callable[[], nn.Module],
    batch_size: int,
    seed: int,
    device: torch.device,
) -> Instance:
    """Five batches to train on, all others for validation; there is nothing to test."""
    inputs, labels = data(name)
    everything = Examples(torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels))
    order = torch.randperm(len(labels), generator=generator(seed, "split"))
    chosen = (order[: 5 * batch_size], order[5 * batch_size :])
    parts = (Examples(everything.inputs[part], everything.labels[part]) for part in chosen)
    problem = NetworkProblem(make_model, *parts, batch_size=batch_size, seed=seed, device=device)
    return Instance(problem, problem.validation)


LOG = Space(
    {
        "learning_rate": Vector(5, Float(1e-3, 3.0, log=True)),
        "momentum": Float(0.0, 0.99),
        "weight_decay": Float(1e-6, 1e-2, log=True),
    }
)
LINEAR = Space(
    {
        "learning_rate": Vector(5, Float(0.0, 1.0)),
        "momentum": Float(0.0, 0.99),
        "weight_decay": Float(0.0, 1e-2),
    }
)
OF_ADAM = Space(
    {
        "learning_rate": Vector(5, Float(1e-4, 0.3, log=True)),
        "beta1": Float(0.0, 0.99),
        "weight_decay": Float(1e-6, 1e-2, log=True),
    }
)


def task(
    name: str,
    space: Space,
    first: tuple[float, float, float],
    widths: tuple[int, ...],
    nonlinear: type[nn.Module],
    batch_size: int,
    rule: UpdateRule = SGD(),
) -> Task:
    """``first``: learning rate, momentum (or Adam's beta1) and weight decay of the start."""
    names = list(space.domains)
    flat: Nested = {names[0]: (first[0],) * 5, names[1]: first[1], names[2]: first[2]}
    return Task(
        name=name,
        summary="",
        build=partial(build, name, partial(network, widths, nonlinear), batch_size),
        space=space,
        initial=(flat,),
        default=flat,
        budgets=(1, 3, 9),
        smaller_budget="compress",
        loss_ceiling=10.0,
        rule=rule,
    )


TASKS = (
    task("cancer", LOG, (0.03, 0.5, 1e-5), (30, 16, 16, 2), nn.Tanh, 32),
    task("wine", LINEAR, (0.0, 0.0, 0.0), (13, 16, 3), nn.ReLU, 16),
    task("moons", LINEAR, (0.01, 0.5, 0.0), (2, 16, 16, 16, 2), nn.Tanh, 32),
    task("teacher", OF_ADAM, (3e-3, 0.9, 1e-5), (12, 24, 4), nn.ReLU, 32, Adam()),
    NOISY_QUADRATIC,
)

FAMILIES: Mapping[str, Mapping[str, GradientSearcher]] = {
    "fds": {
        "default": FDS(),
        "SignDescent(0.05)": FDS(SignDescent(0.05)),
        "SignDescent(0.2)": FDS(SignDescent(0.2)),
        "AdamDescent(0.05)": FDS(AdamDescent(0.05)),
        "AdamDescent(0.1)": FDS(AdamDescent(0.1)),
        "GradientDescent(0.1)": FDS(GradientDescent(0.1)),
        "tolerance=2": FDS(tolerance=2.0),
        "tolerance=10": FDS(tolerance=10.0),
        "warm_steps=0": FDS(warm_steps=0),
        "warm_steps=2": FDS(warm_steps=2),
        "warm_steps=4": FDS(warm_steps=4),
        "draws=3": FDS(draws=3),
        "last_step=0.03": FDS(last_step=0.03),
    },
    "rmd": {
        "default": RMD(),
        "AdamDescent(0.02)": RMD(AdamDescent(0.02)),
        "AdamDescent(0.1)": RMD(AdamDescent(0.1)),
        "SignDescent(0.1)": RMD(SignDescent(0.1)),
        "GradientDescent(0.1)": RMD(GradientDescent(0.1)),
        "AdamDescent(0.05, (0.9, 0.9))": RMD(AdamDescent(0.05, (0.9, 0.9))),
        "AdamDescent(0.1, (0.9, 0.9))": RMD(AdamDescent(0.1, (0.9, 0.9))),
        "AdamDescent(0.05, (0.5, 0.9))": RMD(AdamDescent(0.05, (0.5, 0.9))),
        "tolerance=2": RMD(tolerance=2.0),
    },
    "hd": {
        "default": HD(),
        "β a tenth": HD((1e-7, 1e-3), (1e-4, 1e-2)),
        "β ten times": HD((1e-5, 1e-1), (1e-2, 1.0)),
        "β upper half": HD((1e-4, 1e-2), (1e-2, 1e-1)),
    },
    "greedy": {
        "default": Greedy(),
        "horizon=3": Greedy(3),
        "horizon=20": Greedy(20),
        "GradientDescent(0.1)": Greedy(outer=GradientDescent(0.1)),
        "AdamDescent(0.05)": Greedy(outer=AdamDescent(0.05)),
        "SignDescent(0.05)": Greedy(outer=SignDescent(0.05)),
    },
}


def search(searcher: GradientSearcher, task: Task, seed: int) -> np.ndarray:
    """What the incumbent at each budget comes to on fresh draws, (budgets,)."""
    problem, brief = task.build(seed, torch.device("cpu")).inner, task.brief(seed, 1)
    full = brief.horizon * problem.steps_per_epoch
    spent, measured = 0, [(0, measure(problem, brief, brief.default, brief.horizon, 0))]
    for evaluation in searcher.search(problem, brief, Chain()):
        spent += evaluation.steps
        if evaluation.epochs == brief.horizon:
            measured.append((spent, evaluation))
        if spent > BUDGETS[-1] * full:
            break
    losses = []
    for budget in BUDGETS:
        in_time = [evaluation for spent, evaluation in measured if spent <= budget * full]
        incumbent = min(in_time, key=lambda evaluation: _loss(evaluation.metrics.loss, math.inf))
        losses.append(replayed(problem, brief, incumbent, task.loss_ceiling))
    return np.array(losses)


def replayed(problem: InnerProblem, brief: Brief, evaluation: Evaluation, ceiling: float) -> float:
    along = recorded(problem, brief, evaluation)
    losses = []
    for training in FRESH:
        draw = problem.draw(training)
        trained = train(problem, draw, along, start(draw, brief.rule), range(along.steps))
        losses.append(_loss(problem.validation(trained.weights).loss, ceiling))
    return float(np.mean(losses))


def _loss(loss: float, ceiling: float) -> float:
    return min(loss, ceiling) if math.isfinite(loss) else ceiling


def recorded(problem: InnerProblem, brief: Brief, evaluation: Evaluation) -> Schedule:
    """The schedule that was trained with: its configuration's, or what its note says."""
    along = schedule(brief, problem, evaluation.configuration, brief.horizon)
    noted = evaluation.notes.get("schedule", {})
    values = {name: np.array(by_step) for name, by_step in noted.items()}
    return Schedule(along.rule, {**along.values, **values}, groups=along.groups)


def table(family: str, outcomes: Mapping[str, np.ndarray]) -> str:
    """``outcomes``: setting → losses, (tasks, seeds, budgets)."""
    stacked = np.stack(list(outcomes.values()))
    ranks = rankdata(stacked, axis=0).mean(axis=(1, 2))
    beside = np.log(stacked / stacked[:1])
    overall, by_task = np.exp(beside.mean(axis=(1, 2))), np.exp(beside[..., -1].mean(axis=2))
    head = [f"rank, {b}" for b in BUDGETS] + [f"loss, {b}" for b in BUDGETS]
    head += [f"{t.name}, {BUDGETS[-1]}" for t in TASKS]
    lines = [f"| {family} | " + " | ".join(head) + " |", "| --- |" + " --- |" * len(head)]
    for i, setting in enumerate(outcomes):
        cells = [f"{r:.2f}" for r in ranks[i]] + [f"{x:.3f}" for x in overall[i]]
        cells += [f"{x:.2f}" for x in by_task[i]]
        lines.append(f"| {setting} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="settings of the gradient-based searchers")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--families", default=",".join(FAMILIES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    for family in arguments.families.split(","):
        outcomes = {
            setting: np.array(
                [
                    [search(searcher, task, seed) for seed in range(arguments.seeds)]
                    for task in TASKS
                ]
            )
            for setting, searcher in FAMILIES[family].items()
        }
        print(table(family, outcomes), "\n", flush=True)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
