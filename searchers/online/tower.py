"""Optimizers on optimizers: a `torch.optim.Optimizer` that tunes its own hyperparameters."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from searchers.errors import SearcherError
from searchers.online import level_state
from searchers.online.arithmetic import Tensors
from searchers.online.levels import (
    SGD,
    AdaGrad,
    Adam,
    Level,
    Multiplicative,
    RMSProp,
    plain_number,
)
from searchers.online.processes import summed_over
from searchers.online.tensor_groups import TensorGroup, gather

TORCHS = (torch.optim.SGD, torch.optim.Adam, torch.optim.Adagrad, torch.optim.RMSprop)

GROUP_KEYS = {"params", "param_names", "weight_decay", "clip", "initial_lr"}
SETTINGS = {
    name
    for kind in (SGD, Multiplicative, AdaGrad, RMSProp, Adam, *TORCHS)
    for name in inspect.signature(kind).parameters
} - {"params"}
"""What may be meant as a setting of a level; other keys of a group are its owner's, and stay."""

STATES, SAVED_STATES = "level_states", "storeys"
"""The key of a group's level states, and of the same as plain data in what is saved."""

Clip: TypeAlias = Literal["hypergradients", "all"]

torch.serialization.add_safe_globals([SGD, Multiplicative, AdaGrad, RMSProp, Adam])


class Tower(Optimizer):
    """A tower of optimizers: the first moves the weights, each other the hyperparameters below it.

    ::

        Tower(net.parameters(), [Adam(lr=1e-3), SGD(lr=1e-5)])
        Tower(net.parameters(), [SGD(lr=0.1), Multiplicative(lr=1e-3), SGD(lr=1e-6)])
        Tower(net.parameters(), [Adam(1e-3, learned=("lr", "beta1", "beta2")), Adam(1e-4)])

    The first of these is hypergradient descent (`AdamHD`). Each step first moves the
    hyperparameters, the highest level first, by their one-step hypergradients; then the weights.
    The hypergradients are analytic: no graph is kept, and ``backward()`` is called as with any
    optimizer. At the first step they are 0, and the levels above make a step by 0, as in the
    authors' package.

    Args:
        params: parameters, or parameter groups. A group may give ``levels``, ``weight_decay`` and
            ``clip`` of its own, any field of its base level (``lr``, ``momentum``, ...), and
            ``hyper_lr``, the learning rate or rates of the levels above.
        levels: the base first. What a level has ``learned``, the level above moves; nothing moves
            the last one.
        weight_decay: added to the gradient as weight_decay · w; ``p.grad`` itself stays as it is.
        clip: whose norms are clipped to a running mean of their own (`level_state.clipped`):
            "hypergradients", of each level the one that it receives, while what those above are
            made of stays unclipped; or "all", the gradient of each parameter too, weight decay
            included, from which the hypergradients are then made. None for nobody's.
        reduced_over: where each process has a part of the parameters alone (as with
            `torch.distributed.optim.ZeroRedundancyOptimizer`), the process group that has them all,
            in groups of the same order: hypergradients are summed over it, one call a step for each
            group. Not where every process has all parameters and the same gradients (DDP).

    Each group shows ``lr`` (set it, and the tower goes on from there; a scheduler does: LambdaLR,
    CyclicLR, OneCycleLR and warm restarts undo at each step what was learned, and SequentialLR when
    it is built and at its milestones; those that multiply, as StepLR does, compose with it),
    ``hypergradient`` (of the base's learned hyperparameters' raw numbers, at the last step) and
    ``skipped``: how many hyper-updates were left out because a hypergradient was not finite. The
    weights still move then. `hyperparameters` gives the values of all levels.

    The hypergradient is waited for: one device synchronisation a step for each group (and for each
    device, precision and number of steps taken among its tensors).

    With `torch.amp.GradScaler`, use ``scaler.step(optimizer)``, which unscales the gradients first
    (or call ``scaler.unscale_(optimizer)``, then clip): scaled gradients would scale the
    hypergradients by the square. A step that the scaler skips leaves the tower as it is.

    Raises:
        SearcherError: no levels, a setting out of range, or parameters it cannot move.
    """

    def __init__(
        self,
        params: Iterable[Any],
        levels: Sequence[Level],
        weight_decay: float = 0.0,
        clip: Clip | None = None,
        reduced_over: Any = None,
    ):
        self._gathered: dict[int, tuple[Any, list[TensorGroup]]] = {}
        self._reduced_over = reduced_over
        super().__init__(
            params, {"levels": _checked(levels), "weight_decay": weight_decay, "clip": clip}
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group with settings of its own, as named in the class's arguments."""
        group = dict(param_group)
        given = group.pop("levels", self.defaults["levels"])
        rates = group.pop("hyper_lr", None)
        fields = {name: group.pop(name) for name in list(group) if name in SETTINGS - GROUP_KEYS}
        levels = group["levels"] = _levels(given, fields, rates)
        group[STATES] = level_state.build(levels)
        group["lr"] = levels[0].lr
        group["hypergradient"] = [0.0] * len(levels[0].learned)
        group["skipped"] = 0
        clip = group.setdefault("clip", self.defaults["clip"])
        if clip is not None and clip not in get_args(Clip):
            raise SearcherError(f'clip is "hypergradients", "all" or None, not {clip!r}')
        decay = group.get("weight_decay", self.defaults["weight_decay"])
        decay = group["weight_decay"] = plain_number("weight_decay", decay)
        if not 0 <= decay < math.inf:
            raise SearcherError(f"weight_decay must be finite and not negative, got {decay}")
        super().add_param_group(group)
        try:
            _check_types(p for p in group["params"] if p.requires_grad)
        except SearcherError:
            self.param_groups.pop()
            raise

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for index, group in enumerate(self.param_groups):
            levels, count = _kinds(group), len(group["params"])
            tensors = f"{count} tensor{'s' * (count != 1)}"
            lines.append(f"  group {index}: {levels}, lr {group['lr']:.6g}, {tensors}")
        return "\n".join([*lines, ")"])

    def hyperparameters(self) -> list[list[dict[str, float]]]:
        """The values in use, by group, by level (the base first), by name."""
        return [[dict(state.values) for state in group[STATES]] for group in self.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As of any optimizer, but setting to None leaves no entry in a profile (see below)."""
        if not set_to_none:
            return super().zero_grad(set_to_none=False)
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    @staticmethod
    def profile_hook_step(func: Callable[..., Any]) -> Callable[..., Any]:
        """torch's wrapper of `step`, left out while nobody profiles and no hook is registered.

        (Right after a backward pass its code has left the cache: then the entry it makes for a
        profiler takes as long as moving 100,000 weights.)
        """
        watched = Optimizer.profile_hook_step(func)

        @functools.wraps(func)
        def step(self: Tower, *args: Any, **kwargs: Any) -> Any:
            hooks = (
                self._optimizer_step_pre_hooks
                or self._optimizer_step_post_hooks
                or _global_optimizer_pre_hooks
                or _global_optimizer_post_hooks
            )
            if hooks or torch.autograd._profiler_enabled():
                return watched(self, *args, **kwargs)
            return func(self, *args, **kwargs)

        return step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move the hyperparameters, then the weights; returns the loss of a closure."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(False):
            for index, group in enumerate(self.param_groups):
                self._move(index, group)
        return loss

    def _move(self, index: int, group: dict[str, Any]) -> None:
        """One step of a group: its hyperparameters, the highest first, then its weights."""
        tensor_groups = self._tensor_groups(index, group)
        levels, states = group["levels"], group[STATES]
        count, sums = self._sums(group, tensor_groups)
        if not count:
            return
        if len(levels) > 1:
            relative = levels[1].relative
            hypergradient = level_state.hypergradient(levels[0], states[0], sums, relative)
            group["hypergradient"] = hypergradient.values
        if group["lr"] != states[0].values["lr"]:
            states = [level_state.with_lr(levels[0], states[0], float(group["lr"])), *states[1:]]
        if len(levels) > 1:
            clip = group["clip"] is not None
            after = level_state.adjusted(levels, states, hypergradient, clip)
            group["skipped"] += after is None
            states = after or states
        values = states[0].values
        group[STATES], group["lr"] = states, values["lr"]
        for each in tensor_groups:
            step = each.made + 1
            level_state.move(
                levels[0], Tensors, each.params, each.memory, each.gradients, values, step
            )
            each.remember()

    def _sums(
        self, group: dict[str, Any], tensor_groups: Sequence[TensorGroup]
    ) -> tuple[float, list[float]]:
        """Whether there is anything to move, and what the base's hypergradient is made of.

        That comes from the tensors that moved at the last step; waits for them, and for the other
        processes.
        """
        count, (base, *above) = float(len(tensor_groups)), group["levels"]
        if not above:
            return count, []
        parts, relative = [], above[0].relative
        for each in tensor_groups:
            if each.just_moved:
                combinations = level_state.sensitivities(base, group[STATES][0].values, each.made)
                pairs = level_state.inner_products(combinations, relative)
                parts.append((combinations, each.dots(pairs)))
        sums = level_state.sums(base, parts, relative)
        if self._reduced_over is not None:
            count, *sums = summed_over(self._reduced_over, [count, *sums])
        return count, sums

    def _tensor_groups(self, index: int, group: dict[str, Any]) -> list[TensorGroup]:
        """The tensors that have a gradient; those of the last step, if they are the same."""
        moving = [id(p) for p in group["params"] if p.grad is not None]
        signature = (moving, id(self.state), len(self.state))
        known, tensor_groups = self._gathered.get(index, (None, []))
        if signature != known or not all(each.is_current(self.state) for each in tensor_groups):
            tensor_groups = self._gather(group)
            signature = (moving, id(self.state), len(self.state))
            alike = len({each.just_moved for each in tensor_groups}) == 1
            self._gathered[index] = (signature if alike else None, tensor_groups)
        for each in tensor_groups:
            each.receive(group["weight_decay"])
            if group["clip"] == "all":
                each.clip()
        return tensor_groups

    def _gather(self, group: dict[str, Any]) -> list[TensorGroup]:
        self._copy_kept_gradients()
        moving = [p for p in group["params"] if p.grad is not None]
        _check_types(moving)
        for p in group["params"]:
            if p.grad is None and p in self.state:
                self.state[p]["moved"] = False
        for p in moving:
            state, memory = self.state[p], group["levels"][0].initial_memory()
            if not state or any(state.get(name) is None for name in memory):
                state.update(step=0, moved=False)  # it begins anew, as with torch's optimizers
            state.setdefault("step", 1)  # whose velocity is there has moved before
            state.setdefault("moved", False)
            for name, number in memory.items():
                if state.get(name) is None:
                    state[name] = torch.full_like(p, number)
                elif state[name].dtype != p.dtype:  # the parameter was converted
                    state[name] = state[name].to(p.dtype)
        return gather(moving, [self.state[p] for p in moving])

    def _copy_kept_gradients(self) -> None:
        """Make the state depend on no tensor that others could write to."""
        for _, tensor_groups in self._gathered.values():
            for each in tensor_groups:
                each.copy_kept()

    def state_dict(self) -> dict[str, Any]:
        """As of any optimizer; its tensors are the optimizer's own, not gradients."""
        self._copy_kept_gradients()
        saved = super().state_dict()
        return {**saved, "param_groups": [_saved(group) for group in saved["param_groups"]]}

    def __getstate__(self) -> dict[str, Any]:
        if self._reduced_over is not None:
            raise SearcherError(
                "an optimizer that is reduced over processes cannot be copied: save state_dict()"
            )
        self._copy_kept_gradients()
        saved = super().__getstate__()
        return {**saved, "param_groups": [_saved(group) for group in saved["param_groups"]]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Called with what was saved when a state is loaded, and by pickle and copy.

        Raises:
            SearcherError: it is another optimizer's; this one then stays as it was.
        """
        for index, group in enumerate(state["param_groups"]):
            if SAVED_STATES not in group:
                raise SearcherError(
                    f"cannot load this state: its group {index} has no levels, so it is not a "
                    "tower's; load what a Tower, SGDHD or AdamHD saved, or go on from its lr "
                    f"with a new one, lr={group.get('lr')}"
                )
        present = self.__dict__.get("param_groups", ())  # none while it is unpickled
        for index, (current, group) in enumerate(zip(present, state["param_groups"], strict=False)):
            if type(self) is not Tower and _kinds(current) != _kinds(
                group
            ):  # not what its name says
                raise SearcherError(
                    f"cannot load this state: its group {index} is {_kinds(group)}, that of this "
                    f"{type(self).__name__} is {_kinds(current)}; a Tower takes any"
                )
        groups = [_restored(group) for group in state["param_groups"]]
        super().__setstate__({**state, "param_groups": groups})
        self._gathered = {}
        self.__dict__.setdefault("_reduced_over", None)  # of one that is unpickled


def _check_types(params: Iterable[torch.Tensor]) -> None:
    """Refuse tensors of a type that cannot be moved."""
    for p in params:
        if hasattr(p, "device_mesh"):
            raise SearcherError(
                "cannot move distributed tensors (of FSDP2, or tensor-parallel ones): each process"
                " sees a part of them; where whole parameters are dealt out, give reduced_over"
            )
        if not p.is_floating_point() or p.dtype == torch.float16:
            raise SearcherError(
                f"cannot move {p.dtype} parameters: keep them in float32 (use autocast)"
            )


def _saved(group: dict[str, Any]) -> dict[str, Any]:
    """A group with its level states as they are saved."""
    group = dict(group)
    states = group.pop(STATES)
    return {**group, SAVED_STATES: level_state.as_plain(states)}


def _restored(group: dict[str, Any]) -> dict[str, Any]:
    """A group as it was before `_saved`."""
    group = dict(group)
    saved = group.pop(SAVED_STATES)
    if isinstance(group.get("clip"), bool):  # of before it had a choice
        group["clip"] = "hypergradients" if group["clip"] else None
    return {**group, STATES: level_state.from_plain(saved)}


def _kinds(group: dict[str, Any]) -> str:
    """A group's levels by name, the base first."""
    return " / ".join(type(level).__name__ for level in group["levels"])


def _checked(given: Any) -> tuple[Level, ...]:
    """What was given as levels, if that is what they are."""
    if not isinstance(given, Sequence):
        raise SearcherError("levels: give a list, the base first: [Adam(lr=1e-3), SGD(lr=1e-5)]")
    if not given:
        raise SearcherError("a tower needs at least one level, such as SGD(lr=0.1)")
    for height, level in enumerate(given):
        kind = level if isinstance(level, type) else type(level)
        if kind is level or not dataclasses.is_dataclass(level) or not isinstance(level, Level):
            what = "the class" if kind is level else "an object of"
            raise SearcherError(
                f"levels[{height}] is {what} {kind.__module__}.{kind.__qualname__}: give a level "
                "of searchers.online with its numbers, such as SGD(lr=0.1) or Adam(lr=1e-3)"
            )
    return tuple(given)


def _levels(given: Any, fields: dict[str, Any], rates: Any) -> tuple[Level, ...]:
    """A group's levels: those given, with its own fields of the base and learning rates above."""
    levels = list(_checked(given))
    for name in fields:
        if name not in {field.name for field in dataclasses.fields(levels[0])}:  # type: ignore[arg-type]
            raise SearcherError(f"{type(levels[0]).__name__} has no {name!r} to set for a group")
    levels[0] = dataclasses.replace(levels[0], **fields)  # type: ignore[type-var]
    if rates is not None:
        above = list(rates) if isinstance(rates, Sequence) else [rates]
        if len(above) != len(levels) - 1:
            raise SearcherError(f"hyper_lr: {len(above)} values for {len(levels) - 1} levels above")
        levels[1:] = [
            dataclasses.replace(level, lr=rate)  # type: ignore[type-var]
            for level, rate in zip(levels[1:], above, strict=True)
        ]
    levels[-1] = dataclasses.replace(levels[-1], learned=())  # type: ignore[type-var]
    if levels[0].relative:
        raise SearcherError("Multiplicative moves learning rates: it cannot be the base level")
    for below, level in itertools.pairwise(levels):
        if not below.learned:
            raise SearcherError(f"{type(below).__name__} learns nothing for a level above to move")
        if level.relative and below.learned != ("lr",):
            raise SearcherError(f"Multiplicative moves lr alone, not {list(below.learned)}")
    return tuple(levels)
