"""Warm-up of a slot: everything that costs time once, whatever the task."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import torch

from searchers.hypergradients.forward import Forward
from searchers.hypergradients.schedules import schedule
from searchers.inner_problem import Weights
from searchers.stopwatch import wait_for
from trainables.tasks.synthetic import QUADRATIC
from trainables.training_job import save_weights


def warm_up(device: torch.device) -> None:
    """A tiny training step with a Hessian-vector product.

    Starts autograd, and on a GPU its context, the allocator and the libraries of convolutions and
    matrix products; the first vector-Jacobian product of a process imports hundreds of modules
    (up to 0.7 s). No searcher's clock should see any of this.
    """
    images = torch.ones(16, 1, 5, 5, device=device)
    labels = torch.zeros(16, dtype=torch.long, device=device)
    vector = torch.linspace(-1.0, 1.0, 9 + 36 + 4, device=device).requires_grad_()
    kernel, weight, bias = vector.split([9, 36, 4])
    features = torch.nn.functional.conv2d(images, kernel.view(1, 1, 3, 3)).tanh().flatten(1)
    logits = torch.nn.functional.linear(features, weight.view(4, 9), bias)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    (slope,) = torch.autograd.grad(loss, vector, create_graph=True)
    torch.autograd.grad(slope, vector, torch.ones_like(slope))
    wait_for(device)


def warm_up_saving(folder: Path) -> None:
    """The first file of weights takes a process 3 ms, any other 0.4."""
    file = folder / f"warm-up-{os.getpid()}.npz"
    with suppress(OSError):  # a full disk is the first evaluation's to report
        save_weights(file, Weights(torch.zeros(1), {"buffer": torch.zeros(1)}))
        file.unlink()


def warm_up_forward_mode(device: torch.device) -> None:
    """The first tangents of a process import as much again (1.5 s)."""
    problem, brief = QUADRATIC.build(0, device).inner, QUADRATIC.brief(0, width=1)
    along = schedule(brief, problem, brief.default, epochs=3)
    Forward(chunk=4).hypergradient(problem, problem.draw(0), along)
