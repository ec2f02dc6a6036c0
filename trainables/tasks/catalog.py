"""The tasks that can be named: on the command line, in a study, in a result file.

A task of the project's own is a `Task` in a file beside this one, and a line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from trainables.task import Task, TaskError
from trainables.tasks import cifar10, digits, fashion_mnist, mnist, synthetic

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        task.name: task
        for task in (
            digits.DIGITS,
            digits.DIGITS_WEAK_PRIOR,
            mnist.MNIST,
            mnist.MNIST_LOGISTIC,
            fashion_mnist.FASHION_MNIST,
            cifar10.CIFAR10,
            cifar10.CIFAR10_SMALL,
            cifar10.CIFAR10_JPEG,
            cifar10.CIFAR10_JPEG_SMALL,
            synthetic.QUADRATIC,
            synthetic.NOISY_QUADRATIC,
        )
    }
)


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        TaskError: there is none; the message lists the names there are.
    """
    if name in TASKS:
        return TASKS[name]
    near = get_close_matches(name, TASKS, n=1)
    guess = f" Did you mean {near[0]}?" if near else ""
    raise TaskError(f"no task {name!r}.{guess} There are: {', '.join(TASKS)}")
