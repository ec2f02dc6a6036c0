"""Update rules: how one training step changes the weights, and the derivative of that change.

Vectors have shape (P,). A rule is pure: it returns new tensors and changes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

Values = Mapping[str, float]
"""The value of each hyperparameter at one step."""


class State(NamedTuple):
    """Weights and momentum buffer, each of shape (P,); also the shape of their adjoint."""

    weights: Tensor
    velocity: Tensor


class SGD:
    """Stochastic gradient descent with momentum and weight decay, as in `torch.optim.SGD`.

    v ← momentum · v + g + weight_decay · w, then w ← w − learning_rate · v.
    """

    hyperparameters: ClassVar[tuple[str, ...]] = ("learning_rate", "momentum", "weight_decay")

    @staticmethod
    def init(weights: Tensor) -> State:
        return State(weights, torch.zeros_like(weights))

    @staticmethod
    def update(state: State, gradient: Tensor, at: Values) -> State:
        velocity = state.velocity * at["momentum"]
        velocity.add_(gradient).add_(state.weights, alpha=at["weight_decay"])
        return State(state.weights.add(velocity, alpha=-at["learning_rate"]), velocity)

    @staticmethod
    def pull_back(
        before: State, after: State, adjoint: State, at: Values
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """The adjoint of one update.

        ``adjoint`` holds the derivatives by the state after the step. Returns the derivative by
        the gradient, shape (P,); by the state before the step, without what comes through the
        gradient (the caller adds the Hessian-vector product); and by each hyperparameter, scalars.
        """
        by_velocity = adjoint.velocity.sub(adjoint.weights, alpha=at["learning_rate"])
        by_hyperparameter = {
            "learning_rate": -torch.dot(adjoint.weights, after.velocity),
            "momentum": torch.dot(by_velocity, before.velocity),
            "weight_decay": torch.dot(by_velocity, before.weights),
        }
        by_weights = adjoint.weights.add(by_velocity, alpha=at["weight_decay"])
        by_state = State(by_weights, by_velocity * at["momentum"])
        return by_velocity, by_state, by_hyperparameter
