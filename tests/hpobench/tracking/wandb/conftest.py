"""Fixtures: nobody's account, and one on a server of the tests' own."""

from __future__ import annotations

import os

import pytest

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
