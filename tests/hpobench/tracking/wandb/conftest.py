"""Fixtures: nobody's account, one on a server of the tests' own, a run and the command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hpobench.cli import main
from tests.hpobench.fake_run import write_run
from tests.hpobench.tracking.wandb.wandb_server import KEY, serving


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    """No key, no settings and no WANDB_ variables of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / ".netrc"))


@pytest.fixture
def account(no_account, monkeypatch):
    """A server, and a key for it."""
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_MODE", "offline")
        monkeypatch.setenv("WANDB_RESUME", "must")
        yield server


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path / "run", seeds=(0,))


@pytest.fixture
def wandb(monkeypatch, capsys):
    """The exit code of `hpobench wandb …`, and what it says; of a mistake that is one line.

    ``hints``: what else it says, if that is to be looked at.
    """

    def call(*words: str | Path, hints: list[str] | None = None) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["hpobench", "wandb", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = "".join(capsys.readouterr())
        first, *others = said.splitlines()
        assert all("hpobench wandb sync" in line for line in others), said
        assert hints is None or others == hints
        assert KEY not in said
        code = ended.value.code or 0
        assert not (code and others), said
        return int(code), first

    return call
