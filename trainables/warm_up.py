"""Warm-up of a slot: everything that costs time once, whatever the task."""

from __future__ import annotations

import torch

from searchers.hypergradients.forward import Forward
from searchers.hypergradients.schedules import schedule
from trainables.synthetic import QUADRATIC


def warm_up(device: torch.device) -> None:
    """A tiny training step with a Hessian-vector product.

    Starts autograd, and the device where there is one; the first vector-Jacobian product of a
    process imports some 1,700 modules (0.7 s), which no searcher's clock should see.
    """
    model = torch.nn.Linear(8, 4).to(device)
    inputs = torch.ones(16, 8, device=device)
    labels = torch.zeros(16, dtype=torch.long, device=device)
    vector = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).requires_grad_()
    weight, bias = vector.split([32, 4])
    state = {"weight": weight.view(4, 8), "bias": bias}
    logits = torch.func.functional_call(model, state, (inputs,))
    loss = torch.nn.functional.cross_entropy(logits.tanh(), labels)
    (slope,) = torch.autograd.grad(loss, vector, create_graph=True)
    torch.autograd.grad(slope, vector, torch.ones_like(slope))
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def warm_up_forward_mode(device: torch.device) -> None:
    """The first tangents of a process import as much again (1.5 s)."""
    problem, brief = QUADRATIC.build(0, device).inner, QUADRATIC.brief(0, width=1)
    along = schedule(brief, problem, brief.default, epochs=3)
    Forward(chunk=4).hypergradient(problem, problem.draw(0), along)
