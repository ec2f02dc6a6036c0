"""What Ray's errors mean: which cause a lost process or node has."""

from __future__ import annotations

from ray.exceptions import (
    NodeDiedError,
    OutOfDiskError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    RuntimeEnvSetupError,
)

from hpobench.errors import is_full
from hpobench.running.faults import Cause, Fault

NO_MEMORY = "low on memory"
RAISED = "error raised in its creation task"
NODE_DIED = ("node has died", "node died", "node failure", "node was removed")


def fault_of(error: BaseException, whose: str = "a worker") -> Fault:
    """The fault behind an error that Ray raised for a process that did not answer any more."""
    return Fault(f"{whose} was lost: {_reason(error)}", cause_of(error))


def not_built(error: BaseException) -> Fault:
    """The fault of a process that cannot make there what it was sent, such as a user's task."""
    why = f"{type(error).__name__}: {error}".splitlines()[0]
    cause: Cause = "disk full" if is_full(error) else "worker lost"
    return Fault(f"its controller was lost: {why}"[:200], cause)


def cause_of(error: BaseException) -> Cause:
    """Which cause an error of Ray's has; "worker lost" where it does not say more."""
    text = str(error).lower()
    if isinstance(error, RayActorError) and error.preempted:
        return "pre-empted"
    if isinstance(error, OutOfMemoryError) or NO_MEMORY in text:
        return "out of memory"
    if isinstance(error, OutOfDiskError):
        return "disk full"
    if isinstance(error, NodeDiedError) or any(words in text for words in NODE_DIED):
        return "node lost"
    return "worker lost"


def _reason(error: BaseException) -> str:
    """The line of Ray's message that says something, without its identifiers."""
    dull = ("class_name:", "actor_id:", "pid:", "name:", "namespace:", "ip:", "the actor died")
    lines = [line.strip() for line in str(error).splitlines()]
    # What cannot be built, or even unpacked, there: a traceback, and then what was raised.
    if RAISED in str(error) or isinstance(error, RayTaskError):
        return next(line for line in reversed(lines) if line)[:160]
    telling = [line for line in lines if line and not line.lower().startswith(dull)]
    if isinstance(error, RuntimeEnvSetupError):  # why is in the lines after the first
        return " ".join(telling)[:300].rstrip(".")
    first = (telling or lines or [""])[0]
    for end in (". There are", ". ", ":"):
        first = first.partition(end)[0]
    return (first or type(error).__name__)[:160].rstrip(".")
