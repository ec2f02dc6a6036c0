"""What is trained: tasks, and the Ray Tune trainable that runs a searcher on one."""

from trainables.network import Examples, NetworkProblem
from trainables.task import Instance, Task, TaskError
from trainables.tasks import TASKS, find_task
from trainables.tasks.arrays import arrays_task

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
