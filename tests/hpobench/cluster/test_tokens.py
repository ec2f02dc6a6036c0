"""Ray's token, which its clients bring by themselves only to the address auto."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASKED = """
import os, sys
import ray._private.authentication.authentication_token_setup
from hpobench.cluster.tokens import bring_token
for home, mode in zip(sys.argv[1::2], sys.argv[2::2]):
    if os.fork():
        os.wait()
        continue
    os.environ["HOME"] = home
    if mode:
        os.environ["RAY_AUTH_MODE"] = mode
    bring_token()
    print(os.environ.get("RAY_AUTH_MODE"), flush=True)
    os._exit(0)
"""
"""A process for each of the homes and modes that it is given; Ray is imported once for all."""


@pytest.mark.slow
def test_a_token_is_brought_if_there_is_one_and_nobody_says_otherwise(tmp_path: Path) -> None:
    has, has_not = tmp_path / "has", tmp_path / "has not"
    has_not.mkdir()
    (has / ".ray").mkdir(parents=True)
    (has / ".ray" / "auth_token").write_text("a" * 64)
    asked = [(has, "", "token"), (has_not, "", "None"), (has, "disabled", "disabled")]
    arguments = [str(argument) for home, mode, _ in asked for argument in (home, mode)]
    without = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", ASKED, *arguments],
        capture_output=True,
        text=True,
        env={**without, "HOME": str(has_not)},
        timeout=300,
    )
    assert done.stdout.split() == [then for _, _, then in asked], done.stderr
    assert done.stderr == ""
