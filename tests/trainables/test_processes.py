"""Whether other processes are there, and not to outlive them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from trainables.processes import alive

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
FOLLOW = (
    "import sys, time; from trainables import processes; processes.LOOK_SECONDS = 0.05;"
    "processes.end_with(int(sys.argv[1])); print('follows', flush=True); time.sleep(600)"
)


def test_a_process_is_alive_until_it_ends_even_if_nobody_has_waited_for_it() -> None:
    process = subprocess.Popen(SLEEP)
    assert alive(process.pid)
    assert alive(os.getpid())
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    assert not alive(process.pid)
    process.wait()
    assert not alive(process.pid)


@pytest.mark.slow
def test_a_process_ends_with_the_one_it_follows() -> None:
    leader = subprocess.Popen(SLEEP)
    command = [sys.executable, "-c", FOLLOW, str(leader.pid)]
    follower = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert follower.stdout is not None
    assert follower.stdout.readline() == "follows\n"
    time.sleep(0.3)
    assert follower.poll() is None
    leader.kill()
    leader.wait()
    assert follower.wait(300) == 1
