"""The registry: names, the line for a wrong one, and tasks that travel to another process."""

from __future__ import annotations

import pickle

import pytest

from trainables.task import TaskError
from trainables.tasks import TASKS, find_task


def test_names() -> None:
    assert set(TASKS) == {
        "digits",
        "digits_weak_prior",
        "mnist",
        "mnist_logistic",
        "fashion_mnist",
        "cifar10",
        "cifar10_small",
        "cifar10_jpeg",
        "cifar10_jpeg_small",
        "quadratic",
        "noisy_quadratic",
    }
    for name, task in TASKS.items():
        assert task.name == name
        assert find_task(name) is task
        assert len(task.budgets) >= 3


def test_a_wrong_name_gets_the_list_and_a_guess() -> None:
    with pytest.raises(TaskError, match=r"'digts'.*Did you mean digits\?.*noisy_quadratic") as bad:
        find_task("digts")
    assert "\n" not in str(bad.value)
    with pytest.raises(TaskError) as bad:
        find_task("imagenet")
    assert "Did you mean" not in str(bad.value)
    assert all(name in str(bad.value) for name in TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_tasks_pickle(name: str) -> None:
    task = pickle.loads(pickle.dumps(TASKS[name]))
    assert (task.name, task.space, task.brief(0, 1)) == (
        name,
        TASKS[name].space,
        TASKS[name].brief(0, 1),
    )


def test_what_is_not_cifar10_says_so() -> None:
    for name, task in TASKS.items():
        assert ("CIFAR-10 (JPEG-compressed)" in task.summary) == ("jpeg" in name)
