"""Tables, figures and the page, drawn here or in another process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from operator import truediv
from pathlib import Path

import pytest

from hpobench.errors import RunError
from hpobench.report import publishing
from hpobench.report.drawing.figure import Draw
from hpobench.report.drawing.regret_panels import NOTHING
from hpobench.report.drawing.source import FigureSource
from hpobench.report.figure_files import files_of
from hpobench.report.figures import FiguresByKind
from hpobench.report.figures.regret import REGRET
from hpobench.report.page import document
from hpobench.report.subprocess_pool import run_in_subprocess
from hpobench.report.verification import differences
from hpobench.results.json_files import write_whole
from hpobench.results.run import Results
from tests.hpobench.fake_run import Point, write_cell, write_run, write_study, write_yardsticks


@pytest.mark.slow
def test_calls_come_to_the_same_beside_and_in_order() -> None:
    *values, process = run_in_subprocess(
        [*(partial(truediv, number, 4) for number in range(5)), os.getpid]
    )
    assert values == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert process != os.getpid()
    assert run_in_subprocess([]) == []


def test_what_goes_wrong_beside_is_not_lost(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run_in_subprocess([partial(truediv, 1, 0)])
    with pytest.raises(RunError, match=r"no/file: .*check that path") as refused:
        run_in_subprocess([partial(write_whole, tmp_path / "no" / "file", b"")])
    assert isinstance(refused.value.__cause__, FileNotFoundError)


def test_what_is_printed_beside_is_no_answer() -> None:
    assert run_in_subprocess([partial(print, "said"), partial(truediv, 1, 4)]) == [None, 0.25]


def data_of(html: bytes) -> dict[bytes, bytes]:
    """What the page's scripts draw, by figure."""
    packed = rb'<figure data-figure="([^"]+)">.*?<script type="text/plain">(.*?)</script>'
    return dict(re.findall(packed, html, re.DOTALL))


NAMES = ["report.html", "figures/regret.png", "figures/regret.svg", "regret.csv"]


@dataclass(frozen=True)
class Published:
    """A run, now published as a large one, and what files held: as of a small run, of a large."""

    run: Path
    small: dict[str, bytes]
    large: dict[str, bytes]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """With one task without a reference, and with one that has nothing to draw."""
    folder = tmp_path_factory.mktemp("published") / "run"
    missing = [f"fashion__{searcher}__s{seed}" for searcher in ("fds", "random") for seed in (0, 1)]
    tasks = ("digits", "fashion", "other")
    run = write_run(folder, tasks, missing=missing, without_reference=["other"])

    def files() -> dict[str, bytes]:
        publishing.publish(Results.load(run), "steps")
        return {name: (run / name).read_bytes() for name in NAMES}

    def of_regret(source: FigureSource, figures: FiguresByKind) -> dict[str, Draw]:
        return files_of(source, {REGRET: figures[REGRET]})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "files_of", of_regret)  # to write those of all takes long
        small = files()
        for name in NAMES:
            (run / name).unlink()
        patch.setattr(document, "MANY", 0)
        yield Published(run, small, files())


@pytest.mark.slow
def test_a_large_run_is_published_alike(published: Published) -> None:
    small, large = dict(published.small), dict(published.large)
    found = [data_of(files.pop("report.html")) for files in (small, large)]
    assert small == large
    assert found[0] == found[1]
    assert {b"regret-digits", b"regret-other", b"rank-digits"} <= set(found[0])
    assert differences(published.run) == []  # whether it was drawn here or there


@pytest.mark.slow
def test_a_large_page_has_one_drawing(published: Published) -> None:
    """A figure with nothing to plot says so."""
    html = published.large["report.html"].decode()
    assert html.count("<svg") == 1
    assert html.count('<figure class="whole">') == 1
    assert html.count(NOTHING) == 2  # in the drawing, too


@pytest.mark.slow
@pytest.mark.parametrize("points", [[], [Point(1.0, 0.9, 0.9, full=False)]], ids=["none", "small"])
def test_a_run_in_which_no_curve_ever_moves_is_published(
    tmp_path: Path, points: list[Point]
) -> None:
    """Nothing was trained in full: every incumbent is the default from first to last."""
    run = write_study(tmp_path / "run", searchers=("random", "bo"), seeds=(0, 1))
    for seed in (0, 1):
        write_yardsticks(run, "digits", seed)
        for searcher in ("random", "bo"):
            write_cell(run, "digits", searcher, seed, points)
    publishing.publish(Results.load(run))
    assert "no searcher got beyond the default" in (run / "report.html").read_text()
    assert differences(run) == []
