"""A Ray whose workers are forked: see `hpobench.running.fork_server`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

from ray._private.parameter import RayParams

from hpobench import own_python
from hpobench.errors import RunError
from hpobench.running import ray_worker
from hpobench.running.ray_internals import PARAMETERS
from hpobench.running.scratch import own_scratch
from hpobench.running.unix_sockets import short_address


@contextmanager
def forked_workers() -> Iterator[None]:
    """Have the workers of the Ray that is started meanwhile forked, for as long as this lasts.

    They and the fork server find each other by way of the environment, in which this process has to
    have all that libraries read while they are loaded (numbers of threads).
    """
    with (
        _emptied(_scratch()) as scratch,
        short_address(scratch / "fork-server") as address,
        _server(address),
        patch.dict(os.environ, {ray_worker.SERVER: address}),
        patch(PARAMETERS, partial(RayParams, worker_path=ray_worker.__file__)),
    ):
        yield


def _scratch() -> Path:
    try:
        return own_scratch()
    except OSError as error:
        raise RunError(
            f"no room for temporary files ({error.strerror or error}:"
            f" {error.filename or 'name a folder in TMPDIR'})"
        ) from error


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """A folder that is gone afterwards."""
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _server(address: str) -> Iterator[None]:
    """A fork server."""
    server = subprocess.Popen(
        own_python.command("hpobench.running.fork_server", address),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C is not for it
    )
    try:
        yield
    finally:
        server.kill()
        server.communicate()
