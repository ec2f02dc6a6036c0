"""Two runs: what differs between them is found, what does not is not, and both are said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hpobench.cli import app
from hpobench.errors import RunError
from hpobench.report.tables.comparison import cautions, compared
from hpobench.results.json_files import read_json, write_json
from hpobench.results.run import Results
from tests.hpobench.fake_run import Point, write_cell, write_study, write_yardsticks

SEEDS = range(8)


def write(folder: Path, shift: dict[str, float], seeds=SEEDS, **study) -> Path:
    """Cells that end at a loss of their seed's own, shifted, with a little noise."""
    write_study(folder, searchers=tuple(shift), seeds=tuple(seeds), **study)
    noise = np.random.default_rng(len(folder.name) + ord(folder.name[0])).normal(0, 0.002, (9, 99))
    for seed in seeds:
        write_yardsticks(folder, "digits", seed)
        for row, (searcher, by) in enumerate(shift.items()):
            loss = 0.2 + 0.03 * seed + by + noise[row, seed]
            write_cell(folder, "digits", searcher, seed, [Point(1.0, loss, loss)])
    return folder


def test_a_planted_difference_is_found_and_an_absent_one_is_not(tmp_path: Path) -> None:
    first = write(tmp_path / "a", {"fds": 0.0, "random": 0.0, "gone": 0.0})
    second = write(tmp_path / "b", {"random": 0.0, "fds": -0.02, "new": 0.0})
    rows = {row.searcher: row for row in compared(Results.load(first), Results.load(second))}
    assert rows.keys() == {"fds", "random"}
    assert rows["fds"].verdict == "second lower"
    assert rows["fds"].difference.low < -0.02 < rows["fds"].difference.high
    assert rows["random"].verdict == "not separated"
    back = {row.searcher: row for row in compared(Results.load(second), Results.load(first))}
    assert back["fds"].verdict == "first lower"
    assert back["fds"].difference.mean == pytest.approx(-rows["fds"].difference.mean)


def test_seeds_pair_by_their_number(tmp_path: Path) -> None:
    first = write(tmp_path / "a", {"fds": 0.0}, seeds=[7, 1, 4, 2, 0])
    second = write(tmp_path / "b", {"fds": 0.0}, seeds=[0, 1, 2, 3, 4])
    (row,) = compared(Results.load(first), Results.load(second))
    assert row.difference.n == 4
    assert abs(row.difference.mean) < 0.01  # not the 0.03 between neighbouring seeds


def test_few_seeds_have_no_interval_and_no_p(tmp_path: Path) -> None:
    first = write(tmp_path / "a", {"fds": 0.0}, seeds=range(4))
    second = write(tmp_path / "b", {"fds": -0.02}, seeds=range(4))
    (row,) = compared(Results.load(first), Results.load(second))
    assert np.isnan(row.p)
    assert row.verdict == "too few seeds"
    shown = CliRunner().invoke(app, ["compare", str(first), str(second)])
    assert "too few seeds" in shown.stdout
    assert "[" not in shown.stdout.partition("verdict")[2]


def test_a_run_is_not_compared_with_itself(tmp_path: Path) -> None:
    run = Results.load(write(tmp_path / "a", {"fds": 0.0}))
    with pytest.raises(RunError, match="twice: give two runs"):
        compared(run, run)


def test_a_task_of_another_definition_is_not_compared(tmp_path: Path) -> None:
    first = write(tmp_path / "a", {"fds": 0.0}, tasks=("digits",))
    second = write(tmp_path / "b", {"fds": 0.0}, tasks=("digits",))
    record = read_json(second / "study.json")
    record["tasks"][0]["hash"] = "other"
    write_json(second / "study.json", record)
    runs = Results.load(first), Results.load(second)
    assert cautions(*runs) == [
        "digits is defined otherwise in the two runs, and is not compared.",
    ]
    with pytest.raises(RunError, match="nothing to compare"):
        compared(*runs)


def test_what_else_differs_is_said(tmp_path: Path) -> None:
    first = write(tmp_path / "a", {"fds": 0.0})
    second = write(tmp_path / "b", {"fds": 0.0}, budget=30.0)
    record = read_json(second / "study.json")
    record["hardware"] = {"cpu": "another"}
    record["searchers"][0]["settings"]["windows"] = 7
    write_json(second / "study.json", record)
    assert cautions(Results.load(first), Results.load(second)) == [
        "The two runs have different budgets and machines.",
        "fds has other settings in the second run.",
    ]


def test_the_command_shows_a_table(tmp_path: Path) -> None:
    first = write(tmp_path / "a", {"fds": 0.0, "random": 0.0})
    second = write(tmp_path / "b", {"fds": 0.1, "random": 0.0})
    shown = CliRunner().invoke(app, ["compare", str(first), str(second)])
    assert shown.exit_code == 0, shown.output
    line = next(line for line in shown.stdout.splitlines() if " fds " in line)
    assert "first lower" in line
    assert re.search(r" 0\.(1|09\d+|10\d) \[0\.09\d* to 0\.10\d\] ", line), line
    wrong = CliRunner().invoke(app, ["compare", str(first), str(tmp_path)])
    assert isinstance(wrong.exception, RunError)
