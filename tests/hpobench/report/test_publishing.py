"""Tables, figures and the page, drawn here or in another process."""

from __future__ import annotations

import os
import re
from functools import partial
from operator import truediv
from pathlib import Path

import pytest

from hpobench.report import publishing
from hpobench.report.drawing.regret_panels import NOTHING
from hpobench.report.page import document
from hpobench.report.subprocess_pool import run_in_subprocess
from hpobench.report.verification import differences
from hpobench.results.run import Results
from tests.hpobench.fake_run import write_run


def test_calls_come_to_the_same_beside_and_in_order() -> None:
    calls = [partial(truediv, number, 4) for number in range(5)]
    assert run_in_subprocess(calls) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert run_in_subprocess([os.getpid]) != [os.getpid()]
    assert run_in_subprocess([]) == []


def test_what_goes_wrong_beside_is_not_lost() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run_in_subprocess([partial(truediv, 1, 0)])


def published(run: Path, *names: str) -> dict[str, bytes]:
    publishing.publish(Results.load(run), "steps")
    return {name: (run / name).read_bytes() for name in names}


def data_of(html: bytes) -> dict[bytes, bytes]:
    """What the page's scripts draw, by figure."""
    packed = rb'<figure data-figure="([^"]+)">.*?<script type="text/plain">(.*?)</script>'
    return dict(re.findall(packed, html, re.DOTALL))


def test_a_large_run_is_published_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one task without a reference, and with one that has nothing to draw."""
    missing = [f"fashion__{searcher}__s{seed}" for searcher in ("fds", "random") for seed in (0, 1)]
    tasks = ("digits", "fashion", "other")
    run = write_run(tmp_path / "run", tasks, missing=missing, without_reference=["other"])
    names = ["report.html", "figures/regret.png", "figures/regret.svg", "regret.csv"]
    small = published(run, *names)
    monkeypatch.setattr(document, "MANY", 0)
    for name in names:
        (run / name).unlink()
    large = published(run, *names)
    pages = [published.pop("report.html") for published in (small, large)]
    assert small == large
    found = [data_of(html) for html in pages]
    assert found[0] == found[1]
    assert {b"regret-digits", b"regret-other", b"rank-digits"} <= set(found[0])
    assert differences(run) == []  # whether it was drawn here or there


def test_a_large_page_has_one_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure with nothing to plot says so."""
    missing = [f"fashion__{searcher}__s{seed}" for searcher in ("fds", "random") for seed in (0, 1)]
    run = write_run(tmp_path / "run", ("digits", "fashion"), missing=missing)
    monkeypatch.setattr(document, "MANY", 0)
    html = published(run, "report.html")["report.html"].decode()
    assert html.count("<svg") == 1
    assert html.count('<figure class="whole">') == 1
    assert html.count(NOTHING) == 2  # in the drawing, too
