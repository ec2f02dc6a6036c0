"""What a person sees while a study runs."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from hpobench import Study, evaluations
from hpobench.budget import Budget
from hpobench.running import progress as progress_module
from hpobench.running import test_metrics
from hpobench.running.display import LiveTable, PlainLines
from hpobench.running.progress import Progress
from hpobench.study import Cell
from trainables.tasks import find_task


@dataclass
class Run:
    """What a display is told of a cell."""

    cell: Cell
    status: str = "waiting"
    count: int = 0
    incumbent: float | None = None
    why: str | None = None
    voids: int = 0


def plan_of(folder: Path, budget: Budget | float = 6.0) -> Progress:
    """Two cells that have not begun."""
    study = Study("small", ["quadratic"], ["random", "fds"], 1, budget)
    return Progress(study, folder, [Run(cell) for cell in study.cells()], slices=2)  # type: ignore[misc]


def settle(run: Run, status: str, count: int = 0, why: str | None = None) -> None:
    run.status, run.count, run.why = status, count, why
    run.incumbent = 0.5 if count else None


def lines(progress: Progress, *moments: Callable[[], object]) -> list[str]:
    """What is said while cells come to where each moment brings them."""
    text = io.StringIO()
    display = PlainLines(Console(file=text, width=200))
    with display.showing(progress):
        for moment in moments:
            moment()
            display.refresh(progress)
    return text.getvalue().splitlines()


def test_cells_that_end_together_are_counted_one_by_one(tmp_path: Path) -> None:
    progress = plan_of(tmp_path)
    said = lines(progress, lambda: [settle(run, "complete", 1) for run in progress.runs])
    assert [line.partition("; ")[2] for line in said[1:]] == [
        "1 of 2 cells done",
        "2 of 2 cells done",
    ]
    assert all("complete, 1 evaluation, incumbent 0.5" in line for line in said[1:])


@pytest.mark.parametrize("budget", [6.0, evaluations(5)])
def test_time_left_is_for_cells_to_come(tmp_path: Path, budget: Budget | float) -> None:
    progress = plan_of(tmp_path, budget)
    one, other = progress.runs

    def begin() -> None:
        settle(one, "running")
        settle(other, "running")

    def one_ends() -> None:  # the other has run as long: nothing is left by the estimate
        settle(one, "complete", 2)

    said = lines(progress, begin, one_ends, lambda: settle(other, "complete", 3))
    assert said[-2].endswith("complete, 2 evaluations, incumbent 0.5; 1 of 2 cells done, soon done")
    assert said[-1].endswith("complete, 3 evaluations, incumbent 0.5; 2 of 2 cells done")
    title = str(LiveTable(Console())._table(progress).title)
    assert title == "small: 2 of 2 cells done"


def test_time_left_is_said_while_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: 7.0))
    progress = plan_of(tmp_path)
    settle(progress.runs[0], "running")
    assert "0 of 2 cells done, about 14 s left" in str(LiveTable(Console())._table(progress).title)


@pytest.mark.parametrize("then", ["waiting", "running"])  # it may not be looked at in between
def test_a_void_attempt_is_told_with_its_reason_and_the_cell_starts_again(
    then: str, tmp_path: Path
) -> None:
    progress = plan_of(tmp_path)
    run = progress.runs[0]

    def void() -> None:
        settle(run, then, why="a worker was lost: killed")
        run.voids = 1

    said = lines(
        progress,
        lambda: settle(run, "running"),
        void,
        lambda: settle(run, "running"),
        lambda: settle(run, "failed", why="fds failed: no"),
    )
    name = run.cell.name
    assert said[1:4] == [
        f"  {name}: started",
        f"  {name}: void (a worker was lost: killed); it is run again",
        f"  {name}: started",
    ]
    assert said[4].startswith(
        f"  {name}: failed (fds failed: no), 0 evaluations, incumbent none yet;"
        " 1 of 2 cells done, 1 failed"
    )


def test_a_note_is_said_once_and_when_it_is_over(tmp_path: Path) -> None:
    progress = plan_of(tmp_path)

    def note(text: str) -> Callable[[], None]:
        return lambda: setattr(progress, "note", text)

    said = lines(progress, note("waiting for a slice"), note("waiting for a slice"), note(""))
    assert said[1:] == ["  waiting for a slice", "  going on"]
    progress.note = "stopping"
    assert "stopping" in str(LiveTable(Console())._table(progress).caption)


def test_what_is_left_for_a_resume_is_said_once(tmp_path: Path) -> None:
    progress = plan_of(tmp_path)
    leave = [lambda line=line: progress.left.append(line) for line in ("testing a", "testing b")]
    said = lines(progress, leave[0], lambda: None, leave[1])
    assert said[1:] == ["  left for a resume: testing a", "  left for a resume: testing b"]
    assert "left for a resume: testing b" in str(LiveTable(Console())._table(progress).caption)


def test_more_cells_than_a_terminal_has_lines_are_counted(tmp_path: Path) -> None:
    study = Study("many", ["quadratic"], ["random"], 50, 6.0)
    runs = [Run(cell, "running") for cell in study.cells()]
    progress = Progress(study, tmp_path, runs, slices=50)  # type: ignore[arg-type]
    text = io.StringIO()
    console = Console(file=text, width=100, height=30, force_terminal=True)
    table = LiveTable(console)._table(progress)
    assert table.row_count == 20
    console.print(table)
    assert "and 30 more" in text.getvalue()
    assert text.getvalue().count("\n") < 30


def test_a_cell_without_an_evaluation_has_nothing_to_test() -> None:
    task = find_task("quadratic")
    assert test_metrics.test_cell(task, 0, [], [], "cpu", 1) == []
