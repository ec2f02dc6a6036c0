"""The command line's surface: what it lists, and one line with exit code 2 for every mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hpobench.results.json_files import write_json
from hpobench.running import run_folder
from hpobench.running.run_folder import LOCK, held
from searchers.catalog import SEARCHERS
from tests.hpobench.command_line import command
from tests.hpobench.fake_run import write_study
from trainables.tasks import TASKS


@pytest.mark.slow
def test_a_process_of_its_own_ends_as_one_in_this_process_does() -> None:
    """The other tests here save themselves the processes."""
    arguments = ["run", "digits", "--budget", "0"]
    there = subprocess.run(
        [sys.executable, "-m", "hpobench.cli", *arguments], capture_output=True, text=True
    )
    here = command(*arguments)
    assert (there.returncode, there.stdout, there.stderr) == (2, here.stdout, here.stderr)
    assert here.returncode == 2


def test_list_names_everything() -> None:
    shown = command("list")
    assert shown.returncode == 0
    for name in [*TASKS, *SEARCHERS, "demo", "digits"]:
        assert f" {name} " in shown.stdout
    assert "`" not in shown.stdout  # marks of code in docstrings


def test_no_command_shows_the_help_and_no_empty_line() -> None:
    shown = command()
    assert shown.returncode == 2
    assert "Usage" in shown.stdout + shown.stderr
    assert "hpobench: \n" not in shown.stderr


@pytest.mark.parametrize("thing", ["study", "searcher", "task"])
def test_names_that_are_not_there_are_answered_alike(thing: str) -> None:
    near = {"study": ["digit"], "searcher": ["digits", "--searchers", "fsd"]}
    near["task"] = ["digits", "--tasks", "digts"]
    for arguments, hint in ((near[thing], " Did you mean "), ([*near[thing][:-1], "nope"], "")):
        said = command("run", *arguments).stderr
        assert said.startswith(f"hpobench: no {thing} {arguments[-1]!r}.{hint}"), said
        assert " There are: " in said


COMMANDS = ["run", "resume", "replay", "report", "status", "reference"]
COMMANDS += ["wandb sync", "wandb report"]


@pytest.mark.parametrize("of", [[], *(name.split() for name in COMMANDS)])
def test_help_has_an_example(of: list[str]) -> None:
    shown = command(*of, "--help")
    assert shown.returncode == 0
    if of:
        assert f"hpobench {' '.join(of)}" in shown.stdout.partition("Example")[2]
        assert "Example" in shown.stdout


MISTAKES = {
    "no study": (["run", "digit"], "no study 'digit'. Did you mean digits?"),
    "a task": (["run", "mnist"], "mnist is a task: hpobench run digits --tasks mnist"),
    "one of a file": (["run", "my/study.py:mine"], "give my/study.py, and --tasks mine for one"),
    "no searcher": (["run", "digits", "--searchers", "fsd"], "no searcher 'fsd'"),
    "no names": (["run", "digits", "--searchers", ","], "--searchers is empty"),
    "no task": (["run", "digits", "--tasks", "digts"], "digts"),
    "no budget": (["run", "digits", "--budget", "0"], "a budget is a number above 0"),
    "endless budget": (["run", "digits", "--budget", "inf"], "a budget is a number above 0"),
    "no number": (["run", "digits", "--budget", "soon"], "--budget"),
    "no seeds": (["run", "digits", "--seeds", "0"], "seeds"),
    "no width": (["run", "digits", "--width", "0"], "width"),
    "too wide": (["run", "digits", "--width", "9999"], "a cell needs 9999 × 1 cores"),
    "wandb": (["run", "digits", "--wandb", "maybe"], "wandb is offline, online or off"),
    "no file": (["run", "missing.py"], "missing.py: there is no such file"),
    "no Python": (["run", "./notes.txt"], "notes.txt is no Python file: its name does not end in"),
    "no run": (["resume", "."], "holds no run"),
    "no report": (["report", "nowhere"], "nowhere"),
    "no replay": (["replay", "nowhere"], "nowhere is not a run"),
    "no time": (
        ["replay", "nowhere", "--at", "10,later"],
        "--at is like 10,60,end, not '10,later'",
    ),
    "no command": (["rum"], "rum"),
    "nothing to audit": (["audit", "--searcher", "random"], "random"),
    "no engine": (["audit", "--engine", "missing.py:Mine"], "missing.py"),
    "no reference": (["reference", "quadratic"], "known in closed form"),
    "no task to refer to": (["reference", "digts"], "no task 'digts'. Did you mean digits?"),
    "a frozen reference": (["reference", "digits"], "is a reference of digits already"),
    "no time to search": (["reference", "mnist", "--budget", "0"], "a budget is a number above 0"),
    "no fresh splits": (["reference", "mnist", "--fresh", "1"], "fresh is at least 2"),
    "no place": (["reference", "mnist", "--out", "/proc/mnist.json"], "--out /proc/mnist.json: "),
    "no table": (
        ["reference", "mnist", "--table", "nowhere.csv", "--out", "mnist.json"],
        "nowhere.csv: there is no such file",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_two(mistake: str, tmp_path: Path) -> None:
    arguments, said = MISTAKES[mistake]
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.startswith("hpobench: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())  # no half-written result


BAD_FILES = {
    "x = (": "line 1: '(' was never closed",
    "import nothing_of_this_name": "line 1: ModuleNotFoundError",
    "x = 1": "no Study in it",
    "from hpobench import Study\nStudy('a', ['digits'], ['fds'], 1, -3)": "line 2: a budget",
    "from hpobench import Study\n\nStudy('a', ['digits'], ['x'], 1, 1)": "line 3: no searcher 'x'",
    "from hpobench import Study\na = Study('a', ['digits'], ['fds'], 1, 1)\nb = a": None,
    "from hpobench import Study\na = Study('a', ['digits'], ['fds'], 1, 1)\n"
    "b = Study('b', ['digits'], ['fds'], 1, 1)": "2 studies in it",
}


@pytest.mark.parametrize("content", [c for c, said in BAD_FILES.items() if said])
def test_a_bad_study_file_is_one_line(content: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(content)
    done = command("run", file, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert BAD_FILES[content] in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_none_is_looked_for_in_the_users_study_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import replace\n"
        "from hpobench import Study\n"
        "from searchers import FDS\n"
        "from trainables.tasks import find_task\n"
        "own = replace(find_task('quadratic'), name='valley')\n"
        "study = Study('mine', [own], [FDS(name='my_fds')], 1, 1)\n"
    )
    for option, name, meant in (("--tasks", "vally", "valley"), ("--searchers", "my_fd", "my_fds")):
        ended = command("run", file, option, name)
        what = option.removeprefix("--").removesuffix("s")
        assert ended.returncode == 2
        assert ended.stderr.startswith(
            f"hpobench: no {what} {name!r}. Did you mean {meant}?"
            f" There are: {meant}, "  # the study's own first
        )
        assert ended.stderr.count("\n") == 1


@pytest.fixture
def under_way(tmp_path: Path) -> Path:
    """A run with one cell that is running and one that has not begun."""
    folder = write_study(tmp_path / "run", searchers=["fds", "random"], seeds=[0])
    cell = {"schema": 1, "cell": "digits__fds__s0", "status": "running"}
    (folder / "cells/digits__fds__s0").mkdir(parents=True)
    write_json(folder / "cells/digits__fds__s0/cell.json", cell)
    return folder


def test_status_of_a_run_that_is_under_way(under_way: Path) -> None:
    with held(under_way):
        shown = command("status", under_way).stdout
    assert "running" in shown
    assert "nobody is at work" not in shown


def test_status_says_at_once_that_a_runner_is_gone(under_way: Path) -> None:
    (under_way / LOCK).touch()  # it was killed
    shown = command("status", under_way).stdout
    assert "running" not in shown
    assert "interrupted" in shown
    assert f"nobody is at work on this run; hpobench resume {under_way} goes on" in shown


def test_a_runner_that_begins_while_status_looks_is_at_work(
    under_way: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([False, True])
    monkeypatch.setattr(run_folder, "is_held", lambda folder: next(looks))
    shown = command("status", under_way).stdout
    assert "running" in shown
    assert "nobody is at work" not in shown


@pytest.mark.parametrize(
    "setting",
    [
        "torch.set_default_dtype(torch.float64)",
        "torch.use_deterministic_algorithms(True)",
        "torch.set_default_device('meta')",
    ],
)
def test_what_a_study_file_sets_for_its_process_alone_is_refused(
    setting: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    study = "from hpobench import Study\nstudy = Study('a', ['quadratic'], ['random'], 1, 1)\n"
    file.write_text(f"import torch\n{setting}\n{study}")
    try:
        ended = command("run", file, "--out", tmp_path / "out")
    finally:
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)
        torch.set_default_device(None)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"hpobench: {file}: it sets torch's default type")
    assert not (tmp_path / "out").exists()


def test_status_tells_cells_apart_where_there_is_little_room(
    under_way: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = command("status", under_way).stdout.replace("│", "").split()
    assert "digits__fds__s0" in shown
    assert "digits__random__s0" in shown
