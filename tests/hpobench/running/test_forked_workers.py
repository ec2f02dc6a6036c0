"""A worker that is forked is the worker that Ray would have started; and if none is, Ray's is."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from hpobench.running import fork_server, ray_worker
from hpobench.running.forked_workers import forked_workers
from hpobench.running.ray_backend import cluster
from tests.hpobench.running.fake_slices import small_study

WORKER = """
import json, os, random, resource, signal, sys
import numpy as np
import torch

print("out of", sys.argv[1])
print("err of", sys.argv[1], file=sys.stderr)
told = {
    "process": os.getpid(),
    "parent": os.getppid(),
    "main": __name__,
    "group": os.getpgid(0) == os.getpid(),
    "arguments": sys.argv,
    "path": sys.path,
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "niceness": os.nice(0),
    "signals": [str(signal.getsignal(number)) for number in (signal.SIGCHLD, signal.SIGTERM)],
    "drawn": [np.random.random(), random.random(), float(torch.rand(1))],
    "oom_score": open("/proc/self/oom_score_adj").read(),
    "open": sorted(int(name) for name in os.listdir("/proc/self/fd")),
}
with open(sys.argv[1] + ".part", "w") as file:
    json.dump(told, file)
os.rename(sys.argv[1] + ".part", sys.argv[1])
"""


@pytest.fixture
def rays(tmp_path: Path) -> Path:
    """Where a Ray lies whose worker says what it is."""
    own = tmp_path / "site" / "ray" / "_private" / "workers" / "default_worker.py"
    own.parent.mkdir(parents=True)
    (tmp_path / "site" / "ray" / "__init__.py").touch()
    own.write_text(WORKER)
    return tmp_path / "site"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A fork server that loads nothing, at the address that the environment says."""
    code = "from hpobench.running import fork_server as f; f.LIBRARIES = ('torch',); f.main()"
    address = str(tmp_path / "server")
    with subprocess.Popen([sys.executable, "-c", code, address], stdin=subprocess.PIPE) as server:
        while not Path(address).exists():
            time.sleep(0.01)
        yield server
        server.kill()


def score_high() -> None:
    """As the raylet does to its workers."""
    Path("/proc/self/oom_score_adj").write_text("700")


def start(tmp_path: Path, rays: Path, name: str, **environment: str) -> dict[str, object]:
    """What a worker says that the raylet starts; with what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(rays), **environment}
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        subprocess.run(
            ["nice", "-n", "3", sys.executable, "-s", ray_worker.__file__, name, "--job=1"],
            env=environment,
            cwd=tmp_path,
            stdout=out,
            stderr=err,
            check=True,
            start_new_session=True,
            preexec_fn=score_high,
        )
        said = tmp_path / name
        end = time.monotonic() + 60
        while not said.exists():
            assert time.monotonic() < end, (tmp_path / "err").read_text()
            time.sleep(0.01)
    told: dict[str, object] = json.loads(said.read_text())
    printed = [(tmp_path / file).read_text().strip() for file in ("out", "err")]
    return told | {"printed": [text.replace(name, "NAME") for text in printed]}


def alike(told: dict[str, object]) -> dict[str, object]:
    """What has to be the same of two workers, one forked and one not."""
    told = {**told, "arguments": told["arguments"][2:]}  # type: ignore[index]
    environment: dict[str, str] = told["environment"]  # type: ignore[assignment]
    environment = {name: value for name, value in environment.items() if name != ray_worker.SERVER}
    own = ("process", "parent", "drawn", "open")
    return {k: v for k, v in told.items() if k not in own} | {"environment": environment}


@pytest.mark.parametrize("more", [{}, {"PYTHONSAFEPATH": "1"}])
def test_a_forked_worker_is_what_ray_would_have_started(
    more: dict[str, str], tmp_path: Path, rays: Path, server
) -> None:
    address = str(tmp_path / "server")
    forked = start(tmp_path, rays, "forked", HPOBENCH_FORK_SERVER=address, **more)
    rays_own = start(tmp_path, rays, "own", **more)
    assert forked["parent"] == server.pid != rays_own["parent"]
    assert alike(forked) == alike(rays_own)
    assert forked["oom_score"] == "700\n"
    assert str(rays) in forked["path"]  # type: ignore[operator]
    assert forked["printed"] == ["out of NAME", "err of NAME"]
    assert len(forked["open"]) == len(rays_own["open"])  # type: ignore[arg-type]


@pytest.mark.usefixtures("server")
def test_no_two_forked_workers_draw_the_same(tmp_path: Path, rays: Path) -> None:
    address = str(tmp_path / "server")
    one, two = (start(tmp_path, rays, name, HPOBENCH_FORK_SERVER=address) for name in "ab")
    assert not set(one["drawn"]) & set(two["drawn"])  # type: ignore[arg-type]
    assert one["process"] != two["process"]


def test_without_a_server_that_answers_it_is_rays_own(tmp_path: Path, rays: Path, server) -> None:
    address = str(tmp_path / "server")
    server.kill()
    server.wait()
    for name, where in {"dead": address, "gone": str(tmp_path / "nothing")}.items():
        told = start(tmp_path, rays, name, HPOBENCH_FORK_SERVER=where)
        assert told["main"] == "__main__"
        assert told["arguments"][1:] == [name, "--job=1"]  # type: ignore[index]


def test_a_server_that_hangs_up_is_none(tmp_path: Path, rays: Path) -> None:
    address = str(tmp_path / "server")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        assert start(tmp_path, rays, "own", HPOBENCH_FORK_SERVER=address)["main"] == "__main__"


@pytest.mark.usefixtures("server")
def test_nothing_becomes_of_a_call_that_was_given_up(tmp_path: Path, rays: Path) -> None:
    """Else there were two workers of one name: the caller becomes it itself."""
    asked = {"program": str(rays / "ray/_private/workers/default_worker.py"), "arguments": ["x"]}
    with socket.socket(socket.AF_UNIX) as call:
        call.connect(str(tmp_path / "server"))
        socket.send_fds(call, [ray_worker.HERE], [0, 1, 2])
        call.sendall(json.dumps(asked).encode() + b"\n")
        assert call.recv(1) == ray_worker.HERE
    start(tmp_path, rays, "later", HPOBENCH_FORK_SERVER=str(tmp_path / "server"))
    assert not (tmp_path / "x").exists()


def test_a_caller_that_says_nothing_keeps_nobody_else_waiting(
    tmp_path: Path, rays: Path, server
) -> None:
    address = str(tmp_path / "server")
    with socket.socket(socket.AF_UNIX) as mute:
        mute.connect(address)
        told = start(tmp_path, rays, "other", HPOBENCH_FORK_SERVER=address)
        assert told["parent"] == server.pid


def test_it_ends_with_whoever_started_it(server) -> None:
    server.stdin.close()
    assert server.wait(timeout=60) == 0


def test_the_server_ends_with_the_study_and_leaves_nothing() -> None:
    with forked_workers():
        address = os.environ[ray_worker.SERVER]
        end = time.monotonic() + 60
        while not Path(address).exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        assert Path(address).parent.stat().st_mode & 0o077 == 0  # nobody else can call
    assert ray_worker.SERVER not in os.environ
    assert not Path(address).parent.exists()


def test_it_loads_what_there_is_but_neither_ray_nor_threads() -> None:
    for name in fork_server.LIBRARIES:
        assert find_spec(name) is not None, name
    code = (
        "import sys, threading; from hpobench.running import fork_server; fork_server.load();"
        "assert 'torch._dynamo' in sys.modules; assert 'ray' not in sys.modules;"
        "assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.ray
def test_rays_workers_are_forked_and_need_no_server_to_go_on() -> None:
    with cluster(small_study(), None, None) as slices:
        slice_ = None
        while slice_ is None:
            slice_ = slices.take()
        server = slice_.call(os.getppid)
        assert b"fork_server" in Path(f"/proc/{server}/cmdline").read_bytes()
        os.kill(server, signal.SIGKILL)
        slice_._worker = None
        assert slice_.call(os.getppid) != server
        slice_.give_back()
