"""Hypergradient descent with guarantees: step sizes and a momentum that are learned on the way.

"Provable and Practical Online Learning Rate Adaptation with Hypergradient Descent" (Gao, Chu, Ye,
Udell; arXiv 2502.11229), and "Gradient Methods with Online Scaling", parts I and II (2505.23081,
2509.11007). HDM is OSGM-Best there. What the texts leave open is as in the authors' package.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from searchers.errors import SearcherError
from searchers.online.levels import plain_number

MOST = sys.float_info.max

TINY = 1e-12
"""Added to what AdaGrad divides by, and to the squared norm of the gradient."""

DECAY, EVERY, LOWEST = 0.8, 50, 1e-3
"""AdaGrad's rate on step sizes falls by DECAY every so many steps, to LOWEST of what it was."""

REWARD, LOSS = 1, 2
"""A step that is taken counts one towards trust in the curvature, a null step two against it."""

HIGHEST = 0.9995
"""The momentum stays at or below it."""

LONG_ENOUGH = 1e-3
"""A step is this long at least if the curvature along it is to be told from rounding."""


class HDM(Optimizer):
    """Gradient descent whose step sizes and momentum follow their hypergradients.

    Each step tries x⁺ = x − P ∘ g + β (x − x_before), where g is the gradient at x, and takes it
    only if the loss falls there; else x stays (a null step). Either way, P and β then move by
    AdaGrad along their normalised hypergradients

        −∇f(x⁺) ∘ g / ‖g‖²   and   ⟨∇f(x⁺), x − x_before⟩ / ‖g‖².

    Once enough steps were taken, AdaGrad's rate on P becomes the inverse of the mean curvature that
    was met. P begins at 0, so the first step is a null step. A trial at which loss or gradient is
    not finite is a null step that halves P.

    One group of parameters, in which all are one vector; `step` needs a closure that clears the
    gradients, computes the loss, calls ``backward()`` and returns the loss, as with
    `torch.optim.LBFGS`. In float32 the loss stops falling, by rounding, before it has to.

    Args:
        params: the parameters.
        lr: AdaGrad's rate on step sizes; for a loss whose gradient is L-Lipschitz the authors
            search 0.1/L … 100/L.
        momentum_lr: AdaGrad's rate on β; they search 1 … 100.
        momentum: β to begin with; it stays in [0, 0.9995].
        diagonal: whether each parameter has a step size of its own, not one for all.
        bounds: between which step sizes are kept; (−inf, inf) where the loss is not convex.
        full_batch: whether the closure is the same function at each step: the gradient at x is
            then known from the last step. Else it is one batch's, and is called twice a step on
            that batch, at x and at x⁺.
        trust_after: so many steps more taken than twice the null steps, and the curvature counts.

    ``param_groups[0]`` shows ``momentum``, ``null_steps`` and ``evaluations`` of the closure.

    Raises:
        SearcherError: a setting out of range, or more than one group.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        momentum_lr: float = 10.0,
        momentum: float = 0.95,
        diagonal: bool = True,
        bounds: tuple[float, float] = (0.0, math.inf),
        full_batch: bool = True,
        trust_after: int = 200,
    ):
        numbers = {"lr": lr, "momentum_lr": momentum_lr, "momentum": momentum}
        settings = {name: plain_number(name, value) for name, value in numbers.items()}
        for name, most in (("lr", MOST), ("momentum_lr", MOST), ("momentum", HIGHEST)):
            if not 0 <= settings[name] <= most:
                raise SearcherError(f"{name} is between 0 and {most:g}, and not {numbers[name]!r}")
        low, high = (plain_number("a bound", bound) for bound in bounds)
        if not low <= 0 <= high:
            raise SearcherError(f"bounds of step sizes hold 0, where they begin, and not {bounds}")
        super().__init__(
            params,
            {
                **settings,
                "bounds": (low, high),
                "diagonal": diagonal,
                "full_batch": full_batch,
                "trust_after": trust_after,
                "first_lr": settings["lr"],
                "momentum_square": 0.0,
                "steps": 0,
                "null_steps": 0,
                "evaluations": 0,
                "trust": 0,
                "curvatures": 0.0,
                "measured": 0,
                "curvature": None,
                "loss": None,
            },
        )
        if len(self.param_groups) > 1:
            raise SearcherError("HDM moves one group of parameters: all are one vector to it")
        self._known_at: list[int] = []

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._known_at = []  # what was saved may be of other weights: they are asked again

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Try a step; the closure's loss at x, where the step began."""
        if closure is None:
            raise SearcherError("HDM tries steps: step() needs a closure that returns the loss")
        group = self.param_groups[0]
        params = [p for p in group["params"] if p.requires_grad]
        for p in params:
            if not self.state[p]:
                zeros = {name: torch.zeros_like(p) for name in ("moved", "gradient")}
                sizes = {"step_size": torch.zeros_like(p), "square": torch.zeros_like(p)}
                self.state[p].update(zeros | (sizes if group["diagonal"] else {}))
        if not group["diagonal"]:
            group.setdefault("step_size", 0.0)
            group.setdefault("square", 0.0)
        if not self._is_known(group, params):
            group["loss"] = self._evaluate(closure, group, params)
            for p in params:
                self.state[p]["gradient"].copy_(_gradient(p))
        return self._tried(closure, group, params)

    def _tried(
        self, closure: Callable[[], Any], group: dict[str, Any], params: list[Tensor]
    ) -> float:
        """Make the trial, learn from it, and take it or go back."""
        loss: float = group["loss"]
        before = [p.clone() for p in params]
        gradients = [self.state[p]["gradient"] for p in params]
        moved = [self.state[p]["moved"] for p in params]
        for p, g, d in zip(params, gradients, moved, strict=True):
            size = self.state[p]["step_size"] if group["diagonal"] else group["step_size"]
            p.add_(group["momentum"] * d - size * g)
        there = self._evaluate(closure, group, params)
        slopes = [_gradient(p) for p in params]
        finite = math.isfinite(there) and all(bool(slope.isfinite().all()) for slope in slopes)
        if finite:
            self._learn(group, params, slopes)
        else:
            self._halve(group, params)
        group["steps"] += 1
        if group["steps"] % EVERY == EVERY - 1 and group["curvature"] is None:
            group["lr"] = max(DECAY * group["lr"], LOWEST * group["first_lr"])
        if finite and there < loss:
            self._take(group, params, before, slopes)
            group["loss"] = there
        else:
            for p, start, d in zip(params, before, moved, strict=True):
                p.copy_(start)
                d.zero_()
            group["null_steps"] += 1
            group["trust"] = max(group["trust"] - LOSS, 0)
        self._trust(group, params)
        self._known_at = [p._version for p in params]
        return loss

    def _learn(self, group: dict[str, Any], params: list[Tensor], slopes: list[Tensor]) -> None:
        """Move step sizes and momentum along their hypergradients at the trial."""
        states = [self.state[p] for p in params]
        scale = _dot([s["gradient"] for s in states], [s["gradient"] for s in states])
        if group["curvature"] is None:
            scale += TINY
        else:
            moved = [s["moved"] for s in states]
            scale += 0.25 * _dot(moved, moved) * group["curvature"] ** 2
        low, high = group["bounds"]
        if group["diagonal"]:
            for state, slope in zip(states, slopes, strict=True):
                along = -slope * state["gradient"] / scale
                size, square = state["step_size"], state["square"]
                square.addcmul_(along, along)
                size.addcdiv_(along, square.sqrt() + TINY, value=-group["lr"]).clamp_(low, high)
        else:
            along_all = -_dot(slopes, [s["gradient"] for s in states]) / scale
            group["square"] += along_all**2
            size = group["step_size"] - group["lr"] * along_all / (group["square"] ** 0.5 + TINY)
            group["step_size"] = min(max(size, low), high)
        along_momentum = _dot(slopes, [s["moved"] for s in states]) / scale
        group["momentum_square"] += along_momentum**2
        step = group["momentum_lr"] * along_momentum / (group["momentum_square"] ** 0.5 + TINY)
        group["momentum"] = min(max(group["momentum"] - step, 0.0), HIGHEST)

    def _halve(self, group: dict[str, Any], params: list[Tensor]) -> None:
        if group["diagonal"]:
            for p in params:
                self.state[p]["step_size"] /= 2
        else:
            group["step_size"] /= 2

    def _take(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        before: list[Tensor],
        slopes: list[Tensor],
    ) -> None:
        """Stay at the trial, and note the curvature that was met on the way there."""
        states = [self.state[p] for p in params]
        for state, p, start in zip(states, params, before, strict=True):
            state["moved"].copy_(p - start)
        moved = [state["moved"] for state in states]
        length = _dot(moved, moved) ** 0.5
        if length > LONG_ENOUGH:
            bent = [slope - s["gradient"] for slope, s in zip(slopes, states, strict=True)]
            group["curvatures"] += _dot(bent, bent) ** 0.5 / length
            group["measured"] += 1
        for state, slope in zip(states, slopes, strict=True):
            state["gradient"].copy_(slope)
        group["trust"] += REWARD

    def _trust(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Once it has been met often enough, the curvature says how fast step sizes move."""
        enough = group["trust"] > group["trust_after"] and group["measured"]
        if group["curvature"] is not None or not enough or not group["curvatures"]:
            return
        curvature: float = group["curvatures"] / group["measured"]
        group["curvature"], group["lr"] = curvature, 1 / curvature
        if group["diagonal"]:
            for p in params:
                self.state[p]["square"].zero_()
        else:
            group["square"] = 0.0

    def _is_known(self, group: dict[str, Any], params: list[Tensor]) -> bool:
        """Whether loss and gradient at x are those of the last step: nobody has moved x since."""
        same = self._known_at == [p._version for p in params]
        return bool(group["full_batch"]) and group["loss"] is not None and same

    def _evaluate(
        self, closure: Callable[[], Any], group: dict[str, Any], params: list[Tensor]
    ) -> float:
        with torch.enable_grad():
            loss = closure()
        group["evaluations"] += 1
        return float(loss.detach() if isinstance(loss, Tensor) else loss)


def _gradient(p: Tensor) -> Tensor:
    return torch.zeros_like(p) if p.grad is None else p.grad.detach().clone()


def _dot(one: list[Tensor], other: list[Tensor]) -> float:
    """The inner product of two vectors that lie in parts, in float64."""
    parts = zip(one, other, strict=True)
    return float(sum(torch.sum(a.double() * b.double()) for a, b in parts))
