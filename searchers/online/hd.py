"""Hypergradient descent (Baydin et al., ICLR 2018): a tower with SGD on the learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from searchers.errors import SearcherError
from searchers.online.levels import SGD, Adam, Level, Multiplicative
from searchers.online.tower import Tower

NOT_NEGATIVE = (0.0, math.inf)


class SGDHD(Tower):
    """SGD whose learning rate follows its hypergradient: Tower([SGD(lr), SGD(hyper_lr)]).

    Each step, with u the direction of the last one (the velocity, with momentum; Nesterov's look
    ahead, with ``nesterov``: SGDN-HD),

        lr ← lr + hyper_lr · ⟨g, u⟩,  or if multiplicative  lr ← lr · (1 + hyper_lr · cos(g, u)),

    then the weights move with the new lr. g includes weight decay.

    Args:
        params: parameters, or groups (see `Tower`).
        lr: the learning rate to start from.
        hyper_lr: the learning rate of the learning rate. Several give hypergradient descent of
            that order: the second moves the first, by descent, and so on.
        momentum: as in `torch.optim.SGD`.
        dampening: likewise.
        weight_decay: likewise.
        nesterov: likewise.
        multiplicative: the rule above; further orders are additive.
        bounds: between which lr is kept; (−inf, inf) lets it become negative, as published.
        reduced_over: the process group among which the parameters are dealt out; see `Tower`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        hyper_lr: float | Sequence[float] = 1e-6,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        multiplicative: bool = False,
        bounds: tuple[float, float] = NOT_NEGATIVE,
        reduced_over: Any = None,
    ):
        base = SGD(lr, momentum, dampening, nesterov, bounds=bounds)
        levels = [base, *_above(hyper_lr, multiplicative)]
        super().__init__(params, levels, weight_decay, reduced_over=reduced_over)


class AdamHD(Tower):
    """Adam whose learning rate follows its hypergradient: Tower([Adam(lr), SGD(hyper_lr)]).

    Without hyper_lr it is `torch.optim.Adam` (the running mean of squares starts at 0). The
    hypergradient is the published one: one inner product over all tensors of a group, then one
    change of lr, then the step. (The authors' code adds each tensor's part to lr within its loop
    over tensors, so there the first tensors move with a learning rate that lacks the parts of the
    others.)

    Args:
        params: parameters, or groups (see `Tower`); a group sets ``beta1`` and ``beta2``.
        lr: the learning rate to start from.
        hyper_lr: the learning rate of the learning rate, or several, as of `SGDHD`.
        betas: as in `torch.optim.Adam`.
        eps: likewise.
        weight_decay: likewise (L2).
        multiplicative: the multiplicative rule of `SGDHD`.
        bounds: between which lr is kept; (−inf, inf) lets it become negative, as published.
        reduced_over: the process group among which the parameters are dealt out; see `Tower`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        hyper_lr: float | Sequence[float] = 1e-8,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        multiplicative: bool = False,
        bounds: tuple[float, float] = NOT_NEGATIVE,
        reduced_over: Any = None,
    ):
        beta1, beta2 = betas
        base = Adam(lr, beta1, beta2, eps, initial_square=0.0, bounds=bounds)
        levels = [base, *_above(hyper_lr, multiplicative)]
        super().__init__(params, levels, weight_decay, reduced_over=reduced_over)


def _above(hyper_lr: float | Sequence[float], multiplicative: bool) -> list[Level]:
    """The levels above the base: one for each order."""
    rates = list(hyper_lr) if isinstance(hyper_lr, Sequence) else [hyper_lr]
    if not rates:
        raise SearcherError("hyper_lr: give one learning rate of the learning rate, or several")
    first = Multiplicative if multiplicative else SGD
    return [SGD(rate) if order else first(rate) for order, rate in enumerate(rates)]
