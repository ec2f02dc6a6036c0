"""HDM: its formulas, what it counts, and the published number of gradients on a1a."""

from __future__ import annotations

import copy
import io
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from searchers.errors import SearcherError
from searchers.online import HDM

A1A = Path(os.environ.get("HPOBENCH_DATA", "/nowhere")) / "libsvm" / "a1a"


class Bowl:
    """½ Σ hᵢ xᵢ² in parts of any shape, and how often it was asked."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        self.curvatures = torch.tensor([1.0, 0.3, 2.0, 0.05, 0.7, 1.5], dtype=dtype)
        start = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0, 0.1], dtype=dtype)
        self.params = [
            torch.nn.Parameter(start[:2].clone()),
            torch.nn.Parameter(start[2:].view(2, 2)),
        ]
        self.asked = 0

    def loss(self) -> Tensor:
        x = torch.cat([p.reshape(-1) for p in self.params])
        return (self.curvatures * x.square()).sum() / 2

    def closure_of(self, optimizer: torch.optim.Optimizer) -> Callable[[], Tensor]:
        def closure() -> Tensor:
            self.asked += 1
            optimizer.zero_grad()
            loss = self.loss()
            loss.backward()
            return loss

        return closure

    def x(self) -> np.ndarray:
        return np.concatenate([p.detach().double().numpy().reshape(-1) for p in self.params])


def by_hand(h: np.ndarray, x: np.ndarray, steps: int, diagonal: bool) -> tuple[np.ndarray, int]:
    """The formulas, with NumPy: lr 0.2, momentum_lr 3; where x is, and how many null steps."""
    size: Any = np.zeros_like(x) if diagonal else 0.0
    square, beta, beta_square, before, null = size * 0.0, 0.95, 0.0, x, 0
    for _ in range(steps):
        g = h * x
        trial = x - size * g + beta * (x - before)
        slope, scale = h * trial, g @ g + 1e-12
        along = -slope * g / scale if diagonal else -(slope @ g) / scale
        square = square + along**2
        size = np.clip(size - 0.2 * along / (np.sqrt(square) + 1e-12), 0.0, np.inf)
        along_beta = slope @ (x - before) / scale
        beta_square += along_beta**2
        beta = np.clip(beta - 3 * along_beta / (math.sqrt(beta_square) + 1e-12), 0.0, 0.9995)
        before = x
        if h @ trial**2 < h @ x**2:
            x = trial
        else:
            null += 1
    return x, null


@pytest.mark.parametrize("diagonal", [True, False])
def test_it_follows_its_formulas(diagonal: bool) -> None:
    bowl = Bowl()
    optimizer = HDM(bowl.params, 0.2, 3.0, diagonal=diagonal)
    start, h = bowl.x(), bowl.curvatures.numpy()
    for steps in range(1, 30):
        before = float(bowl.loss().detach())
        assert float(optimizer.step(bowl.closure_of(optimizer))) == pytest.approx(before)
        expected, null = by_hand(h, start, steps, diagonal)
        np.testing.assert_allclose(bowl.x(), expected, rtol=1e-9, atol=1e-12)
        assert optimizer.param_groups[0]["null_steps"] == null
        assert float(bowl.loss().detach()) <= before
    assert optimizer.param_groups[0]["null_steps"] >= 1  # the first, at least


def test_a_full_batch_is_asked_once_a_step_and_a_batch_twice() -> None:
    for full_batch, asked in ((True, 1 + 10), (False, 2 * 10)):
        bowl = Bowl()
        optimizer = HDM(bowl.params, 0.2, full_batch=full_batch)
        for _ in range(10):
            optimizer.step(bowl.closure_of(optimizer))
        assert bowl.asked == asked == optimizer.param_groups[0]["evaluations"]


def test_a_batch_is_tried_on_itself() -> None:
    """What a step takes is what lowers the loss of its own batch, whatever the last one was."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 5, generator=generator, dtype=torch.float64)
    targets = inputs @ torch.arange(5.0, dtype=torch.float64) + 0.1
    w = torch.nn.Parameter(torch.zeros(5, dtype=torch.float64))
    optimizer = HDM([w], 0.05, full_batch=False)

    def loss_of(batch: Tensor) -> Tensor:
        return (inputs[batch] @ w - targets[batch]).square().mean()

    first = float(loss_of(torch.arange(64)).detach())
    for _ in range(200):
        batch = torch.randperm(64, generator=generator)[:16]

        def closure(batch: Tensor = batch) -> Tensor:
            optimizer.zero_grad()
            loss = loss_of(batch)
            loss.backward()
            return loss

        before = float(loss_of(batch).detach())
        optimizer.step(closure)
        assert float(loss_of(batch).detach()) <= before
    assert float(loss_of(torch.arange(64)).detach()) < first / 100


def test_weights_that_somebody_else_moved_are_asked_again() -> None:
    bowl = Bowl()
    optimizer = HDM(bowl.params, 0.2)
    for _ in range(3):
        optimizer.step(bowl.closure_of(optimizer))
    with torch.no_grad():
        bowl.params[0].fill_(5.0)
    here = float(bowl.loss().detach())
    assert float(optimizer.step(bowl.closure_of(optimizer))) == pytest.approx(here)
    assert bowl.asked == 1 + 3 + 2


@pytest.mark.parametrize("diagonal", [True, False])
def test_saved_loaded_and_copied_it_goes_on_alike(diagonal: bool) -> None:
    bowl, other = Bowl(), Bowl()
    optimizer = HDM(bowl.params, 0.2, diagonal=diagonal)
    for _ in range(12):
        optimizer.step(bowl.closure_of(optimizer))
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    with torch.no_grad():
        for p, q in zip(other.params, bowl.params, strict=True):
            p.copy_(q)
    loaded = HDM(other.params, 0.9, diagonal=diagonal)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    copied = copy.deepcopy((bowl, optimizer))
    for _ in range(12):
        optimizer.step(bowl.closure_of(optimizer))
        loaded.step(other.closure_of(loaded))
        copied[1].step(copied[0].closure_of(copied[1]))
    np.testing.assert_array_equal(bowl.x(), other.x())
    np.testing.assert_array_equal(bowl.x(), copied[0].x())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_trial_that_is_not_finite_is_a_null_step_that_halves_step_sizes(bad: float) -> None:
    p = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = HDM([p], 0.5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = p.square().sum() if float(p.detach()) > 0.9 else p.sum() * bad
        loss.backward()
        return loss

    optimizer.step(closure)
    before = float(optimizer.state[p]["step_size"])
    assert before > 0
    optimizer.step(closure)
    assert float(p.detach()) == 1.0
    assert float(optimizer.state[p]["step_size"]) == before / 2
    for _ in range(20):
        optimizer.step(closure)
    assert 0.9 < float(p.detach()) < 1.0  # as near as the wall lets it


def test_the_curvature_that_was_met_says_how_fast_step_sizes_move() -> None:
    bowl = Bowl()
    optimizer = HDM(bowl.params, 0.05, trust_after=5)
    for _ in range(40):
        optimizer.step(bowl.closure_of(optimizer))
    group = optimizer.param_groups[0]
    assert 0.05 <= group["curvature"] <= 2.0  # of the bowl's own
    assert group["lr"] == pytest.approx(1 / group["curvature"])


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"lr": -1.0}, "lr is between 0"),
        ({"lr": math.inf}, "lr is between 0"),
        ({"momentum": 1.0}, "momentum is between 0 and 0.9995"),
        ({"momentum_lr": "a"}, "momentum_lr is a number"),
        ({"bounds": (0.1, 1.0)}, "bounds of step sizes hold 0"),
    ],
)
def test_nonsense_is_refused(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(SearcherError, match=line):
        HDM(Bowl().params, **settings)


def test_it_has_one_group_and_needs_a_closure() -> None:
    one, other = Bowl().params
    with pytest.raises(SearcherError, match="one group"):
        HDM([{"params": [one]}, {"params": [other]}])
    with pytest.raises(SearcherError, match="closure"):
        HDM([one]).step(None)  # type: ignore[arg-type]


@pytest.mark.skipif(not A1A.is_file(), reason="a1a is not in HPOBENCH_DATA/libsvm")
def test_on_a1a_it_takes_as_many_gradients_as_published() -> None:
    """The authors' start and rates (10/L and 3, the best of their grid), to a gradient of 1e-4."""
    from sklearn.datasets import load_svmlight_file

    features, labels = load_svmlight_file(str(A1A))
    rows = np.hstack([features.toarray(), -np.ones((features.shape[0], 1))]) * labels[:, None]
    smoothness = float(np.linalg.norm(rows, 2) ** 2)
    start = np.random.RandomState(20250128).randn(rows.shape[1])
    w = torch.nn.Parameter(torch.tensor(start / np.linalg.norm(start)))
    margins, optimizer = torch.tensor(rows), HDM([w], 10 / smoothness, 3.0)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (1 - margins @ w).clamp(min=0).square().sum() / 2
        loss.backward()
        return loss

    for _ in range(1000):
        optimizer.step(closure)
        if float(optimizer.state[w]["gradient"].abs().max()) < 1e-4:
            break
    assert optimizer.param_groups[0]["evaluations"] <= 1.1 * 276
