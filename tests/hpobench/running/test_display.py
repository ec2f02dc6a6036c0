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
from hpobench.running.training import Training
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

    def one_ends() -> None:  # the other has run as long: by the evaluations, nothing is left
        settle(one, "complete", 2)

    said = lines(progress, begin, one_ends, lambda: settle(other, "complete", 3))
    left = "soon done" if isinstance(budget, Budget) else "about 9 s left"
    assert said[-2].endswith(f"complete, 2 evaluations, incumbent 0.5; 1 of 2 cells done, {left}")
    assert said[-1].endswith("complete, 3 evaluations, incumbent 0.5; 2 of 2 cells done")
    title = str(LiveTable(Console())._table(progress).title)
    assert title == "small: 2 of 2 cells done"


def test_time_left_is_said_while_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: 7.0))
    progress = plan_of(tmp_path)
    settle(progress.runs[0], "running")
    assert "0 of 2 cells done, about 9 s left" in str(LiveTable(Console())._table(progress).title)


def baselines(study: Study, seeds: range, seconds: float = 0.0) -> list[Training]:
    """Five trainings of a default on each split; done, if they took time."""
    found = []
    for seed in seeds:
        what = f"training default of quadratic on seed {seed}"
        training = Training(what, study, Path(), {}, list, count=5)
        training.seconds, training.done = seconds, seconds > 0
        found.append(training)
    return found


def test_time_left_is_of_the_cells_and_of_the_baselines_that_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    study = Study("six", ["quadratic"], ["default", "random", "fds"], 2, 60.0)
    runs = [Run(cell) for cell in study.cells()]
    of = {
        searcher.name: [run for run in runs if run.cell.searcher is searcher]
        for searcher in study.searchers
    }
    progress = Progress(study, tmp_path, runs, slices=1)  # type: ignore[arg-type]

    def left() -> tuple[float, bool]:
        found = progress.time_left()
        assert found is not None
        return found

    def take(run: Run, seconds: float) -> None:
        settle(run, "running")
        progress.statuses()
        now[0] += seconds
        settle(run, "complete", 1)
        progress.statuses()

    assert left() == (6 * (60 + 3), False)
    progress.baselines = baselines(study, range(2))
    progress.to_come = 10
    assert left() == (6 * (60 + 3), True)  # nobody knows how long these are
    progress.baselines = [*baselines(study, range(1), seconds=10), *baselines(study, range(1, 2))]
    assert left() == (6 * (60 + 3) + 15 * 2, False)
    take(of["default"][0], 21)  # it searches nothing, and ends early: others do not
    assert left() == (4 * (60 + 3) + 21 + 15 * 2, False)
    take(of["random"][0], 61)
    assert left() == (2 * 61 + 61 + 21 + 15 * 2, False)
    for run in (*of["fds"], of["random"][1], of["default"][1]):
        take(run, 61)
    assert left() == (15 * 2, False)
    words = "6 of 6 cells and 5 of 20 baseline trainings done, about 30 s left"
    assert str(LiveTable(Console())._table(progress).title) == f"six: {words}"
    progress.baselines, progress.to_come = baselines(study, range(4), seconds=10), 0
    assert left() == (0, False)
    assert str(LiveTable(Console())._table(progress).title) == "six: 6 of 6 cells done"


def test_a_failure_says_nothing_of_how_long_its_like_takes(tmp_path: Path) -> None:
    study = Study("long", ["quadratic"], ["random"], 6, 3600.0)
    runs = [Run(cell) for cell in study.cells()]
    progress = Progress(study, tmp_path, runs, slices=1)  # type: ignore[arg-type]
    settle(runs[0], "running")
    progress.statuses()
    settle(runs[0], "failed", why="no")
    progress.statuses()
    left = progress.time_left()
    assert left is not None
    assert left.seconds >= 5 * 3600


class Pipe(io.StringIO):
    """What nobody reads any more once it is broken."""

    broken = False

    def write(self, text: str) -> int:
        if self.broken:
            raise BrokenPipeError
        return len(text)


def test_a_closed_pipe_does_not_end_the_work(tmp_path: Path) -> None:
    progress = plan_of(tmp_path)
    for kind, terminal in ((PlainLines, False), (LiveTable, True)):
        pipe = Pipe()
        display = kind(Console(file=pipe, width=200, force_terminal=terminal))
        with display.showing(progress):
            pipe.broken = True
            settle(progress.runs[0], "complete", 1)
            display.refresh(progress)
            display.say("still here")


def test_the_last_cell_takes_its_time_however_many_slices_there_are(tmp_path: Path) -> None:
    progress = plan_of(tmp_path)
    progress.slices = 50
    left = progress.time_left()
    assert left is not None
    assert left.seconds == 6 + 3


def test_baselines_are_told_as_they_are_trained(tmp_path: Path) -> None:
    progress = plan_of(tmp_path)
    progress.baselines = waiting = baselines(progress.study, range(2))

    def end(training: Training) -> None:
        training.done, training.seconds = True, 10.0

    said = lines(progress, lambda: end(waiting[1]), lambda: end(waiting[0]))
    assert said[0].startswith("small: 0 of 2 cells and 0 of 10 baseline trainings done, results in")
    assert said[1].startswith(
        "  training default of quadratic on seed 1: done;"
        " 0 of 2 cells and 5 of 10 baseline trainings done, about"
    )
    assert said[2].startswith(
        "  training default of quadratic on seed 0: done; 0 of 2 cells done, about"
    )


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
