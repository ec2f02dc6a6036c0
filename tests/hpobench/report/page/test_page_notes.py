"""What the page says of what is missing, of where the time went and of its clock."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpobench.cli import app
from hpobench.report.clocks import CLOCKS
from hpobench.report.page.document import render_report
from hpobench.report.tables.ledger import ledger_table
from hpobench.results.json_files import read_json, write_json
from hpobench.results.run import Results
from tests.hpobench.fake_run import (
    Point,
    write_cell,
    write_run,
    write_study,
    write_yardsticks,
)
from tests.hpobench.report.page.test_page import Page

pytestmark = pytest.mark.usefixtures("one_kind_of_figure")


def test_a_split_without_its_reference_is_noted(tmp_path: Path) -> None:
    write_study(tmp_path, searchers=("fds",), seeds=(0, 1))
    write_yardsticks(tmp_path, "digits", 0)
    for seed in (0, 1):
        write_cell(tmp_path, "digits", "fds", seed, [Point(1.0, 0.2, 0.2)])
    words = Page(render_report(Results.load(tmp_path))).words
    assert "has not been trained on the split of seed 1: no regret there." in words


@pytest.mark.slow
def test_a_reference_that_the_study_made_itself_is_noted(tmp_path: Path) -> None:
    results = Results.load(write_run(tmp_path))
    assert "the best that this study came upon" not in Page(render_report(results)).words
    references = read_json(tmp_path / "references.json")
    references["digits"]["kind"] = "best observed"
    write_json(tmp_path / "references.json", references)
    words = Page(render_report(Results.load(tmp_path))).words
    assert "The reference of digits is the best that this study came upon" in words
    assert "measured from the best observed reference" in words


def test_a_ledger_that_does_not_add_up_is_flagged(tmp_path: Path) -> None:
    write_study(tmp_path, searchers=("fds",), seeds=(0, 1))
    for seed in (0, 1):
        cell = write_cell(tmp_path, "digits", "fds", seed, [Point(1.0, 0.2, 0.2)])
    record = read_json(cell / "cell.json")
    record["ledger"]["parts"]["train"] *= 0.9
    write_json(cell / "cell.json", record)
    words = Page(render_report(Results.load(tmp_path))).words
    assert words.count("The parts add up to 92.5 % of its slot-seconds.") == 1
    assert "The ledger of 1 cell is off by more than 2 %: marked in the list of cells." in words


@pytest.mark.parametrize(
    ("residual", "flag"),
    [(0.019, None), (-0.019, None), (0.029, "97.1"), (-0.03, "103")],
)
def test_a_measured_residual_is_flagged_beyond_two_per_cent(
    tmp_path: Path, residual: float, flag: str | None
) -> None:
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    write_cell(tmp_path, "digits", "fds", 0, [Point(1.0, 0.2, 0.2)], residual=residual)
    words = Page(render_report(Results.load(tmp_path))).words
    said = f"The parts add up to {flag} % of its slot-seconds."
    assert (said in words) == (flag is not None)
    assert ("The parts add up" in words) == ("The ledger of 1 cell" in words) == bool(flag)


def test_where_the_time_went_by_searcher(tmp_path: Path) -> None:
    """fds: 60 s with half in search, and 20 s with all of it in train; random has no ledger."""
    write_study(tmp_path, searchers=("fds", "random"), seeds=(0, 1))
    write_cell(tmp_path, "digits", "fds", 0, wall=60.0, thinking=0.5, residual=0.1)
    write_cell(tmp_path, "digits", "fds", 1, wall=20.0, thinking=0.0)
    table = ledger_table(Results.load(tmp_path))
    assert table["columns"] == ["search", "train"]
    fds, random = table["rows"]
    shares = [0.9 * 30 / 80, (0.9 * 30 + 20) / 80, 0.1 * 60 / 80]
    assert fds["values"] == [
        "80",
        *(f"{100 * share:.{d}f} %" for share, d in zip(shares, (0, 0, 1), strict=True)),
        "2.5",
    ]
    assert random["values"] == ["–"] * 5
    assert table["meanings"].keys() == {"search", "train"}
    words = Page(render_report(Results.load(tmp_path))).words
    assert "Where the time went" in words
    assert "the searcher's thinking" in words


@pytest.mark.slow
def test_the_page_marks_a_searcher_that_trained_nothing_in_full(tmp_path: Path) -> None:
    write_study(tmp_path, searchers=("fds", "idle"), seeds=(0,))
    write_yardsticks(tmp_path, "digits", 0)
    write_cell(tmp_path, "digits", "fds", 0, [Point(1.0, 0.2, 0.2)])
    write_cell(tmp_path, "digits", "idle", 0, [Point(1.0, 0.2, 0.2, full=False)])
    words = Page(render_report(Results.load(tmp_path))).words
    assert "idle the default: nothing trained in full" in words
    assert "fds the default" not in words


@pytest.mark.slow
def test_the_command_line_reports_over_a_clock(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    done = CliRunner().invoke(app, ["report", str(folder), "--clock", "slot-seconds"])
    assert done.exit_code == 0
    assert "slot-s to 10 %: slot-seconds to 10 % of the default's regret" in done.output
    assert CLOCKS["slot_seconds"].meaning in Page((folder / "report.html").read_text()).words
    assert b"slot-seconds: slots" in (folder / "figures" / "regret.svg").read_bytes()
    refused = CliRunner().invoke(app, ["report", str(folder), "--clock", "hours"])
    assert refused.exit_code == 2
