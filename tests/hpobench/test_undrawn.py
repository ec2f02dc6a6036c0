"""A figure that cannot be drawn costs no results: not from Python, and not on the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpobench import Results, Study, pipeline, terminal
from hpobench.report import figures as registry
from hpobench.report.drawing.figure import FigureKind, RunFigure
from hpobench.report.drawing.source import FigureSource
from hpobench.report.figures.regret import REGRET
from hpobench.running import ray_backend
from hpobench.running.display import Silent
from hpobench.running.scheduler import Interrupted, SliceScheduler
from tests.hpobench.command_line import command
from tests.hpobench.running.fake_slices import FakeCluster, FakeSlice, small_study

SAID = "figure mine could not be drawn: ZeroDivisionError: planted (hpobench/test_undrawn.py:"


def mine_figures(source: FigureSource, *_: object) -> list[RunFigure]:
    raise ZeroDivisionError("planted")


@pytest.fixture(autouse=True)
def a_figure_that_fails_and_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def cluster(study: Study, address: str | None, source: Path | None) -> Iterator[FakeCluster]:
        yield FakeCluster([FakeSlice()])

    monkeypatch.setattr(ray_backend, "cluster", cluster)
    monkeypatch.setattr(registry, "FIGURES", (FigureKind(mine_figures, name="mine"), REGRET))


class Kept:
    """A sink that keeps what it is given."""

    def track(self, results: Results) -> None:
        self.results = results


@pytest.mark.slow
def test_results_come_back_whole_and_are_tracked(tmp_path: Path) -> None:
    sink, run = Kept(), tmp_path / "run"
    results = pipeline.run(small_study(), run, display=Silent(), sinks=[sink])
    [line] = results.undrawn
    assert line.startswith(SAID)
    assert line.endswith(f"its traceback: {run / 'figures' / 'mine.error.txt'}")
    assert len(results.summary()) == 1
    assert sink.results is results
    assert len(list((run / "wandb").glob("offline-run-*"))) == 1
    assert (run / "figures" / "regret.png").exists()
    assert "Figure mine could not be drawn." in (run / "report.html").read_text()


@pytest.mark.slow
def test_from_python_it_is_warned_of_and_on_the_command_line_it_is_exit_code_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(UserWarning, match="figure mine could not be drawn") as warned:
        results = small_study().run(tmp_path / "run", wandb="off")
    places = [one.filename for one in warned if one.category is UserWarning]
    assert places == [__file__]
    assert len(results.summary()) == 1
    for name in ("resume", "report"):
        shown = command(name, tmp_path / "run", *(["--wandb", "off"] if name == "resume" else []))
        assert shown.returncode == 1
        assert [line.startswith(SAID) for line in shown.stdout.splitlines()].count(True) == 1
        assert shown.stdout.endswith(f"report: {tmp_path / 'run' / 'report.html'}\n")
        assert shown.stderr == ""
    monkeypatch.setattr(registry, "FIGURES", (REGRET,))
    shown = command("resume", tmp_path / "run", "--wandb", "off")
    assert (shown.returncode, "could not be" in shown.stdout) == (0, False)
    assert not (tmp_path / "run" / "figures" / "mine.error.txt").exists()


@pytest.mark.slow
def test_a_table_that_the_terminal_cannot_show_is_named_and_the_rest_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "FIGURES", (REGRET,))
    pipeline.run(small_study(), tmp_path / "run", wandb="off", display=Silent())
    monkeypatch.setattr(terminal, "summary_table", mine_figures)
    shown = command("report", tmp_path / "run")
    assert shown.returncode == 1
    assert "the terminal's table could not be made: ZeroDivisionError: planted" in shown.stdout
    assert "On quadratic, " in shown.stdout
    assert shown.stdout.endswith(f"report: {tmp_path / 'run' / 'report.html'}\n")


def test_what_is_published_on_an_interrupt_says_so_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise Interrupted

    monkeypatch.setattr(SliceScheduler, "work", interrupted)
    monkeypatch.setattr(pipeline, "publish", lambda results, clock: (SAID,))
    with pytest.raises(Interrupted) as ended:
        pipeline.run(small_study(), tmp_path / "run", wandb="off", display=Silent())
    assert ended.value.__notes__ == [SAID]
    ends: list[int] = []
    monkeypatch.setattr(os, "_exit", lambda status: ends.append(status) or exit(status))
    shown = command("resume", tmp_path / "run", "--wandb", "off")
    assert (shown.returncode, ends) == (130, [130])
    first, second = shown.stderr.splitlines()[-2:]
    assert first == f"hpobench: {SAID}"
    assert second.startswith("hpobench: interrupted")
