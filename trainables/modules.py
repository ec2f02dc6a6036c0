"""What a `torch.nn.Module` has to be, to be trained as a function of its weights and buffers alone.

A training brings its own weights and buffers to every forward pass (`torch.func.functional_call`).
What a module holds otherwise stays what it was when the problem was built.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from trainables.task import TaskError

CPU = torch.device("cpu")

OLD_WEIGHT_NORM = importlib.import_module("torch.nn.utils.weight_norm")


def seeded(make_model: Callable[[], nn.Module], seed: int, device: torch.device = CPU) -> nn.Module:
    """A module built from that seed, on the CPU or that device.

    torch's global random state is left as it was.
    """
    with torch.random.fork_rng(random_devices(device)):
        set_seed(device, seed)
        return make_model()


def random_devices(device: torch.device) -> list[torch.device]:
    """Those that have a random state beside the CPU's."""
    return [device] if device.type == "cuda" else []


def set_seed(device: torch.device, key: int) -> None:
    """As torch.manual_seed, without its notes to accelerators, which take longer than a step."""
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(key)


def checked_model(make_model: Callable[[], nn.Module], device: torch.device) -> nn.Module:
    """The module of seed 0.

    Raises:
        TaskError: it has no real weights to train, or would not train as by its own loop.
    """
    model, other = (seeded(make_model, seed, device) for seed in (0, 1))
    every = [*model.named_parameters(), *model.named_buffers()]
    parts = {id(tensor) for tensor in (*other.parameters(), *other.buffers())}
    if other is model or any(id(tensor) in parts for _, tensor in every):
        raise TaskError(
            "make_model gives the same module each time, or parts of it: every training needs one"
            " of its own, such as copy.deepcopy(module)"
        )
    unshaped = (UninitializedParameter, UninitializedBuffer)
    if lazy := [name for name, tensor in every if isinstance(tensor, unshaped)]:
        raise TaskError(
            f"{lazy[0]} of the model has no shape yet: in make_model, send a batch through its lazy"
            " modules before it is returned"
        )
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not parameters:
        raise TaskError("the model has no weights that need a gradient: nothing to train")
    if unreal := [name for name, p in parameters.items() if not p.is_floating_point()]:
        raise TaskError(
            f"{unreal[0]} of the model is {parameters[unreal[0]].dtype}: what is trained has to be"
            " real; keep its real and imaginary parts (torch.view_as_real), and put them together"
            " in forward()"
        )
    _check_held(model, other)
    return model


def check_in_place(model: nn.Module, inputs: Tensor, device: torch.device) -> None:
    """Send a batch through a module as in training, which it then was.

    Raises:
        TaskError: it puts another tensor in a buffer's place, which a training would not see.
    """
    before = dict(model.named_buffers())
    with torch.no_grad(), torch.random.fork_rng(random_devices(device)):
        try:
            model.train(True)(inputs)
        except Exception:  # what does not take a batch is told of by the first step
            return
    replaced = [name for name, buffer in model.named_buffers() if buffer is not before.get(name)]
    if replaced:
        raise TaskError(
            f"forward() puts another tensor in place of the buffer {replaced[0]}: write into it"
            " instead (copy_, mul_, lerp_, …), else it stays as it was"
        )


def tied(model: nn.Module) -> dict[str, str]:
    """The names by which a parameter or buffer that another module shares is known there too."""
    first: dict[int, str] = {}
    also = {}
    for name, tensor in (
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ):
        known = first.setdefault(id(tensor), name)
        if known != name:
            also[name] = known
    return also


def plain_weight_norm() -> AbstractContextManager[Any]:
    """While it lasts, `weight_norm` is made of operators with second derivatives.

    torch's own operator holds the norms fixed in its second one.
    """
    stack = ExitStack()
    for place in (torch, OLD_WEIGHT_NORM):
        stack.enter_context(patch.object(place, "_weight_norm", _weight_norm))
    return stack


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """g · v / ‖v‖, the norm over all dimensions but ``dim``; over all of them for −1."""
    others = [each for each in range(v.dim()) if each != dim % v.dim() or dim == -1]
    return v * (g / v.square().sum(others, keepdim=True).sqrt())


def _check_held(model: nn.Module, other: nn.Module) -> None:
    """Refuse tensors that a module holds as neither parameters nor buffers, unless constant."""
    elsewhere = dict(_held(other))
    registered = {id(p) for p in model.parameters()}
    for name, tensor in _held(model):
        if id(tensor) in registered or isinstance(tensor, nn.Parameter):
            raise TaskError(
                f"the model reaches a parameter by {name}, too, which stays as it was while that"
                " is trained: reach it by the module that has it"
            )
        twin = elsewhere.get(name)
        if twin is None or not _alike(twin, tensor):
            raise TaskError(
                f"{name} of the model is another tensor each time that it is made, and no buffer:"
                " register_buffer makes it one, else every training has the first"
            )


def _alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


def _held(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Tensors that a user's own modules hold beside their parameters, buffers and modules."""
    for path, module in model.named_modules():
        if type(module).__module__.partition(".")[0] == "torch":
            continue
        for name, value in vars(module).items():
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            for key, tensor in _tensors(value):
                if tensor.grad_fn is None:  # a normalised weight is made anew at each pass
                    yield f"{path}{'.' * bool(path)}{name}{key}", tensor


def _tensors(value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield "", value
    elif isinstance(value, Mapping):
        yield from ((f"[{key!r}]", x) for key, x in value.items() if isinstance(x, Tensor))
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{i}]", x) for i, x in enumerate(value) if isinstance(x, Tensor))
