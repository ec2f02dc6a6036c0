"""A process that has loaded what Ray's workers need, and is forked for each of them.

Every cell's slots have processes of their own, and a process that loads Ray Tune, pandas and torch
takes two seconds of its cell's cores for it. This one loads them once, never trains anything, and
forks itself whenever the raylet starts a worker (`hpobench.running.ray_worker`).

Ray's own library is not among what it loads: that reads its environment while it is being loaded
(which job, which raylet, which token), and takes the IDs that it draws from a generator that all
forked processes would have in the same state.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np

from hpobench.running.ray_worker import HERE, PATIENCE_SECONDS

LIBRARIES = (
    "torch",
    "torch._dynamo",  # what autograd and forward mode import when they are first used
    "trainables.warm_up",
    "hpobench.results.evaluation_record",
    "pandas",  # from here on, what Ray Tune imports
    "pyarrow.fs",
    "fsspec",
    "google.protobuf.descriptor_pb2",
    "jsonschema",
    "pydantic",
    "requests",
    "rich.console",
    "rich.syntax",
    "rich.table",
    "yaml",
)

STDIN = 0


def main() -> None:
    """Serve at the address in this process's arguments, until standard input ends."""
    call = _serve(sys.argv[1])
    if call is not None:  # this is a forked process
        _become(call)


def load() -> None:
    """Load the libraries, as far as they are there."""
    gc.disable()
    for name in LIBRARIES:
        with suppress(ImportError):
            import_module(name)
    gc.freeze()  # whoever looks through all of it for garbage, copies it
    gc.enable()


def _serve(address: str) -> socket.socket | None:
    """Fork for whoever calls: returns the call in each forked process, and None at the end."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(128)  # who calls before the libraries are loaded waits for them
        load()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks what became of a forked process
        watched: list[socket.socket | int] = [listener, STDIN]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if STDIN in ready:
                return None
            call, _ = listener.accept()
            if os.fork() == 0:
                return call
            call.close()


def _become(call: socket.socket) -> None:
    """Become what the caller would have become, if it still waits for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)  # the raylet ends a worker with its group
    with call:
        call.settimeout(PATIENCE_SECONDS)
        _, files, _, _ = socket.recv_fds(call, 1, 3)
        asked = json.loads(call.makefile("rb").readline())
        call.sendall(HERE)
        if call.recv(1) != HERE:
            return
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    resource.setrlimit(resource.RLIMIT_NOFILE, asked["files"])
    os.nice(max(asked["niceness"] - os.nice(0), 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(asked["oom_score"])
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[:], sys.argv[:] = asked["path"], [asked["program"], *asked["arguments"]]
    # Else all would draw the same numbers; Python's own generator sees to it itself:
    np.random.seed()  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()
    runpy.run_path(asked["program"], run_name="__main__")
