"""One training to a budget, as black-box searchers ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from searchers.hypergradients.schedules import schedule
from searchers.hypergradients.training import Trained, start, train
from searchers.inner_problem import InnerProblem, Weights
from searchers.protocols import Brief, Evaluation, Job
from searchers.stopwatch import Stopwatch
from searchers.update_rules import State

BUFFER, MEMORY = "buffer ", "memory "
"""What a name begins with in a file, of a model's buffers and of an update rule's memory."""

UNKNOWN_TO_NUMPY = {
    torch.bfloat16: torch.int16,
    torch.float8_e4m3fn: torch.uint8,
    torch.float8_e5m2: torch.uint8,
}
"""Types, and the integers of as many bytes that stand for them in a file."""


def evaluate_job(problem: InnerProblem, brief: Brief, job: Job, trainings: Path) -> Evaluation:
    """Train a job's configuration to its budget and validate it.

    On a task whose smaller budgets are the first part of the schedule, a training below the
    horizon leaves its state in a folder, from which a later job trains it on.

    Args:
        problem: what is trained.
        brief: the cell's.
        job: what a searcher asked for.
        trainings: the folder.
    """
    laps = Stopwatch(problem.device)
    along = schedule(brief, problem, job.configuration, job.epochs)
    kept = trainings / f"{job.training}.npz"
    done, begin, draw = 0, None, problem.draw(job.training)
    laps.end("train")
    if not brief.compress and kept.exists():
        done, begin = load_training(kept, problem.device)
        laps.end("checkpoint")
    begin = begin or start(draw, brief.rule)
    trained = train(problem, draw, along, begin, range(done, along.steps))
    laps.end("train")
    metrics = problem.validation(trained.weights)
    laps.end("validation")
    if not brief.compress and job.epochs < brief.horizon:
        save_training(kept, along.steps, trained)
        laps.end("checkpoint")
    return Evaluation(
        training=job.training,
        configuration=job.configuration,
        epochs=job.epochs,
        metrics=metrics,
        steps=along.steps - done,
        weights=trained.weights,
        seconds=laps.seconds,
    )


def save_training(path: Path, steps: int, trained: Trained) -> None:
    """Keep an unfinished training: how far it came, weights, the update rule's memory, buffers."""
    memory = {f"{MEMORY}{i}": part for i, part in enumerate(trained.state.memory)}
    _save(path, _named(trained.weights) | memory | {"steps": torch.tensor(steps)})


def load_training(path: Path, device: torch.device) -> tuple[int, Trained]:
    """The steps done, and the state after them."""
    kept = _load(path, device)
    weights = _weights(kept)
    count = sum(name.startswith(MEMORY) for name in kept)
    state = State(weights.vector, tuple(kept[f"{MEMORY}{i}"] for i in range(count)))
    return int(kept["steps"]), Trained(state, weights.buffers)


def kept_weights(scratch: Path, training: int, epochs: int) -> Path:
    """Where the weights of a training at a budget are kept until they are tested.

    Args:
        scratch: the cell's folder for what does not outlive it.
        training: number of the training.
        epochs: the budget.
    """
    return scratch / "weights" / f"t{training}_e{epochs}.npz"


def save_weights(path: Path, weights: Weights) -> None:
    """Keep finished weights, to be measured on the test set after the cell."""
    _save(path, _named(weights))


def load_weights(file: Path | BinaryIO, device: torch.device) -> Weights:
    """What `save_weights` kept."""
    return _weights(_load(file, device))


def _named(weights: Weights) -> dict[str, Tensor]:
    buffers = {f"{BUFFER}{name}": tensor for name, tensor in weights.buffers.items()}
    return {"vector": weights.vector, **buffers}


def _weights(named: dict[str, Tensor]) -> Weights:
    buffers = {n.removeprefix(BUFFER): t for n, t in named.items() if n.startswith(BUFFER)}
    return Weights(named["vector"], buffers)


def _save(path: Path, tensors: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.npz")
    np.savez(partial, **dict(map(_array, tensors, tensors.values())))  # type: ignore[arg-type]
    partial.replace(path)


def _load(file: Path | BinaryIO, device: torch.device) -> dict[str, Tensor]:
    with np.load(file, allow_pickle=False) as kept:
        return dict(_tensor(name, kept[name], device) for name in kept.files)


def _array(name: str, tensor: Tensor) -> tuple[str, np.ndarray]:
    """A tensor as NumPy keeps it; the name says what it was, if NumPy has no such numbers."""
    tensor = tensor.detach().cpu()
    alike = UNKNOWN_TO_NUMPY.get(tensor.dtype)
    if alike is None:
        return name, tensor.numpy()
    return f"{name} {tensor.dtype}", tensor.view(alike).numpy()


def _tensor(name: str, array: np.ndarray, device: torch.device) -> tuple[str, Tensor]:
    """The name and the tensor of `_array`."""
    tensor = torch.from_numpy(array)
    for kind in UNKNOWN_TO_NUMPY:
        if name.endswith(f" {kind}"):
            name, tensor = name.removesuffix(f" {kind}"), tensor.view(kind)
    return name, tensor.to(device)
