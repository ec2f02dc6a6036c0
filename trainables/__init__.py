"""What is trained: tasks, and the Ray Tune trainable that runs a searcher on one."""

from trainables.arrays import arrays_task
from trainables.network import Examples, NetworkProblem
from trainables.task import Instance, Task, TaskError
from trainables.tasks import TASKS, find_task

__all__ = [
    "TASKS",
    "Examples",
    "Instance",
    "NetworkProblem",
    "Task",
    "TaskError",
    "arrays_task",
    "find_task",
]
