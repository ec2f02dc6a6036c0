"""What Ray's errors are taken for."""

from __future__ import annotations

import pytest
from ray.core.generated.common_pb2 import ActorDiedErrorContext, NodeDeathInfo
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    NodeDiedError,
    OutOfDiskError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    RuntimeEnvSetupError,
    WorkerCrashedError,
)

from hpobench.running.ray_errors import cause_of, fault_of


def died(message: str, **more: object) -> ActorDiedError:
    """An actor's death, as Ray describes it."""
    context = ActorDiedErrorContext(
        error_message=message,
        class_name="SlotTrainable",
        actor_id=b"\x01" * 16,
        pid=4711,
        name="a name",
        ray_namespace="a namespace",
        node_ip_address="10.0.0.7",
        **more,  # type: ignore[arg-type]
    )
    return ActorDiedError(context)


KILLED = died(
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker"
    " exit detail: Worker unexpectedly exits with a connection error code 2. End of file."
)
NODE = died(
    "The actor died because its node has died. Node Id: 0123abc\n\tthe actor's node was terminated"
)
PREEMPTED = died(
    "The actor died because its node has died.",
    node_death_info=NodeDeathInfo(reason=NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED),
)
LOW = died(
    "The actor is dead because its worker process has died. Worker exit type: NODE_OUT_OF_MEMORY"
    " Worker exit detail: Task was killed due to the node running low on memory.\nMemory on the"
    " node (IP: 10.0.0.7) was 15.2GB / 16.0GB (0.95)"
)

UNBUILT = died(
    "The actor died because of an error raised in its creation task, ray::SlotTrainable.__init__()"
    ' (pid=4711, ip=10.0.0.7)\n  File "task.py", line 7, in build\n    raise error\n    ^^^^^^^^^^^'
    "\nFileNotFoundError: no data on this node: digits.npz"
)

UNKNOWN = RayTaskError(
    function_name="RemoteWorker.call",
    traceback_str='\x1b[36mray::RemoteWorker.call()\x1b[39m (pid=4711)\n  File "remote.py"'
    "\nModuleNotFoundError: No module named 'mine'",
    cause=ModuleNotFoundError("No module named 'mine'"),
)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (KILLED, "worker lost"),
        (WorkerCrashedError(), "worker lost"),
        (RayActorError(), "worker lost"),
        (ActorUnavailableError("The actor is temporarily unavailable", None), "worker lost"),
        (NODE, "node lost"),
        (NodeDiedError("Task failed because the node it was running on died"), "node lost"),
        (PREEMPTED, "pre-empted"),
        (LOW, "out of memory"),
        (
            OutOfMemoryError("Task was killed due to the node running low on memory."),
            "out of memory",
        ),
        (OutOfDiskError(), "disk full"),
        (RuntimeError("something else"), "worker lost"),
    ],
)
def test_causes(error: BaseException, cause: str) -> None:
    assert cause_of(error) == cause


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (KILLED, "its controller was lost: The actor is dead because its worker process has died"),
        (NODE, "its controller was lost: the actor's node was terminated"),
        (
            UNBUILT,
            "its controller was lost: FileNotFoundError: no data on this node: digits.npz",
        ),
        (UNKNOWN, "its controller was lost: ModuleNotFoundError: No module named 'mine'"),
        (OutOfMemoryError("\n\nkilled: low on memory\n"), "its controller was lost: killed"),
        (RayActorError(error_msg=""), "its controller was lost: RayActorError"),
    ],
)
def test_the_reason_is_one_line_without_identifiers(error: BaseException, why: str) -> None:
    fault = fault_of(error, "its controller")
    assert fault.why == why
    assert fault.cause == cause_of(error)


def test_why_a_runtime_environment_could_not_be_set_up_is_said() -> None:
    error = RuntimeEnvSetupError("Its agent at 10.0.0.7:4711 does not answer.\nTried for 60 s.")
    assert fault_of(error).why == (
        "a worker was lost: Failed to set up runtime environment. Its agent at 10.0.0.7:4711 does"
        " not answer. Tried for 60 s"
    )
