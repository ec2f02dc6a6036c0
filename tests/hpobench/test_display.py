"""What a person sees while a study runs."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from hpobench import Study, evaluations
from hpobench.budget import Budget
from hpobench.results.records import append_line, write_json
from hpobench.running import measuring
from hpobench.running.attempts import CellRun
from hpobench.running.display import LiveTable, PlainLines, Plan
from trainables.tasks import find_task


def plan_of(folder: Path, budget: Budget | float = 6.0) -> Plan:
    """Two cells that have not begun."""
    study = Study("small", ["quadratic"], ["random", "fds"], 1, budget)
    runs = [CellRun(cell, folder / cell.name, study) for cell in study.cells()]
    return Plan(study, folder, runs, slices=2)


def settle(run: CellRun, status: str, count: int = 0) -> None:
    run.folder.mkdir(exist_ok=True)
    line = {"full": True, "status": "ok", "validation_loss": 0.5}
    for _ in range(count):
        append_line(run.evaluations, line)
    write_json(run.folder / "cell.json", {"status": status})


def lines(plan: Plan, *moments) -> list[str]:
    """What is said while cells come to where each moment brings them."""
    text = io.StringIO()
    display = PlainLines(Console(file=text, width=200))
    with display.showing(plan):
        for moment in moments:
            moment()
            display.refresh(plan)
    return text.getvalue().splitlines()


def test_cells_that_end_together_are_counted_one_by_one(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    said = lines(plan, lambda: [settle(run, "complete", 1) for run in plan.runs])
    assert [line.partition("; ")[2] for line in said[1:]] == [
        "1 of 2 cells done",
        "2 of 2 cells done",
    ]
    assert all("complete, 1 evaluation, incumbent 0.5" in line for line in said[1:])


@pytest.mark.parametrize("budget", [6.0, evaluations(5)])
def test_time_left_is_for_cells_to_come(tmp_path: Path, budget: Budget | float) -> None:
    plan = plan_of(tmp_path, budget)
    one, other = plan.runs

    def begin() -> None:
        settle(one, "running")
        settle(other, "running")

    def one_ends() -> None:  # the other has run as long: nothing is left by the estimate
        settle(one, "complete", 2)

    said = lines(plan, begin, one_ends, lambda: settle(other, "complete", 3))
    assert said[-2].endswith("complete, 2 evaluations, incumbent 0.5; 1 of 2 cells done, soon done")
    assert said[-1].endswith("complete, 3 evaluations, incumbent 0.5; 2 of 2 cells done")
    title = str(LiveTable(Console())._table(plan).title)
    assert title == "small: 2 of 2 cells done"


def test_time_left_is_said_while_there_is_some(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    settle(plan.runs[0], "running")
    began = time.monotonic()
    assert "0 of 2 cells done, about 14 s left" in str(LiveTable(Console())._table(plan).title)
    assert time.monotonic() - began < 0.4


def test_a_cell_without_an_evaluation_has_nothing_to_test(tmp_path: Path) -> None:
    task = find_task("quadratic")
    assert measuring.test_cell(task, 0, tmp_path, tmp_path, "cpu", ()) == []
