"""Ray of a study's own is started again where a busy machine does not get it going in time."""

from __future__ import annotations

from typing import Any

import pytest
import ray
from ray.exceptions import AuthenticationError

from hpobench.errors import RunError
from hpobench.running.ray_backend import STARTS, cluster
from tests.hpobench.running.fake_slices import small_study


def starting(monkeypatch: pytest.MonkeyPatch, *outcomes: Exception | None) -> list[Any]:
    """What `ray.init` comes to, call by call; the calls."""
    left, calls = [*outcomes], []

    def init(**settings: Any) -> None:
        calls.append(settings)
        outcome = left.pop(0)
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(ray, "init", init)
    return calls


SLOW = Exception("The current node timed out during startup. This could happen because …")


def test_it_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = starting(monkeypatch, SLOW, None)
    with cluster(small_study(), None, None):
        assert len(calls) == 2


def test_a_machine_that_never_gets_it_going_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = starting(monkeypatch, *[SLOW] * STARTS)
    with pytest.raises(RunError, match="timed out 3 times") as caught:
        cluster(small_study(), None, None).__enter__()
    assert "\n" not in str(caught.value)
    assert len(calls) == STARTS


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, OSError, AuthenticationError])
def test_another_fault_is_one_line_and_not_tried_again(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = starting(monkeypatch, kind("no room.\nmore of it"))
    with pytest.raises(RunError, match=r"Ray does not start on this machine \(.*no room") as caught:
        cluster(small_study(), None, None).__enter__()
    assert "\n" not in str(caught.value)
    assert len(calls) == 1
