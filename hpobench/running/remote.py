"""What is sent to a cluster: calls and answers as bytes, and code by value.

A Ray client's server unpacks whatever passes through it. So nothing that passes names this project,
torch or a user's task: only the processes at the end of the way load those.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ray import cloudpickle

from hpobench.garbage import no_garbage_collection


class RemoteCellActor:
    """Leads attempts at cells on a slice, one after the other, each by a `CellActor` of its own.

    In one process, which loads libraries once; slots have processes of their own. Calls may
    overtake each other, so each says of which attempt it is.
    """

    def __init__(self) -> None:
        with no_garbage_collection():
            from hpobench.running import actor
        actor.settle_in()
        self._begun = threading.Condition()
        self._attempt = -1
        self._actor: Any = None
        self._error: Exception | None = None

    def run(self, attempt: int, spec: bytes, name: str) -> None:
        """Run an attempt to its end."""
        actor, error = None, None
        try:
            with no_garbage_collection():
                from hpobench.running.actor import CellActor

                actor = CellActor(cloudpickle.loads(spec), name)
        except Exception as raised:  # a task that cannot be built here
            error = raised
        with self._begun:
            self._attempt, self._actor, self._error = attempt, actor, error
            self._begun.notify_all()
        if actor is not None:
            actor.run()

    def update(self, attempt: int, seen: int) -> bytes:
        return answer(lambda: self._of(attempt).update(seen))

    def weights(self, attempt: int, training: int, epochs: int) -> bytes:
        return answer(lambda: self._of(attempt).weights(training, epochs))

    def tidy(self, attempt: int) -> bool:
        tidied: bool = self._of(attempt).tidy()
        return tidied

    def _of(self, attempt: int) -> Any:
        """Who leads an attempt, once it has begun."""
        with self._begun:
            self._begun.wait_for(lambda: self._attempt == attempt)
            if self._error is not None:
                from hpobench.running.ray_errors import not_built

                raise not_built(self._error)
            return self._actor


class RemoteWorker:
    """Runs functions on a slice, one after the other, in one process: it loads libraries once.

    No cell's slot ever runs in it: what a function leaves behind in its process reaches none.
    """

    def __init__(self) -> None:
        with no_garbage_collection():
            from hpobench.running import actor
        actor.settle_in()

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
