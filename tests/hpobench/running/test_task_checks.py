"""A user's own tasks are checked before anything is measured."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hpobench import Study, StudyError
from hpobench.running.task_checks import check, own_tasks
from searchers import SGD, Categorical, Float, Int, Space
from trainables import (
    Examples,
    Instance,
    LabelSmoothing,
    Minibatch,
    NetworkProblem,
    Task,
    TaskError,
)
from trainables.tasks import find_task
from trainables.testing import check_quickly, check_task


def build(
    seed: int,
    device: torch.device,
    *,
    classes: int = 2,
    labels: Callable[[Tensor], Tensor] = lambda labels: labels,
    objective: Any = None,
) -> Instance:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(90, 5, generator=generator)
    targets = labels((inputs[:, 0] > 0).long())
    train, validation, test = (
        Examples(inputs[first : first + 30], targets[first : first + 30]) for first in (0, 30, 60)
    )
    problem = NetworkProblem(
        lambda: nn.Linear(5, classes),
        train,
        validation,
        batch_size=10,
        seed=seed,
        device=device,
        objective=objective,
    )
    return Instance(problem, partial(problem.measure, examples=test))


OWN = Task(
    name="own",
    summary="two classes",
    build=build,
    space=Space({"learning_rate": Float(1e-3, 1.0, log=True)}),
    initial=({"learning_rate": 0.1},),
    default={"learning_rate": 0.1},
    budgets=(1, 3),
    smaller_budget="compress",
    loss_ceiling=10.0,
)


def searching(**values: Any) -> Task:
    """The same over another space, from the first of these values each."""
    start = {name: value for name, (_, value) in values.items()}
    space = Space({name: domain for name, (domain, _) in values.items()})
    return replace(OWN, space=space, initial=(start,), default=start)


def no_test(seed: int, device: torch.device) -> Instance:
    instance = build(seed, device)
    return Instance(instance.inner, lambda weights: {}["accuracy"])  # type: ignore[index]


def never_the_same(seed: int, device: torch.device) -> Instance:
    instance = build(seed, device)
    instance.inner.train.inputs.copy_(torch.rand(30, 5))  # type: ignore[attr-defined]
    other = instance.inner.draw

    def draw(training: int) -> Any:
        instance.inner.train.inputs.add_(1.0)  # type: ignore[attr-defined]
        return other(training)

    instance.inner.draw = draw  # type: ignore[method-assign]
    return instance


RANGE = Float(1e-3, 1.0)


@pytest.mark.parametrize(
    ("task", "line"),
    [
        (replace(OWN, build=partial(build, labels=Tensor.float)), "labels are torch.float32"),
        (replace(OWN, build=partial(build, labels=lambda y: y[:, None])), r"of shape \(30, 1\)"),
        (replace(OWN, build=partial(build, classes=1)), "a label is 1, and the network gives 1"),
        (
            replace(OWN, build=partial(build, objective=nn.CrossEntropyLoss())),
            r"objective is a training loss .*LabelSmoothing\(\).* not CrossEntropyLoss\(\)",
        ),
        (
            replace(OWN, build=partial(build, objective=nn.functional.cross_entropy)),
            "objective is a training loss .* not cross_entropy",
        ),
        (replace(OWN, build=partial(build, objective=LabelSmoothing)), "not LabelSmoothing;"),
        (searching(lr=(RANGE, 0.1)), "lr is no hyperparameter of the update rule sgd .*which have"),
        (searching(betas=(RANGE, 0.9)), "betas is no hyperparameter"),
        (searching(learning_rate=(Int(1, 3), 1)), "learning_rate is not a Float"),
        (searching(momentum=(Categorical((0.0, 0.9)), 0.9)), "momentum is not a Float"),
        (replace(OWN, build=lambda seed, device: None), "build gives a NoneType, not an Instance"),
        (replace(OWN, build=lambda seed, device: sys.exit(0)), "cannot be trained: SystemExit: 0"),
        (replace(OWN, build=never_the_same), "batch 3 differs when read again"),
        (
            replace(OWN, build=no_test),
            rf"cannot be trained: KeyError: 'accuracy' \({Path(__file__)}, line \d+\)",
        ),
    ],
)
def test_what_would_mean_nothing_is_refused(task: Task, line: str) -> None:
    with pytest.raises(StudyError, match=f"^own:? .*{line}") as caught:
        check(task, 0, "cpu", 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rule", [torch.optim.AdamW, SGD, "sgd", None])
def test_a_rule_that_is_none_is_refused_when_the_task_is_made(rule: Any) -> None:
    with pytest.raises(TaskError, match=r"^own: rule is an update rule, such as .*SGD\(\)"):
        replace(OWN, rule=rule)


def test_a_task_that_keeps_its_contract_passes_and_says_how_long_it_took() -> None:
    threads = torch.get_num_threads()
    assert check(OWN, 0, "cpu", 1) > 0
    assert torch.get_num_threads() == threads
    check_quickly(OWN)
    check_task(OWN)


def test_tasks_that_come_with_the_project_are_not_a_users_own() -> None:
    changed = replace(find_task("quadratic"), loss_ceiling=7.0)
    study = Study("some", ["digits", changed, OWN], ["random"], 1, 1.0)
    assert own_tasks(study) == [changed, OWN]


@pytest.mark.ray
def test_an_own_task_is_refused_before_a_run_has_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = searching(lr=(RANGE, 0.1))
    with pytest.raises(StudyError, match="lr is no hyperparameter"):
        Study("own", [broken], ["random"], 1, 1.0).run(tmp_path / "broken", wandb="off")
    assert not (tmp_path / "broken").exists()
    Study("own", [OWN], ["random"], 1, 0.5).run(tmp_path / "whole", wandb="off")
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("own: checking")  # the broken one
    assert said[1].startswith("own: checking")
    assert said[2].startswith("own: keeps to what a task has to (")


@dataclass
class Pair:
    """A batch of a kind of its own."""

    inputs: Tensor
    labels: Tensor


def whole(first: Any) -> Callable[[int, torch.device], Instance]:
    """A task whose problem is changed by ``first``, which is given its instance."""

    def made(seed: int, device: torch.device) -> Instance:
        instance = build(seed, device)
        first(instance.inner)
        return instance

    return made


def frozen(seed: int, device: torch.device) -> Instance:
    """A network with a layer that stays as it is, and inputs' mean as a buffer."""
    instance = build(seed, device)
    problem: Any = instance.inner

    class Tuned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(5, 4).requires_grad_(False), nn.Linear(4, 2)
            self.register_buffer("mean", torch.full((5,), 0.5))

        def forward(self, inputs: Tensor) -> Tensor:
            return self.head(torch.tanh(self.body(inputs - self.mean)))

    tuned = NetworkProblem(
        Tuned, problem.train, problem.validation_examples, batch_size=10, seed=seed, device=device
    )
    return Instance(tuned, tuned.validation)


def with_missing_values(problem: Any) -> None:
    """NaN in the inputs, which the model would fill in."""
    forward, problem._forward = problem._forward, None
    problem.train.inputs[3, 2] = float("nan")
    problem._forward = lambda vector, buffers, inputs, training: forward(
        vector, buffers, inputs.nan_to_num(), training=training
    )


def with_batches(problem: Any, change: Callable[[int, Any], Any]) -> None:
    """Its draws' batches, by their step, are changed."""
    draw = problem.draw

    class Changed:
        def __init__(self, training: int) -> None:
            self.of = draw(training)
            self.initial = self.of.initial

        def batch(self, step: int) -> Any:
            return change(step, self.of.batch(step))

    problem.draw = Changed


def in_pairs(problem: Any) -> None:
    """Batches that are dataclasses."""
    loss = problem.training_loss
    problem.training_loss = lambda vector, buffers, batch, theta: loss(
        vector, buffers, Minibatch(batch.inputs, batch.labels, None, 0), theta
    )
    with_batches(problem, lambda step, batch: Pair(batch.inputs, batch.labels))


def one_epoch_alone(problem: Any) -> None:
    """A stream that ends with the epoch."""
    within = range(problem.steps_per_epoch)
    with_batches(problem, lambda step, batch: batch if step in within else [][step])


@pytest.mark.parametrize(
    "task",
    [
        replace(OWN, build=frozen),
        replace(OWN, build=whole(with_missing_values)),
        replace(OWN, build=whole(in_pairs)),
        replace(OWN, build=whole(one_epoch_alone), budgets=(1,)),
        replace(OWN, loss_ceiling=0.01),
    ],
    ids=["frozen", "missing values", "pairs", "one epoch", "ceiling"],
)
def test_what_keeps_to_the_contract_is_not_refused(task: Task) -> None:
    assert check(task, 0, "cpu", 1) > 0
