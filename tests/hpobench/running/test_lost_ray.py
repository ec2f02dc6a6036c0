"""A Ray that is taken away from a study: one line, soon, and the folder goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hpobench import Results
from tests.chaos.processes import below
from tests.hpobench.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

STUDY = """
from hpobench import Study

study = Study("long", ["quadratic"], ["random"], seeds=1, budget=600)
"""


def ended(name: str, number: signal.Signals) -> Callable[[int], None]:
    """Sends a signal to one of a runner's Ray's own processes."""

    def end(runner: int) -> None:
        [process] = [
            p for p in below([runner]) if Path(f"/proc/{p}/comm").read_text() == f"{name}\n"
        ]
        assert os.getsid(process) != os.getsid(runner)
        os.kill(process, number)

    return end


def to_the_group(runner: int) -> None:
    os.killpg(runner, signal.SIGTERM)


LOSSES: dict[str, tuple[Callable[[int], None], int, str]] = {
    "raylet killed": (ended("raylet", signal.SIGKILL), 2, "raylet has ended"),
    "raylet ended": (ended("raylet", signal.SIGTERM), 2, "raylet has ended"),
    "control killed": (ended("gcs_server", signal.SIGKILL), 2, "gcs_server has ended"),
    "group": (to_the_group, 130, "interrupted"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_said_of_it(loss: str, tmp_path: Path) -> None:
    lose, status, said = LOSSES[loss]
    (tmp_path / "long.py").write_text(STUDY)
    out, errors = tmp_path / "out", tmp_path / "errors"
    code = "from hpobench.cli import main; main()"
    command = [sys.executable, "-c", code, "run", str(tmp_path / "long.py"), "--wandb", "off"]
    with errors.open("w") as file:
        runner = subprocess.Popen(
            [*command, "--out", str(out)],
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
        )
    try:
        records = out / "cells/quadratic__random__s0/evaluations.jsonl"
        until(lambda: records.exists() and records.stat().st_size > 0)
        lose(runner.pid)
        assert runner.wait(timeout=300) == status
    finally:
        runner.kill()
    [line] = errors.read_text().splitlines()
    assert said in line
    assert line.endswith(f"what is complete is kept: hpobench resume {out} goes on")
    assert Results.load(out).cells["status"].tolist() in (["interrupted"], ["missing"], ["waiting"])
