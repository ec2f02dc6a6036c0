"""One training to a budget, as black-box searchers ask for it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from searchers.inner import InnerProblem, Weights
from searchers.protocols import Brief, Evaluation, Job
from searchers.schedules import Horizon
from searchers.training import Trained, start, train
from searchers.update_rules import State


def evaluate_job(problem: InnerProblem, brief: Brief, job: Job, trainings: Path) -> Evaluation:
    """Train a job's configuration to its budget and validate it.

    On a task whose smaller budgets are the first part of the schedule, a training below the
    horizon leaves its state in the folder ``trainings``, from which a later job trains it on.
    """
    began = time.perf_counter()
    horizon = Horizon.of(brief, job.epochs, problem.steps_per_epoch)
    kept = trainings / f"{job.training}.npz"
    done, begin, draw = 0, None, problem.draw(job.training)
    if not brief.compress and kept.exists():
        done, begin = load_training(kept, problem.device)
    loaded = time.perf_counter()
    values = horizon.values(brief.space, job.configuration)
    trained = train(problem, draw, values, begin or start(draw), range(done, horizon.steps))
    trained_at = time.perf_counter()
    metrics = problem.validation(trained.weights)
    validated = time.perf_counter()
    if not brief.compress and job.epochs < brief.horizon:
        save_training(kept, horizon.steps, trained)
    return Evaluation(
        training=job.training,
        configuration=job.configuration,
        epochs=job.epochs,
        metrics=metrics,
        steps=horizon.steps - done,
        weights=trained.weights,
        seconds={
            "train": trained_at - loaded,
            "validation": validated - trained_at,
            "checkpoint": (loaded - began) + (time.perf_counter() - validated),
        },
    )


def save_training(path: Path, steps: int, trained: Trained) -> None:
    """Keep an unfinished training: how far it came, weights, momentum, buffers."""
    _save(path, trained.weights, steps=np.array(steps), velocity=_array(trained.state.velocity))


def load_training(path: Path, device: torch.device) -> tuple[int, Trained]:
    """The steps done, and the state after them."""
    with np.load(path, allow_pickle=False) as file:
        weights = _weights(file, device)
        velocity = torch.from_numpy(file["velocity"]).to(device)
        return int(file["steps"]), Trained(State(weights.vector, velocity), weights.buffers)


def save_weights(path: Path, weights: Weights) -> None:
    """Keep finished weights, to be measured on the test set after the cell."""
    _save(path, weights)


def load_weights(path: Path, device: torch.device) -> Weights:
    with np.load(path, allow_pickle=False) as file:
        return _weights(file, device)


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
