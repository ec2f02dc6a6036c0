"""The tensors of a parameter group, in lists that stay from step to step.

The base level works on whole lists (`searchers.online.arithmetic`). Tensors share one if they lie
on one device in one precision and have made equally many steps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from searchers.errors import SearcherError
from searchers.online.level_state import RunningNorm, clipping

TensorState: TypeAlias = dict[str, Any]
CLIPPED = "clipped"
COUNTERS = {"step", "moved", CLIPPED}
"""What a parameter's state holds besides its part of the base level's vectors.

Of the norms of its gradients, if they are clipped: how many they are, and their mean.
"""


class Watch:
    """Whether a parameter's gradients may be remembered as they are, without a copy.

    They may if nobody writes to them after the step, as when they are set to None before the next
    backward pass. The first gradient is copied, and watched: if the next one lies elsewhere and
    the first is as it was, gradients are kept from then on; otherwise they are copied from then
    on. Writing is seen by a tensor's version (so not if done by NumPy, or through ``.data``).
    """

    __slots__ = ("kept", "last", "lasting", "version")

    def __init__(self) -> None:
        self.last: Tensor | None = None
        self.version = 0
        self.lasting: bool | None = None
        self.kept = False

    def overwritten(self, gradient: Tensor | None) -> bool:
        """Whether the gradient seen last has been written to; ``gradient`` is p.grad now."""
        last = self.last
        if last is None:
            return False
        if last._version != self.version:
            return True
        if gradient is None or gradient is last:
            return False
        return gradient.data_ptr() == last.data_ptr()

    def meet(self, gradient: Tensor) -> bool:
        """Learn from the next gradient; whether the last was kept and is lost."""
        if self.last is None:
            return False
        overwritten = self.overwritten(gradient)
        if overwritten or gradient is self.last:
            self.lasting = False
        elif self.lasting is None:
            self.lasting = True
        return self.kept and overwritten

    def keeps(self, gradient: Tensor) -> bool:
        """Watch a gradient; whether it may be kept, and from here on is."""
        if self.lasting is False or gradient.requires_grad or gradient.is_inference():
            self.last, self.kept = None, False
        else:
            self.last, self.version, self.kept = gradient, gradient._version, bool(self.lasting)
        return self.kept


class TensorGroup:
    """Tensors of one device and precision that have made equally many steps.

    ``memory`` holds the base level's vectors, each a list over the tensors; ``gradients`` those of
    the step being made, in the parameters' layout and with weight decay.

    Args:
        params: the tensors.
        states: what the optimizer keeps of each: its part of the base level's vectors by name,
            ``step``, the steps it has made, and ``moved``, whether the last one was one of them.
    """

    def __init__(self, params: Sequence[Tensor], states: Sequence[TensorState]):
        self.params, self.states = list(params), list(states)
        self.made: int = states[0]["step"]
        self.just_moved: bool = states[0]["moved"]
        names = [name for name in states[0] if name not in COUNTERS]
        self.memory = {name: [state[name] for state in states] for name in names}
        self.dtype = params[0].dtype
        self.strides = [p.stride() for p in params]
        self.watches = [Watch() for _ in params]
        self.given: list[Any] = []
        self.gradients: list[Tensor] = []

    def is_current(self, kept: Mapping[Tensor, TensorState]) -> bool:
        """Whether what the optimizer keeps of each tensor is what this holds.

        It is not once somebody has put other tensors there, or has converted a parameter.
        """
        if any(kept.get(p) is not s for p, s in zip(self.params, self.states, strict=True)):
            return False
        for name, vector in self.memory.items():
            for state, tensor in zip(self.states, vector, strict=True):
                if state.get(name) is not tensor:
                    return False
        made = self.made
        return all(state.get("step") == made for state in self.states) and all(
            p.dtype == self.dtype for p in self.params
        )

    def receive(self, weight_decay: float) -> None:
        """Take the gradients that the parameters have now.

        If a gradient that was kept has been overwritten, NaN takes its place: so the hypergradient
        is not finite, and the step counts as one whose hyper-update was left out.
        """
        self.given = [p.grad for p in self.params]
        self.gradients = list(self.given)
        for i, gradient in enumerate(self.given):
            if gradient.is_sparse:
                raise SearcherError("cannot use sparse gradients: make the layer's sparse=False")
            if gradient.stride() != self.strides[i]:  # autograd's own have the parameter's layout
                self.gradients[i] = torch.empty_like(self.params[i]).copy_(gradient)
            if self.watches[i].meet(gradient):
                self._copy_kept(i, lost=True)
        if weight_decay:
            decayed = torch._foreach_add(self.gradients, self.params, alpha=weight_decay)
            self.gradients = list(decayed)

    def clip(self) -> None:
        """Scale each gradient down to the running mean of its own norms, if it is longer.

        See `level_state.clipped`. Waits for the device once.
        """
        norms = torch._foreach_norm(self.gradients)
        lengths = torch.stack([norm.double() for norm in norms]).tolist()
        factors = []
        for state, length in zip(self.states, lengths, strict=True):
            factor, after = clipping(RunningNorm(*state.get(CLIPPED, ())), length)
            state[CLIPPED] = list(after)
            factors.append(factor)
        self.gradients = list(torch._foreach_mul(self.gradients, factors))

    def dots(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
        """Inner products of vectors, of which "gradient" is one; waits for the device once."""
        vectors = {**self.memory, "gradient": self.gradients}
        names = dict.fromkeys(itertools.chain(*pairs))
        dots = []
        for i in range(len(self.params)):  # so that a tensor of several pairs is still in cache
            flat = {name: vectors[name][i].reshape(-1) for name in names}
            dots += [torch.dot(flat[a], flat[b]) for a, b in pairs]
        numbers = [dot.item() for dot in dots] if dots[0].is_cpu else torch.stack(dots).tolist()
        return {pair: sum(numbers[i :: len(pairs)]) for i, pair in enumerate(pairs)}

    def remember(self) -> None:
        """The step is made: the vectors, as the rule has left them, become the tensors' states.

        One that is p.grad itself by now stays that if it may, and is copied if not.
        """
        for name, vector in self.memory.items():
            for i, tensor in enumerate(vector):
                state, watch = self.states[i], self.watches[i]
                if tensor is state[name]:
                    continue
                buffer = None if watch.kept else state[name]
                if tensor is self.given[i] and not watch.keeps(tensor):
                    vector[i] = tensor.clone() if buffer is None else buffer.copy_(tensor)
                state[name] = vector[i]
        self.made, self.just_moved = self.made + 1, True
        for state in self.states:
            state["step"], state["moved"] = self.made, True
        self.given = self.gradients = []

    def copy_kept(self) -> None:
        """Copy the gradients that are kept, so that the states depend on nobody."""
        for i, watch in enumerate(self.watches):
            if watch.kept:
                self._copy_kept(i, lost=watch.overwritten(self.params[i].grad))

    def _copy_kept(self, i: int, lost: bool) -> None:
        watch, state = self.watches[i], self.states[i]
        for name, vector in self.memory.items():
            if vector[i] is watch.last and state.get(name) is vector[i]:
                vector[i] = torch.full_like(vector[i], math.nan) if lost else vector[i].clone()
                state[name] = vector[i]
        watch.kept = False


def gather(params: Iterable[Tensor], states: Iterable[TensorState]) -> list[TensorGroup]:
    """Parameters that have a gradient, with their states, sorted into groups that are alike."""
    alike: dict[tuple[Any, ...], list[tuple[Tensor, TensorState]]] = {}
    for p, state in zip(params, states, strict=True):
        key = (p.device, p.dtype, state["step"], state["moved"])
        alike.setdefault(key, []).append((p, state))
    return [TensorGroup(*zip(*rows, strict=True)) for rows in alike.values()]
