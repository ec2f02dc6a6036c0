"""Warm-up of a slot: everything that costs time once, whatever the task."""

from __future__ import annotations

import torch


def warm_up(device: torch.device) -> None:
    """A tiny training with second derivatives: starts autograd, and the device where there is one."""
    model = torch.nn.Linear(8, 4).to(device)
    inputs = torch.ones(16, 8, device=device)
    weights = list(model.parameters())
    for _ in range(3):
        loss = model(inputs).tanh().square().mean()
        slopes = torch.autograd.grad(loss, weights, create_graph=True)
        torch.autograd.grad(sum(slope.square().sum() for slope in slopes), weights)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
