"""One training to a budget, as black-box searchers ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from searchers.hypergradients.schedules import schedule
from searchers.hypergradients.training import Trained, start, train
from searchers.inner_problem import InnerProblem, Weights
from searchers.protocols import Brief, Evaluation, Job
from searchers.stopwatch import Stopwatch
from searchers.update_rules import State


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
    memory = {f"memory {i}": _array(part) for i, part in enumerate(trained.state.memory)}
    _save(path, trained.weights, steps=np.array(steps), **memory)


def load_training(path: Path, device: torch.device) -> tuple[int, Trained]:
    """The steps done, and the state after them."""
    with np.load(path, allow_pickle=False) as file:
        weights = _weights(file, device)
        count = sum(key.startswith("memory ") for key in file.files)
        memory = (torch.from_numpy(file[f"memory {i}"]).to(device) for i in range(count))
        state = State(weights.vector, tuple(memory))
        return int(file["steps"]), Trained(state, weights.buffers)


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
    _save(path, weights)


def load_weights(file: Path | BinaryIO, device: torch.device) -> Weights:
    """What `save_weights` kept."""
    with np.load(file, allow_pickle=False) as kept:
        return _weights(kept, device)


def _save(path: Path, weights: Weights, **more: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffers = {f"buffer {name}": _array(b) for name, b in weights.buffers.items()}
    partial = path.with_suffix(".part.npz")
    np.savez(partial, vector=_array(weights.vector), **buffers, **more)  # type: ignore[arg-type]
    partial.replace(path)


def _weights(file: np.lib.npyio.NpzFile, device: torch.device) -> Weights:
    buffers = {
        key.removeprefix("buffer "): torch.from_numpy(file[key]).to(device)
        for key in file.files
        if key.startswith("buffer ")
    }
    return Weights(torch.from_numpy(file["vector"]).to(device), buffers)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
