"""An engine as a user might write it, in a file: autograd through the whole training. Some wrong
ones beside it, each with a mistake that is easily made."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from searchers.errors import SearcherError
from searchers.hypergradients.engines import Hypergradient
from searchers.hypergradients.scaled import scaled
from searchers.hypergradients.training import Trained, clone, grouped, layout, start
from searchers.update_rules import State


@dataclass(frozen=True)
class Unrolled:
    """``mistake``: what is wrong with it; none by default."""

    mistake: str = ""
    name: str = "unrolled"

    def hypergradient(self, problem, draw, schedule):
        begin, buffers = start(draw, schedule.rule), clone(draw.initial().buffers)
        state = begin.state
        values = {n: torch.tensor(v, requires_grad=True) for n, v in schedule.values.items()}
        laid = {name: layout(schedule, name) for name in grouped(schedule)}
        clamp = getattr(schedule.rule, "clamp", None)
        rule = schedule.rule if clamp is None else replace(schedule.rule, clamp=None)
        state = State(state.weights.clone().requires_grad_(), state.memory)
        for step in range(schedule.steps):
            at = {n: column[step] for n, column in values.items() if "." not in n}
            for name, (names, index) in laid.items():
                at[name] = torch.stack([values[each][step] for each in names])[index]
            theta = {n: at[n] for n in problem.hyperparameters}
            slope = self._slope(problem, state.weights, buffers, draw.batch(step), theta, clamp)
            state = rule.update(state, slope, at, step)
        loss = problem.validation_loss(state.weights, clone(buffers))
        names = list(schedule.jacobian)
        found = torch.autograd.grad(loss, [values[n] for n in names], allow_unused=True)
        by_step = {
            n: np.zeros(schedule.steps) if by is None else by.numpy().copy()
            for n, by in zip(names, found, strict=True)
        }
        self._spoil(by_step)
        trained = state.weights.detach()
        if self.mistake == "another training":
            trained = trained + 1e-6
        return Hypergradient(
            by_coefficient=schedule.pull_back({n: scaled(by) for n, by in by_step.items()}),
            trained=Trained(State(trained, state.memory), buffers),
            steps=3 * schedule.steps,
            seconds={},
            engine=self.name,
        )

    def _slope(self, problem, weights, buffers, batch, theta, clamp):
        loss = problem.training_loss(weights, buffers, batch, theta)
        plain = torch.autograd.grad(loss, weights, create_graph=True)[0]
        if clamp is None:
            return plain
        if self.mistake != "clamp order":
            return plain.clamp(-clamp, clamp)
        inside = (plain.detach().abs() <= clamp).double()
        # The same values; backward, the adjoint is masked after the Hessian and not before.
        masked = weights * inside + (weights * (1 - inside)).detach()
        loss = problem.training_loss(masked, clone(buffers), batch, theta)
        slope = torch.autograd.grad(loss, masked, create_graph=True)[0]
        return slope + (slope.clamp(-clamp, clamp) - slope).detach()

    def _spoil(self, by_step):
        if self.mistake == "momentum's sign" and "momentum" in by_step:
            by_step["momentum"] *= -1
        if self.mistake == "no last step":
            for by in by_step.values():
                by[-1] = 0
        if self.mistake == "nan":
            by_step["learning_rate"][0] = np.nan


@dataclass(frozen=True)
class Broken:
    name: str = "broken"

    def hypergradient(self, problem, draw, schedule):
        raise ZeroDivisionError("one too few\nand more")


@dataclass(frozen=True)
class Refusing:
    name: str = "refusing"

    def hypergradient(self, problem, draw, schedule):
        raise SearcherError("never on a Monday")


@dataclass(frozen=True)
class Short(Unrolled):
    """Too few derivatives."""

    name: str = "short"

    def hypergradient(self, problem, draw, schedule):
        result = super().hypergradient(problem, draw, schedule)
        return replace(result, by_coefficient=scaled(result.by_coefficient.values()[1:]))


@dataclass(frozen=True)
class Unsendable:
    name: str = "unsendable"
    what: object = lambda: None

    def hypergradient(self, problem, draw, schedule): ...


ready = Unrolled()
number = 3
