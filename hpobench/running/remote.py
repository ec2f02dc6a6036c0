"""What is sent to a cluster: calls and answers as bytes, and code by value.

A Ray client's server unpacks whatever passes through it. So nothing that passes names this project,
torch or a user's task: only the processes at the end of the way load those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray import cloudpickle

from hpobench.garbage import no_garbage_collection


class RemoteCellActor:
    """A `CellActor` as Ray has it."""

    def __init__(self, spec: bytes, name: str) -> None:
        with no_garbage_collection():
            from hpobench.running.actor import CellActor

            self._actor = CellActor(cloudpickle.loads(spec), name)

    def run(self) -> None:
        self._actor.run()

    def update(self, seen: int) -> bytes:
        return answer(self._actor.update, seen)

    def weights(self, training: int, epochs: int) -> bytes:
        return answer(self._actor.weights, training, epochs)

    def tidy(self) -> None:
        self._actor.tidy()


class RemoteWorker:
    """Runs functions on a slice, one after the other, in one process: it loads libraries once.

    No cell's slot ever runs in it: what a function leaves behind in its process reaches none.
    """

    def call(self, cores: int, question: bytes) -> bytes:
        """A function's answer, on so many cores of its own."""
        with no_garbage_collection():
            from hpobench.running.cores import own_cores

            function, arguments = cloudpickle.loads(question)
        with own_cores(cores):
            return answer(function, *arguments)


def answer(function: Callable[..., Any], *arguments: Any) -> bytes:
    """A function's value, or what it raised."""
    try:
        value, error = function(*arguments), None
    except Exception as raised:
        value, error = None, raised
    try:
        return cloudpickle.dumps((value, error))
    except Exception:
        return cloudpickle.dumps((None, RuntimeError(f"{type(error or value).__name__}: {error}")))


def value_of(answered: bytes) -> Any:
    """The value of an answer; raises what the function did."""
    value, error = cloudpickle.loads(answered)
    if error is not None:
        raise error
    return value
