"""The comparison that chaos is judged by sees what it has to see."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpobench import Results
from hpobench.tracking.wandb.track import track
from tests.chaos.comparing import compare
from tests.hpobench.fake_run import write_run

CELL = "digits__random__s0"


def twins(folder: Path, **run: Any) -> tuple[Path, Path]:
    """A run of invented numbers, and its twin."""
    write_run(folder / "undisturbed", budget=10.0, **run)
    shutil.copytree(folder / "undisturbed", folder / "disturbed")
    return folder / "undisturbed", folder / "disturbed"


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    return twins(tmp_path)


def change(
    run: Path, name: str, how: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
) -> None:
    file = run / "cells" / CELL / name
    lines = how([json.loads(line) for line in file.read_text().splitlines()])
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_twins_are_equal(runs: tuple[Path, Path]) -> None:
    assert compare(*runs).equal


def test_what_clocks_and_attempts_say_may_differ(runs: tuple[Path, Path]) -> None:
    def later(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        shift = {"seconds": 1.5, "slot_seconds": 1.5}
        return [
            line | {name: line[name] + by for name, by in shift.items()} | {"attempt": 3}
            for line in lines
        ]

    change(runs[1], "evaluations.jsonl", later)
    assert compare(*runs).equal


def test_a_lost_evaluation_is_counted(runs: tuple[Path, Path]) -> None:
    change(runs[1], "evaluations.jsonl", lambda lines: lines[:-1])
    found = compare(*runs)
    assert found.lost == [f"{CELL}: evaluation 24"]
    assert not found.equal


def test_an_evaluation_twice_is_counted(runs: tuple[Path, Path]) -> None:
    change(runs[1], "evaluations.jsonl", lambda lines: [*lines, lines[-1]])
    found = compare(*runs)
    assert found.duplicated == [f"{CELL}: evaluation 24"]
    assert not found.lost


def test_a_lost_test_metric_is_counted(runs: tuple[Path, Path]) -> None:
    change(runs[1], "tests.jsonl", lambda lines: lines[1:])
    assert compare(*runs).lost == [f"{CELL}: test 0"]


@pytest.mark.parametrize(
    ("key", "value"), [("validation_loss", 0.5), ("budget", 1), ("status", "failed"), ("steps", 1)]
)
def test_a_changed_value_is_a_difference(runs: tuple[Path, Path], key: str, value: Any) -> None:
    change(runs[1], "evaluations.jsonl", lambda lines: [lines[0] | {key: value}, *lines[1:]])
    found = compare(*runs)
    assert any(line.startswith("evaluations: ") and key in line for line in found.differences)


def test_a_yardstick_twice_is_a_duplicate(runs: tuple[Path, Path]) -> None:
    file = runs[1] / "yardsticks.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines, lines[0]]))
    assert len(compare(*runs).duplicated) == 1


def test_a_cell_of_another_end_is_a_difference(runs: tuple[Path, Path]) -> None:
    file = runs[1] / "cells" / CELL / "cell.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"status": "failed"}))
    assert any(line.startswith("cells: ") for line in compare(*runs).differences)


@pytest.mark.slow
def test_what_wandb_has_is_compared_too(tmp_path: Path) -> None:
    runs = twins(tmp_path, seeds=(0,))
    for run in runs:
        track(Results.load(run), "offline")
    assert compare(*runs, wandb=True).equal
    first, second, *_ = sorted((runs[1] / "wandb").glob("offline-run-*"))
    shutil.copytree(first, first.with_name(f"{first.name}-again"))
    shutil.rmtree(second)
    found = compare(*runs, wandb=True)
    assert len(found.duplicated) == 1
    assert len(found.lost) == 1
    assert not found.differences
