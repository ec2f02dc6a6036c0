"""Whether one-step hypergradients, those of hypergradient descent and of optimizer towers, agree
with finite differences of the next batch's loss."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hpobench.audit.agreement import FINITE, apart, fourth_order
from hpobench.audit.problems import BATCH_SIZE, EXAMPLES, NETS, RULES, Case, case, examples
from hpobench.audit.rows import DIFFERENCES, Agreement
from searchers.hypergradients.derivatives import direction
from searchers.hypergradients.training import clone, gradient, rows, start
from searchers.online import SGD, AdaGrad, Adam, RMSProp, Tower
from searchers.online.level_state import with_raw
from searchers.online.levels import Level
from searchers.update_rules import State, UpdateRule
from trainables.modules import seeded

HD, TOWER = "hd", "tower"
STEP, STEPS, DECAY = 1e-4, 4, 0.02
DECAYS = ("lr", "beta1", "beta2")
LEVELS: dict[str, Level] = {
    "sgd": SGD(0.05, momentum=0.8, dampening=0.1, learned=("lr", "momentum")),
    "nesterov": SGD(0.05, momentum=0.8, nesterov=True, learned=("lr", "momentum")),
    "adam": Adam(0.005, 0.9, 0.95, eps=1e-3, learned=DECAYS),
    "rmsprop": RMSProp(0.005, 0.9, eps=1e-3, learned=("lr", "gamma")),
    "adagrad": AdaGrad(0.005),
}
"""A tower's base for each rule that has one, with everything learned that it can learn."""


def online(rules: Sequence[UpdateRule] = RULES) -> Iterator[Agreement]:
    """HD's hypergradient on every rule and net, a tower's on every base and net; float64."""
    for rule in rules:
        for net in NETS:
            yield descent(case(rule, net))
            if rule.name in LEVELS:
                yield from tower(rule.name, net)


def descent(at: Case) -> Agreement:
    """h = −⟨g(wₜ₊₁), u⟩ at each step but the last, against the next batch's loss."""
    along, draw = at.along(at.flat), at.problem.draw(0)
    state, buffers = start(draw, at.rule)
    every = list(rows(along, range(along.steps), state.weights))
    found, expected = [], []

    def slope(vector: Tensor, step: int) -> Tensor:
        batch, theta = draw.batch(step), every[step].theta
        return gradient(at.problem, vector, clone(buffers), batch, theta)

    def moved(state: State, step: int, shift: float) -> State:
        here = every[step].at
        rate = here["learning_rate"] + shift
        return at.rule.update(
            state, slope(state.weights, step), {**here, "learning_rate": rate}, step
        )

    def next_loss(state: State, step: int, shift: float) -> float:
        weights, batch = moved(state, step, shift).weights, draw.batch(step + 1)
        theta = every[step + 1].theta
        return float(at.problem.training_loss(weights, clone(buffers), batch, theta))

    for step in range(along.steps - 1):
        before, here = slope(state.weights, step), every[step].at
        after = moved(state, step, 0.0)
        went = direction(at.rule, state, before, after, here, step)
        found.append(-float(torch.dot(slope(after.weights, step + 1), went)))
        expected.append(fourth_order(partial(next_loss, state, step), STEP))
        state = after
    return _row(HD, at.rule.name, at.net, "learning_rate", found, expected)


def tower(rule: str, net: str) -> Iterator[Agreement]:
    """The hypergradient of every raw number that a base level learns, at its fourth step."""
    level = LEVELS[rule]
    model = seeded(NETS[net], 0).double()
    optimizer = Tower(model.parameters(), [level, SGD(0.0)], weight_decay=DECAY)
    for step in range(STEPS - 1):
        _loss(model, step).backward()
        optimizer.step()
        optimizer.zero_grad()
    before = copy.deepcopy((model, optimizer))

    def moved(index: int, shift: float) -> tuple[nn.Module, Tower]:
        """The fourth step with one raw number shifted."""
        model, optimizer = copy.deepcopy(before)
        _loss(model, STEPS - 1).backward()
        group = optimizer.param_groups[0]
        base, *above = group["level_states"]
        raw = [number + shift * (i == index) for i, number in enumerate(base.raw)]
        base = with_raw(level, base, raw)
        group["level_states"], group["lr"] = [base, *above], base.values["lr"]
        optimizer.step()
        optimizer.zero_grad()
        return model, optimizer

    def loss(index: int, shift: float) -> float:
        """The next batch's, with the weight decay that a tower counts to its gradient."""
        there = moved(index, shift)[0]
        decay = DECAY / 2 * sum(p.square().sum() for p in there.parameters())
        return float((_loss(there, STEPS) + decay).detach())

    model, optimizer = moved(0, 0.0)
    _loss(model, STEPS).backward()
    optimizer.step()
    found = optimizer.param_groups[0]["hypergradient"]
    for index, name in enumerate(level.learned):
        expected = fourth_order(partial(loss, index), STEP)
        yield _row(TOWER, rule, net, name, [found[index]], [expected])


def _loss(model: nn.Module, step: int) -> Tensor:
    """The cross-entropy of one batch, with dropout by the step."""
    data = examples(EXAMPLES, 0)
    batch = slice(step * BATCH_SIZE, (step + 1) * BATCH_SIZE)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(step)
        return cross_entropy(model(data.inputs[batch]), data.labels[batch])


def _row(
    label: str, rule: str, net: str, name: str, found: Sequence[float], expected: Sequence[float]
) -> Agreement:
    there = np.array(expected)
    difference, size = apart(np.array(found), there), float(np.abs(there).max())
    return Agreement(label, rule, net, name, FINITE, difference, DIFFERENCES, size)
