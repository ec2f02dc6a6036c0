"""What is trained: tasks, and the Ray Tune trainable that runs a searcher on one.

This is the face of the package, for users: a `Task` builds an `Instance` for a cell's seed, most
often around a `NetworkProblem` with one of the training losses here or with one's own.
`trainables.testing` has the contract that a task of one's own can be held to.
"""

from trainables.network import Examples, NetworkProblem
from trainables.task import Instance, Task, TaskError
from trainables.tasks import TASKS, find_task
from trainables.tasks.arrays import arrays_task
from trainables.torchvision_import import torchvision_datasets
from trainables.training_losses import (
    CrossEntropy,
    InputNoise,
    LabelSmoothing,
    LearnedInputs,
    Minibatch,
    Ridge,
    TrainingLoss,
    WeightedExamples,
)

__all__ = [
    "TASKS",
    "CrossEntropy",
    "Examples",
    "InputNoise",
    "Instance",
    "LabelSmoothing",
    "LearnedInputs",
    "Minibatch",
    "NetworkProblem",
    "Ridge",
    "Task",
    "TaskError",
    "TrainingLoss",
    "WeightedExamples",
    "arrays_task",
    "find_task",
    "torchvision_datasets",
]
