"""The contract of a task, as a check to run on one's own.

    from trainables.testing import check_task
    check_task(MY_TASK)  # or check_quickly(MY_TASK), which leaves out what takes long

Every searcher relies on it: gradient-based ones replay and differentiate a training, and a
comparison pairs searchers by the draws of its trainings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from searchers.errors import SearcherError
from searchers.hypergradients.schedules import check_space
from searchers.hypergradients.training import start
from searchers.inner_problem import Buffers, InnerProblem, Theta, Weights
from searchers.space import SpaceError
from searchers.update_rules import check_rule
from trainables.rng import generator
from trainables.task import Instance, Task

__all__ = ["check_quickly", "check_task"]

DIFFERENCE = 1e-8  # of finite differences in float64: small, as ReLU and pooling have kinks
TOLERANCE = 1e-3  # of second derivatives, relative
ROUNDING = 1e-4  # of sums over a split in float32, relative
SMALL = 1e-3  # a loss below it is compared as if it were this large
CPU = torch.device("cpu")


def check_task(
    task: Task,
    *,
    seed: int = 0,
    device: torch.device = CPU,
    draws_differ: bool = True,
    split_by_seed: bool = True,
) -> None:
    """Check that a task keeps the contract on which every searcher relies.

    Checked: configurations in the space, and a space of the update rule's and the loss's
    hyperparameters; at least one step an epoch; draws that replay, initial weights and batches, in
    whatever order they are read, and that differ by training and by seed; a training loss that is a
    function of its arguments, finite, independent of buffers, and twice differentiable (against
    finite differences in float64, if the problem's own tensors allow it); trainings that leave no
    trace in the problem; a validation loss and its metrics that agree; another split for another
    seed; a test of its own; a full training set, if there is one, that is no smaller and starts
    from the same weights. It takes some ten training steps and six passes over validation and test.

    Args:
        task: one of your own, or of the project's.
        seed: the cell's that it is built for.
        device: where it is built.
        draws_differ: False for a task that is the same in every training, which it is then held to.
        split_by_seed: False for one without examples to split (its test may then be its
            validation), which it is then held to.

    Raises:
        AssertionError: in one line, the first part of the contract that does not hold.
    """
    try:
        instance, other = task.build(seed, device), task.build(seed + 1, device)
        _check_configurations(task, instance.inner)
        _check_replays(instance.inner, task.build(seed, device).inner, task.horizon)
        _check_draws_differ(instance.inner, other.inner, draws_differ)
        _check_training_loss(instance.inner)
        _check_curvature(instance.inner)
        _check_no_trace(instance.inner)
        _check_measures(instance)
        _check_ceiling(task, instance)
        _check_split(instance, other, split_by_seed)
        _check_full(instance)
    except AssertionError as error:
        raise AssertionError(f"{task.name}: {error}") from None


def check_quickly(task: Task, *, seed: int = 0, device: torch.device = CPU) -> None:
    """Check the parts of `check_task` without which a study's numbers would mean nothing.

    Left out are what compares seeds, what needs another building of the task, second derivatives,
    and the ceiling. It takes a handful of training steps, two passes over validation and one over
    test.

    Args:
        task: one of your own, or of the project's.
        seed: the cell's that it is built for.
        device: where it is built.

    Raises:
        AssertionError: in one line, the first part of the contract that does not hold.
    """
    try:
        instance = task.build(seed, device)
        what = type(instance).__name__
        _require(isinstance(instance, Instance), f"build gives a {what}, not an Instance")
        _check_configurations(task, instance.inner)
        _check_replays(instance.inner, instance.inner, task.horizon)
        _check_training_loss(instance.inner)
        _check_measures(instance)
    except AssertionError as error:
        raise AssertionError(f"{task.name}: {error}") from None


def _check_configurations(task: Task, problem: InnerProblem) -> None:
    try:
        check_space(task.brief(0, 1), problem)
        check_rule(task.rule, start(problem.draw(0), task.rule).state)
        for nested in (task.default, *task.initial):
            task.space.flatten(nested)
    except (SearcherError, SpaceError) as error:
        raise AssertionError(str(error)) from None


def _check_replays(problem: InnerProblem, rebuilt: InnerProblem, epochs: int) -> None:
    steps = problem.steps_per_epoch
    _require(isinstance(steps, int) and steps >= 1, f"{steps!r} steps an epoch, not one or more")
    draw, ends = problem.draw(0), {0, steps - 1, min(steps, epochs * steps - 1)}
    first, batches = draw.initial(), {step: draw.batch(step) for step in sorted(ends)}
    _require(first.vector.dim() == 1, f"weights of shape {tuple(first.vector.shape)}, not (P,)")
    _require(bool(first.vector.isfinite().all()), "initial weights that are not finite")
    replays = {"read again": draw, "drawn again": problem.draw(0), "rebuilt": rebuilt.draw(0)}
    for how, replay in replays.items():
        for step in sorted(batches, reverse=True):  # as a backward sweep reads them
            _require(_same(replay.batch(step), batches[step]), f"batch {step} differs when {how}")
        _require(_same(replay.initial(), first), f"the initial weights differ when {how}")


def _check_draws_differ(problem: InnerProblem, other: InnerProblem, draws_differ: bool) -> None:
    draw = problem.draw(0)
    first, batch = draw.initial().vector, draw.batch(0)
    for what, different in (("training", problem.draw(1)), ("seed", other.draw(0))):
        same = _same(different.initial().vector, first)
        _require(same != draws_differ, f"initial weights {_against(same)} by {what}")
        same = _same(different.batch(0), batch)
        _require(same != draws_differ, f"batches {_against(same)} by {what}")


def _check_training_loss(problem: InnerProblem) -> None:
    draw = problem.draw(0)
    weights, batch = draw.initial(), draw.batch(0)
    before = weights.vector.clone()
    theta, after = _theta(problem), _copied(weights.buffers)
    loss = problem.training_loss(weights.vector, after, batch, theta)
    _require(loss.shape == (), f"a training loss of shape {tuple(loss.shape)}, not a scalar")
    _require(bool(loss.isfinite()), f"a training loss of {float(loss)} at the initial weights")
    again = problem.training_loss(weights.vector, _copied(weights.buffers), batch, theta)
    _require(bool(loss == again), "the training loss of one batch differs from call to call")
    shifted = {  # what no step moves, such as a frozen layer, is as good as a constant
        name: buffer.clone() if _same(after[name], buffer) else 2 * buffer + 1
        for name, buffer in weights.buffers.items()
    }
    shifted_loss = problem.training_loss(weights.vector, shifted, batch, theta)
    _require(bool(loss == shifted_loss), "the training loss depends on buffers that a step moves")
    _require(_same(weights.vector, before), "the training loss changes the weights it is given")


def _check_curvature(problem: InnerProblem) -> None:
    """A Hessian-vector product by autograd against differences of gradients."""
    draw = problem.draw(0)
    weights, batch = draw.initial(), draw.batch(0)
    doubled = _doubled(weights.vector), _doubled(weights.buffers), _doubled(batch)
    try:
        problem.training_loss(*doubled, _theta(problem))
        vector, buffers, batch = doubled
        in_double = True
    except RuntimeError:  # tensors of the problem's own in float32: only autograd is tried
        vector, buffers = weights
        in_double = False

    def gradient(at: Tensor, *, differentiable: bool = False) -> tuple[Tensor, Tensor]:
        leaf = at.detach().requires_grad_()
        loss = problem.training_loss(leaf, _copied(buffers), batch, _theta(problem))
        (slope,) = torch.autograd.grad(loss, leaf, create_graph=differentiable)
        return leaf, slope

    direction = torch.randn(len(vector), generator=generator("direction")).to(vector)
    direction /= direction.norm()
    leaf, slope = gradient(vector, differentiable=True)
    _require(slope.requires_grad, "the training loss has no second derivative")
    product = torch.autograd.grad(slope, leaf, direction, allow_unused=True)[0]
    product = torch.zeros_like(vector) if product is None else product
    slope = slope.detach()
    for what, derivative in (("gradient", slope), ("second derivative", product)):
        _require(
            bool(derivative.isfinite().all()), f"the training loss has a {what} that is not finite"
        )
    if in_double:
        ahead, behind = (gradient(vector + sign * DIFFERENCE * direction)[1] for sign in (1, -1))
        differences = (ahead - behind) / (2 * DIFFERENCE)
        apart = float((product - differences).norm())
        # A difference of gradients is known to rounding, some 1e-16 of the gradient, over 2e-8.
        allowed = TOLERANCE * float(differences.norm()) + 1e-6 * float(slope.norm())
        _require(
            apart <= allowed,
            f"a Hessian-vector product of norm {float(product.norm()):.3g} is {apart:.3g} away "
            "from finite differences",
        )


def _check_no_trace(problem: InnerProblem) -> None:
    """Two steps of a training change what that training was given, and nothing else."""
    first = problem.draw(0).initial()
    untouched = problem.validation(first)
    draw = problem.draw(0)
    vector, buffers = draw.initial()
    for step in range(2):
        leaf = vector.detach().requires_grad_()
        loss = problem.training_loss(leaf, buffers, draw.batch(step), _theta(problem))
        vector = leaf.detach() - 1e-3 * torch.autograd.grad(loss, leaf)[0]
    _require(_same(problem.draw(0).initial(), first), "a training changes the next one's start")
    _require(problem.validation(first) == untouched, "a training changes another's validation")


def _check_measures(instance: Instance) -> None:
    """Validation and test of the initial weights."""
    problem = instance.inner
    weights = problem.draw(0).initial()
    before = Weights(weights.vector.clone(), _copied(weights.buffers))
    leaf = weights.vector.detach().requires_grad_()
    loss = problem.validation_loss(leaf, weights.buffers)
    (slope,) = torch.autograd.grad(loss, leaf)
    differentiated = loss.item()
    _require(bool(slope.isfinite().all()), "the validation loss has a gradient that is not finite")
    metrics, test = problem.validation(weights), instance.test(weights)
    for what, measured in (("validation", metrics), ("test", test)):
        _require(
            measured.accuracy is None or 0 <= measured.accuracy <= 1,
            f"a {what} accuracy of {measured.accuracy}, not a fraction",
        )
    _require(
        not abs(metrics.loss - differentiated) > ROUNDING * max(abs(differentiated), SMALL),
        f"validation() measures {metrics.loss}, validation_loss is {differentiated}",
    )
    _require(_same(weights, before), "validation or test changes the weights it is given")


def _check_ceiling(task: Task, instance: Instance) -> None:
    weights = instance.inner.draw(0).initial()
    measured = {"validation": instance.inner.validation(weights), "test": instance.test(weights)}
    for what, metrics in measured.items():
        _require(
            metrics.loss <= task.loss_ceiling,
            f"a {what} loss of {metrics.loss} before training, above the ceiling of diverged ones",
        )


def _check_split(instance: Instance, other: Instance, split_by_seed: bool) -> None:
    weights = instance.inner.draw(0).initial()
    metrics, test = instance.inner.validation(weights), instance.test(weights)
    same = other.inner.validation(weights) == metrics
    _require(same != split_by_seed, f"validation splits {_against(same)} by seed")
    if split_by_seed:
        _require(test != metrics, "the test measures what validation measures: is it the same?")


def _check_full(instance: Instance) -> None:
    if instance.full is None:
        return
    part, full = instance.inner, instance.full()
    _require(
        full.steps_per_epoch >= part.steps_per_epoch,
        f"{full.steps_per_epoch} steps an epoch on the full training set, {part.steps_per_epoch} on"
        " its part",
    )
    same = _same(full.draw(0).initial(), part.draw(0).initial())
    _require(same, "the initial weights differ on the full training set")
    names = list(full.hyperparameters), list(full.groups)
    known = list(part.hyperparameters), list(part.groups)
    _require(names == known, f"{names} to be tuned on the full training set, {known} on its part")


def _theta(problem: InnerProblem) -> Theta:
    """The loss's hyperparameters where nobody tunes them, as a training hands them over."""
    values = problem.hyperparameters.items()
    return {name: torch.tensor(v, dtype=torch.float64, device=problem.device) for name, v in values}


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def _against(same: bool) -> str:
    return "do not differ" if same else "differ"


def _same(a: Any, b: Any) -> bool:
    """Equal in every tensor, a NaN to a NaN; what has no equality of its own, part by part."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (Tensor, np.ndarray)):
        return _same_numbers(a, b)
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(_same, a, b))
    if dataclasses.is_dataclass(a) or type(a).__eq__ is object.__eq__:
        return a is b or _same(dict(getattr(a, "__dict__", {})), dict(getattr(b, "__dict__", {})))
    return bool(a == b) or (a != a and b != b)


def _same_numbers(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    if a.layout != torch.strided:
        a, b = a.to_dense(), b.to_dense()
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a, b) or bool(((a == b) | ((a != a) & (b != b))).all())


def _mapped(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """A batch or buffers with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(change, part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [_mapped(change, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def _copied(buffers: Buffers) -> Buffers:
    return {name: buffer.clone() for name, buffer in buffers.items()}


def _doubled(value: Any) -> Any:
    return _mapped(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor, value)
