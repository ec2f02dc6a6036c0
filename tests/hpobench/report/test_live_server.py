"""The page while a run is under way: it follows the records, and only this machine sees it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpobench.errors import RunError
from hpobench.report.live_server import LOOPBACK, LivePage, server_of
from tests.hpobench.fake_run import Point, write_cell, write_study, write_yardsticks

pytestmark = pytest.mark.usefixtures("one_kind_of_figure")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_study(tmp_path / "run", seeds=(0,))
    write_yardsticks(tmp_path / "run", "digits", 0)
    return tmp_path / "run"


@pytest.fixture
def address(run: Path) -> Iterator[str]:
    with server_of(LivePage(run, "seconds", every=0.0), port=0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{server.server_address[0]}:{server.server_port}"
        server.shutdown()
        thread.join()


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=300) as answer:
        return answer.read().decode()


def test_the_page_follows_the_records(run: Path, address: str) -> None:
    first, page = get(f"{address}/version"), get(address)
    assert f"const shown = '{first}'" in page
    assert get(f"{address}/version") == first
    write_cell(run, "digits", "fds", 0, [Point(1.0, 0.2, 0.234567)])
    assert get(f"{address}/version") != first
    assert "a regret of 0.135" in get(address)
    assert "a regret of 0.135" not in page


def test_a_record_that_is_damaged_is_named_and_may_be_mended(run: Path, address: str) -> None:
    references = (run / "references.json").read_text()
    (run / "references.json").write_text("{<nothing>")
    page = get(address)
    assert "references.json is damaged" in page
    assert "setInterval" in page
    (run / "references.json").write_text(references)
    assert "damaged" not in get(address)


def test_nothing_else_is_served(run: Path, address: str) -> None:
    assert LOOPBACK in address
    for place in ("study.json", "../run/study.json", "cells"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(f"{address}/{place}")


def test_a_page_from_elsewhere_is_not_answered(address: str) -> None:
    """One whose name has been made to lead to this machine."""
    asked = urllib.request.Request(address, headers={"Host": "elsewhere.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(asked, timeout=300)


def test_it_is_drawn_no_more_often_than_said(run: Path) -> None:
    live = LivePage(run, "seconds", every=1000.0)
    page, version = live.page(), live.version()
    write_cell(run, "digits", "fds", 0, [Point(1.0, 0.2, 0.2)])
    assert (live.page(), live.version()) == (page, version)


def test_what_cannot_be_served_is_said_in_a_line(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run: it has no study\.json"):
        LivePage(tmp_path, "seconds", 1.0)
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RunError, match=f"port {port} cannot be served on: .*--port"):
            server_of(LivePage(run, "seconds", 1.0), port)


@pytest.mark.slow
def test_the_command_says_where_and_ends_at_an_interrupt(run: Path) -> None:
    command = [sys.executable, "-m", "hpobench.cli", "watch", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        assert "<h1>example</h1>" in get(address)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=300) == 130
