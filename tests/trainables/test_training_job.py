"""One training to a budget: continued or in one go, kept and loaded, the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from searchers.hypergradients.training import Trained
from searchers.inner_problem import Weights
from searchers.protocols import Job
from searchers.space import Float, Space, Vector
from searchers.update_rules import AdaGrad, Adam, State, UpdateRule
from trainables.task import Instance, Task
from trainables.tasks import find_task
from trainables.tasks.digits import DIGITS
from trainables.training_job import (
    evaluate_job,
    load_training,
    load_weights,
    save_training,
    save_weights,
)

CPU = torch.device("cpu")


def truncated(rule: UpdateRule | None = None) -> Task:
    changed = dataclasses.replace(DIGITS, name="digits_truncated", smaller_budget="truncate")
    return dataclasses.replace(changed, **with_rule(rule)) if rule else changed


def with_rule(rule: UpdateRule) -> dict[str, object]:
    nested = {"learning_rate": (0.003,) * 3, "weight_decay": 1e-5}
    domains = {"learning_rate": Vector(3, Float(1e-4, 0.1)), "weight_decay": Float(0.0, 1e-3)}
    return {"rule": rule, "space": Space(domains), "initial": (nested,), "default": nested}


def run(task: Task, folder: Path, *epochs: int, training: int = 3):
    problem, brief = task.build(0, CPU).inner, task.brief(0, 1)
    return [
        evaluate_job(problem, brief, Job(training, dict(brief.initial[0]), e), folder)
        for e in epochs
    ]


@pytest.mark.parametrize("rule", [None, Adam(), AdaGrad()])
def test_training_on_is_training_in_one_go(rule: UpdateRule | None, tmp_path: Path) -> None:
    """Also where the rule remembers more, or counts its steps."""
    *_, continued = run(truncated(rule), tmp_path / "a", 1, 3, 9)
    (whole,) = run(truncated(rule), tmp_path / "b", 9)
    assert torch.equal(continued.weights.vector, whole.weights.vector)
    assert continued.metrics == whole.metrics
    assert continued.steps == 6 * 31
    assert whole.steps == 9 * 31


def test_a_compressed_budget_starts_afresh_and_sees_the_whole_schedule(tmp_path: Path) -> None:
    task = dataclasses.replace(
        DIGITS,
        initial=({"learning_rate": (0.2,) * 6 + (0.001,), "momentum": 0.5, "weight_decay": 1e-5},),
    )
    first, second = run(task, tmp_path, 1, 3)
    assert (first.steps, second.steps) == (31, 93)
    assert not list(tmp_path.rglob("*.npz"))
    changed = dataclasses.replace(
        task,
        initial=({"learning_rate": (0.2,) * 7, "momentum": 0.5, "weight_decay": 1e-5},),
    )
    assert run(changed, tmp_path, 1)[0].metrics != first.metrics  # the last window counts


def test_trainings_differ_by_number_and_agree_by_number(tmp_path: Path) -> None:
    (a,), (b,), (c,) = (run(DIGITS, tmp_path, 1, training=n) for n in (0, 0, 1))
    assert a.metrics == b.metrics != c.metrics


def test_weights_are_kept_and_loaded(tmp_path: Path) -> None:
    (evaluation,) = run(DIGITS, tmp_path, 1)
    weights = evaluation.weights._replace(buffers={"running_mean": torch.arange(3.0)})
    save_weights(tmp_path / "w.npz", weights)
    loaded = load_weights(tmp_path / "w.npz", CPU)
    assert torch.equal(loaded.vector, weights.vector)
    assert torch.equal(loaded.buffers["running_mean"], torch.arange(3.0))
    assert [f.name for f in tmp_path.iterdir()] == ["w.npz"]


@pytest.mark.parametrize(
    "kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2]
)
def test_weights_of_any_floating_type_are_kept_as_they_are(
    kind: torch.dtype, tmp_path: Path
) -> None:
    vector = torch.randn(9, generator=torch.Generator().manual_seed(0)).to(kind)
    buffers = {"scale": torch.tensor(0.3).to(kind), "count": torch.tensor(7), "z": torch.tensor(2j)}
    save_weights(tmp_path / "w.npz", Weights(vector, buffers))
    loaded = load_weights(tmp_path / "w.npz", CPU)
    assert loaded.vector.dtype == kind
    for name, tensor in {"vector": vector, **buffers}.items():
        again = loaded.vector if name == "vector" else loaded.buffers[name]
        assert again.dtype == tensor.dtype
        assert again.shape == tensor.shape
        assert torch.equal(again.to(torch.complex128), tensor.to(torch.complex128))
    state = State(vector, (vector * 2 if kind.itemsize > 1 else vector, vector))
    save_training(tmp_path / "t.npz", 12, Trained(state, buffers))
    steps, trained = load_training(tmp_path / "t.npz", CPU)
    assert steps == 12
    for part, again in zip(state.memory, trained.state.memory, strict=True):
        assert again.dtype == kind
        assert torch.equal(again.double(), part.double())


def test_an_instance_gives_its_searcher_no_way_to_the_test_set() -> None:
    """What `build` closes over for the test is not reachable from the inner problem."""
    for name in ("digits", "quadratic", "noisy_quadratic"):
        instance = find_task(name).build(0, CPU)
        assert isinstance(instance, Instance)
        assert not any("test" in attribute for attribute in dir(instance.inner))


@pytest.mark.parametrize("seed", [0, 1])
def test_no_image_of_the_test_set_is_in_the_training_data(seed: int) -> None:
    problem = DIGITS.build(seed, CPU).inner
    seen = torch.cat([problem.train.inputs, problem.validation_examples.inputs])
    assert len(seen) == 1400
    assert len(seen.unique(dim=0)) == 1400
