"""Slices on Ray: placement groups, in a Ray of the study's own or in a cluster that is there.

A slice is a placement group of one bundle: so it lies on one node. The runner asks for them one by
one; the last request stays open while there is work, so that nodes that join, or that an autoscaler
starts for it, are used.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import ray
from ray import cloudpickle
from ray.exceptions import ActorUnavailableError, RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from hpobench import garbage
from hpobench.errors import LostRayError, RunError, StudyError
from hpobench.running import remote
from hpobench.running.cores import available_cores
from hpobench.running.forked_workers import forked_workers
from hpobench.running.interfaces import AttemptSpec, AttemptUpdate
from hpobench.running.ray_errors import fault_of
from hpobench.running.ray_internals import (
    LISTENER,
    check_ray,
    ended_process,
    job,
    sessions_of_their_own,
)
from hpobench.running.ray_places import places
from hpobench.running.remote import value_of
from hpobench.running.scheduler import Interrupted
from hpobench.study import Study
from hpobench.text import plural
from trainables.import_path import for_others, shadows

T = TypeVar("T")

cloudpickle.register_pickle_by_value(remote)
cloudpickle.register_pickle_by_value(garbage)

ANSWER_SECONDS = 2.0
KNOCK_SECONDS = 10.0
LEAVING_SECONDS = 3.0
LOOK_SECONDS = 0.1
STARTS = 3
TIMED_OUT = "timed out during startup"
"""What Ray says of a node that does not come up within half a minute, as on a busy machine."""
QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # cells are rerun, not restored
    "TUNE_FORCE_TRIAL_CLEANUP_S": "1",  # what the budget cut off need not finish
    "TUNE_WARN_THRESHOLD_S": "1000000",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
    "RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE": "1",  # else Tune would train a lost trial again
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a user's relative paths are from where the study was started
    "RAY_DEDUP_LOGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # else everything else on the machine goes before the cells
    "PYTHONWARNINGS": "ignore",
}
"""Environment of every process that runs Tune: no chatter, nothing that costs the cell time."""


SETTLED = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
"""What Ray reads from the environment once, for a process's whole life."""


class RayAttempt:
    """An attempt that a slice's controller actor leads.

    Args:
        controller: The actor.
        number: Of all its attempts, this one's.
        spec, name: What is attempted, and the slice's name.
        keep: Called with the controller at the end, if that can lead another attempt.
    """

    def __init__(
        self,
        controller: Any,
        number: int,
        spec: AttemptSpec,
        name: str,
        keep: Callable[[Any], None],
    ) -> None:
        self._actor, self._number, self._keep = controller, number, keep
        self._actor.run.remote(number, cloudpickle.dumps(spec), name)
        self._asked: Any = None
        self._well = False
        """Whether it has come to its end without a fault."""

    def update(self, seen: int) -> AttemptUpdate | None:
        self._asked = self._asked or self._actor.update.remote(self._number, seen)
        ready, _ = ray.wait([self._asked], timeout=ANSWER_SECONDS)
        if not ready:
            return None
        asked, self._asked = self._asked, None
        try:
            update: AttemptUpdate = value_of(ray.get(asked))
            self._well = update.outcome is not None and update.outcome.fault is None
            return update
        except ActorUnavailableError:  # Ray does not know yet whether it will come back
            time.sleep(ANSWER_SECONDS)
            return None
        except RayError as error:
            raise fault_of(error, "its controller") from error

    def weights(self, training: int, epochs: int) -> bytes:
        told = self._actor.weights.remote(self._number, training, epochs)
        return _value(told, "its controller")

    def end(self) -> None:
        if ended_process():  # nobody would answer, and Ray would wait for a minute
            return
        with suppress(RayError):
            tidied, _ = ray.wait([self._actor.tidy.remote(self._number)], timeout=ANSWER_SECONDS)
            if self._well and tidied and ray.get(tidied[0]):
                self._keep(self._actor)
            else:
                ray.kill(self._actor)


class RaySlice:
    """A placement group that is there."""

    def __init__(self, name: str, group: PlacementGroup, study: Study) -> None:
        self.name = name
        self._group, self._study = group, study
        self._node = _node_of(group)
        self._worker: Any = None
        """The process that functions run in, once there is one and while it answers."""
        self._controller: Any = None
        """The process that leads attempts, likewise, between two of them."""
        self._attempts = 0

    def start(self, spec: AttemptSpec) -> RayAttempt:
        controller, self._controller = self._controller or self._new_controller(), None
        self._attempts += 1
        return RayAttempt(controller, self._attempts, spec, self.name, self._keep)

    def _keep(self, controller: Any) -> None:
        self._controller = controller

    def _new_controller(self) -> Any:
        make = ray.remote(num_cpus=0, max_concurrency=4)(remote.RemoteCellActor)
        where = PlacementGroupSchedulingStrategy(
            self._group, placement_group_capture_child_tasks=True
        )
        return make.options(scheduling_strategy=where).remote()

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        study = self._study
        worker, self._worker = self._worker or self._new_worker(), None
        question = cloudpickle.dumps((function, arguments))
        value = _value(worker.call.remote(study.slice_cpus, question), "a worker")
        if not study.gpus:  # else it would keep its GPU from the slots of the next cell
            self._worker = worker
        return value

    def _new_worker(self) -> Any:
        make = ray.remote(num_cpus=0, num_gpus=self._study.gpus)(remote.RemoteWorker)
        where = PlacementGroupSchedulingStrategy(self._group)
        return make.options(scheduling_strategy=where).remote()

    def alive(self) -> bool:
        if ended_process():
            return False
        return any(node["Alive"] and node["NodeID"] == self._node for node in ray.nodes())

    def give_back(self) -> None:
        if ended_process():
            return
        with suppress(RayError):
            remove_placement_group(self._group)


class RayCluster:
    """A Ray that this process is connected to."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._asked: PlacementGroup | None = None
        self._count = 0

    def take(self) -> RaySlice | None:
        study = self._study
        if self._asked is None:
            bundle = {"CPU": float(study.slice_cpus)}
            if study.gpus:
                bundle["GPU"] = float(study.slice_gpus)
            self._asked = placement_group([bundle])
        if not self._asked.wait(0):
            return None
        group, self._asked = self._asked, None
        self._count += 1
        return RaySlice(f"slice {self._count - 1}", group, study)

    def wanting(self) -> str | None:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if any(_holds(resources, self._study) for resources in nodes):
            return None
        cpus = max((node.get("CPU", 0) for node in nodes), default=0)
        gpus = max((node.get("GPU", 0) for node in nodes), default=0)
        return (
            f"a cell needs {demand(self._study)} on one node; the largest node now has"
            f" {cpus:g} cores and {gpus:g} GPUs"
        )

    def stop_asking(self) -> None:
        if self._asked is not None and not ended_process():
            remove_placement_group(self._asked)
        self._asked = None

    def check(self, within: float = 0.0) -> None:
        end = time.monotonic() + within
        while (ended := ended_process()) is None:
            if time.monotonic() >= end:
                return
            time.sleep(LOOK_SECONDS)
        raise LostRayError(
            f"Ray's {ended} has ended on this machine while the study ran; what is complete is kept"
        )


def _value(told: Any, whose: str) -> Any:
    """A remote call's value; its own exceptions as they are, lost machines as a Fault."""
    try:
        answered = ray.get(told)
    except RayError as error:
        raise fault_of(error, whose) from error
    return value_of(answered)


def _node_of(group: PlacementGroup) -> str:
    table: Any = ray.util.placement_group_table(group)
    return next(iter(table["bundles_to_node_id"].values()))


def check_room(study: Study, cores: int, gpus: int) -> int:
    """How many slices this machine has; StudyError if it is too small for one."""
    count = cores // study.slice_cpus
    if study.gpus:
        count = min(count, gpus // study.slice_gpus)
    if count < 1:
        raise StudyError(
            f"study {study.name}: a cell needs {demand(study)}; this machine has {cores} cores"
            f" and {gpus} GPUs; lower the width, or the resources of a slot"
        )
    return count


def demand(study: Study) -> str:
    """What a cell needs, in words."""
    wanted = f"{study.width} × {study.cpus} cores"
    return wanted + (f" and {plural(study.slice_gpus, 'GPU')}" if study.gpus else "")


def room_here(study: Study) -> tuple[int, int]:
    """This machine's slices for a study, and its GPUs."""
    gpus = _gpus() if study.gpus else 0
    return check_room(study, len(available_cores()), gpus), gpus


@contextmanager
def cluster(study: Study, address: str | None, source: Path | None) -> Iterator[RayCluster]:
    """A Ray of this study's own, stopped at the end; or the one at ``address``."""
    check_ray()
    if ray.is_initialized():
        raise StudyError(
            f"study {study.name}: this process is already connected to a Ray, and a study makes"
            " its own connection; call ray.shutdown() first"
        )
    nowhere: AbstractContextManager[dict[str, str]] = nullcontext({})
    with (
        places() if address is None else nowhere as own,
        _connected(study, address, source, own) as slices,
    ):
        yield slices


@contextmanager
def _connected(
    study: Study, address: str | None, source: Path | None, own: Mapping[str, str]
) -> Iterator[RayCluster]:
    """A Ray, with an environment of its own besides what all have."""
    before = dict(os.environ)
    threads = {name: str(study.cpus) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = {name: os.environ.get(name, value) for name, value in QUIET.items()} | threads
    environment |= {**for_others(), **own}
    os.environ.update(environment)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    signals = {number: signal.getsignal(number) for number in numbers}
    for name in ("ray", "ray.tune", "ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    silenced = patch(LISTENER, lambda *_, **__: None)
    at_once = False
    try:
        silenced.start()
        with forked_workers() if _may_fork(study, address) else nullcontext():
            if address is None:
                _start(study)
            else:
                _connect(study, address, source, environment)
            _restore(signals)
            yield RayCluster(study)
    except KeyboardInterrupt as interrupt:
        if not isinstance(interrupt, Interrupted):  # at once: what Ray started ends without us
            at_once = True
        raise
    finally:
        if not at_once:
            _shut_down()
        silenced.stop()
        settled = {name: os.environ[name] for name in SETTLED if name in os.environ}
        os.environ.clear()
        os.environ.update(before | settled)


def _may_fork(study: Study, address: str | None) -> bool:
    """Whether Ray's workers can be forked: of a Ray on this machine, and GPUs do not survive it."""
    return address is None and not study.gpus and sys.platform == "linux"


def _start(study: Study) -> None:
    """Start a Ray of the study's own. RunError if this machine does not get it going."""
    slices, gpus = room_here(study)
    for _ in range(STARTS):
        try:
            with sessions_of_their_own():
                ray.init(
                    address="local",
                    num_cpus=slices * study.slice_cpus,
                    num_gpus=gpus,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level="ERROR",
                    job_config=job(),
                )
            return
        except (OSError, RayError, RuntimeError, ValueError) as error:
            raise RunError(
                f"Ray does not start on this machine ({_why(error)}); mend that, or give the"
                " --address of a Ray that is there"
            ) from error
        except Exception as error:  # Ray raises no class of its own for it
            if TIMED_OUT not in str(error):
                raise
            ray.shutdown()
    raise RunError(
        f"Ray timed out {STARTS} times while it started on this machine, which seems to be very"
        " busy; try again when it is less so, or give the --address of a Ray that is there"
    )


def _connect(
    study: Study, address: str, source: Path | None, environment: Mapping[str, str]
) -> None:
    data = {k: v for k, v in os.environ.items() if k.startswith("HPOBENCH_")}
    runtime: dict[str, Any] = {"env_vars": {**environment, **data}}
    settings: dict[str, Any] = {}
    if not address.startswith("ray://"):
        settings["job_config"] = job()
    elif source is not None:
        # What lies beside the user's file may be imported there; only code is sent. Ray has its
        # processes look there first, so nothing is sent that would be in front of something else.
        folder = source.resolve().parent
        runtime["working_dir"] = str(folder)
        runtime["excludes"] = ["*", "!*/", "!*.py", *(f"/{name}" for name in shadows(folder))]
    os.environ["RAY_OVERRIDE_JOB_RUNTIME_ENV"] = "1"  # a submitted job has one already
    try:
        _knock(address)
        ray.init(
            address, runtime_env=runtime, log_to_driver=False, logging_level="ERROR", **settings
        )
    except (ConnectionError, RayError, RuntimeError, ValueError, OSError) as error:
        raise RunError(
            f"no Ray answers at {address} ({_why(error)}); start one with `ray start --head`, set"
            " RAY_AUTH_MODE=token if it asks for a token, or leave --address out to run on this"
            " machine"
        ) from None


def _why(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".:") or type(error).__name__


def _shut_down() -> None:
    """Leave Ray; where that is gone already, do not wait until it has noticed."""
    if ended_process() is None:
        ray.shutdown()
        return
    logging.getLogger("ray._private.worker").setLevel(logging.ERROR)  # it misses the main thread
    thread = threading.Thread(target=ray.shutdown, daemon=True)
    thread.start()
    thread.join(timeout=LEAVING_SECONDS)


def _knock(address: str) -> None:
    """Whether anybody is there: Ray itself would try for minutes. RunError if it is no address."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise RunError(f"an address is auto, HOST:PORT or ray://HOST:PORT, not {address!r}")
    socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS).close()


def _holds(resources: Mapping[str, float], study: Study) -> bool:
    cpus, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
    return cpus >= study.slice_cpus and gpus >= study.slice_gpus


def _restore(signals: Mapping[signal.Signals, Any]) -> None:
    """Undo what `ray.init` does to signals: SIGTERM would abort without a word to the runner."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in signals.items():
            signal.signal(number, handler)


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
