"""Tables, figures and the page, drawn here or in another process."""

from __future__ import annotations

import os
from functools import partial
from operator import truediv
from pathlib import Path

import pytest
from fake_run import write_run

from hpobench.report import publishing
from hpobench.report.beside import carry_out_beside
from hpobench.results.run import Results


def test_calls_come_to_the_same_beside_and_in_order() -> None:
    calls = [partial(truediv, number, 4) for number in range(5)]
    assert carry_out_beside(calls) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert carry_out_beside([os.getpid]) != [os.getpid()]
    assert carry_out_beside([]) == []


def test_what_goes_wrong_beside_is_not_lost() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        carry_out_beside([partial(truediv, 1, 0)])


def test_a_large_run_is_published_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one task without a reference, and with one that has nothing to draw."""
    missing = [f"fashion__{searcher}__s{seed}" for searcher in ("fds", "random") for seed in (0, 1)]
    tasks = ("digits", "fashion", "other")
    run = write_run(tmp_path / "run", tasks, missing=missing, without_reference=["other"])
    names = ["report.html", "figures/regret.png", "figures/regret.svg", "regret.csv"]

    def published() -> list[bytes]:
        publishing.publish(Results.load(run), "steps")
        return [(run / name).read_bytes() for name in names]

    small = published()
    monkeypatch.setattr(publishing, "MANY", 0)
    for name in names:
        (run / name).unlink()
    large = published()
    assert [name for name, a, b in zip(names, small, large, strict=True) if a != b] == []
