"""The ready-made tasks, one file a data set, and the names that they go by."""

from trainables.tasks.catalog import TASKS, find_task

__all__ = ["TASKS", "find_task"]
