"""Ray's token, which its clients bring by themselves only to the address auto."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASKED = """
import os
from hpobench.cluster.tokens import bring_token
bring_token()
print(os.environ.get("RAY_AUTH_MODE"))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("token", "mode", "then"),
    [(True, None, "token"), (False, None, "None"), (True, "disabled", "disabled")],
)
def test_a_token_is_brought_if_there_is_one_and_nobody_says_otherwise(
    token: bool, mode: str | None, then: str, tmp_path: Path
) -> None:
    if token:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("a" * 64)
    without = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment = {**without, "HOME": str(tmp_path)} | ({"RAY_AUTH_MODE": mode} if mode else {})
    done = subprocess.run(
        [sys.executable, "-c", ASKED], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.stdout.strip() == then, done.stderr
    assert done.stderr == ""
