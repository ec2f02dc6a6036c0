"""What the raylet runs for a new worker: has it forked by the fork server, if there is one.

Else, and where that does not answer, it becomes the worker itself, as Ray's own file would. It runs
by its path and imports nothing but the standard library: every worker pays for it.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from importlib.util import find_spec

SERVER = "HPOBENCH_FORK_SERVER"
"""Environment variable: the fork server's Unix socket."""

PATIENCE_SECONDS = 10.0
"""How long the server may take, which first has to load its libraries."""

HERE = b"."
"""What the forked process says first, and what it is answered if it is still wanted."""


def main() -> None:
    """Have a worker started that is like this process in all that the raylet gave it."""
    program = _rays_own()
    if not sys.flags.safe_path:  # else this file's folder is not there
        sys.path[0] = os.path.dirname(program)
    if not _forked(program):
        before, after = sys.orig_argv[: -len(sys.argv)], sys.argv[1:]
        os.execv(sys.executable, [*before, program, *after])


def _rays_own() -> str:
    ray = find_spec("ray")
    assert ray is not None
    assert ray.submodule_search_locations
    return os.path.join(ray.submodule_search_locations[0], "_private/workers/default_worker.py")


def _forked(program: str) -> bool:
    """Whether the fork server has made a process of this one's kind."""
    try:
        told = _what_the_raylet_gave(program)
        with socket.socket(socket.AF_UNIX) as server:
            server.settimeout(PATIENCE_SECONDS)
            server.connect(os.environ[SERVER])
            socket.send_fds(server, [HERE], [0, 1, 2])
            server.sendall(json.dumps(told).encode() + b"\n")
            if server.recv(1) != HERE:
                return False
            server.sendall(HERE)
            return True
    except (KeyError, OSError):
        return False


def _what_the_raylet_gave(program: str) -> dict[str, object]:
    return {
        "program": program,
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "path": sys.path,
        "folder": os.getcwd(),
        "niceness": os.nice(0),
        "oom_score": _oom_score(),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    }


def _oom_score() -> str:
    """How readily Linux ends this process where memory is short, as the raylet has set it."""
    with open("/proc/self/oom_score_adj") as file:
        return file.read()


if __name__ == "__main__":
    main()
