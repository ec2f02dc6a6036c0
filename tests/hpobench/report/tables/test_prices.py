"""What is said of a clock that did not charge everyone the same, and of much thinking."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpobench import Results
from hpobench.cli import app
from hpobench.report.page.document import content
from hpobench.report.tables.prices import price_notes, thinking_notes
from tests.hpobench.fake_run import Point, write_cell, write_study, write_yardsticks

POINTS = [Point(10.0, 0.2, 0.2), Point(10.5, 0.3, None), Point(11.0, 0.3, None)]


def run_of(folder: Path, **shares: tuple[float, float]) -> Results:
    """A run on the digits in which searchers thought, and were charged, so much of their clock."""
    write_study(folder, searchers=tuple(shares), seeds=(0,))
    write_yardsticks(folder, "digits", 0)
    for searcher, (thinking, price) in shares.items():
        write_cell(
            folder, "digits", searcher, 0, POINTS, thinking=thinking, orchestration=price, place={}
        )
    return Results.load(folder)


def test_shares_up_to_two_points_apart_are_nothing_to_speak_of(tmp_path: Path) -> None:
    results = run_of(tmp_path, fds=(0.0, 0.01), random=(0.0, 0.03))
    assert price_notes(results, "digits") == []


def test_an_unequal_price_is_said_with_what_to_do(tmp_path: Path) -> None:
    results = run_of(tmp_path, fds=(0.0, 0.01), random=(0.0, 0.15), bohb=(0.0, 0.28))
    (note,) = price_notes(results, "digits")
    assert note == (
        "On digits the framework took 28 % of the clock of bohb and 1.0 % of that of fds: curves"
        " over seconds favour fds by as much. Longer trainings make it small; --clock steps"
        " leaves it out."
    )
    assert note in content(results, "seconds")["notes"]


@pytest.mark.slow
def test_the_terminal_says_it_too(tmp_path: Path) -> None:
    run_of(tmp_path, fds=(0.0, 0.0), random=(0.0, 0.25))
    said = CliRunner().invoke(app, ["report", str(tmp_path)]).output
    assert "the framework took 25 % of the clock of random" in " ".join(said.split())


def test_one_searcher_is_charged_like_nobody_else(tmp_path: Path) -> None:
    assert price_notes(run_of(tmp_path, random=(0.0, 0.9)), "digits") == []


def test_much_thinking_is_said_beside_what_an_evaluation_took(tmp_path: Path) -> None:
    results = run_of(tmp_path, fds=(0.01, 0.0), bo=(0.27, 0.0), bohb=(0.31, 0.0))
    (note,) = thinking_notes(results, "digits")
    assert note.startswith(
        "Thinking took much of the clock on digits beside evaluations of 0.50 s: bo 27 % and"
        " bohb 31 %."
    )
    assert note in content(results, "seconds")["notes"]


def test_little_thinking_is_nothing_to_speak_of(tmp_path: Path) -> None:
    assert thinking_notes(run_of(tmp_path, fds=(0.05, 0.0)), "digits") == []
