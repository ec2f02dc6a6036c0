"""The columns of evaluations.jsonl are the fields of one dataclass, for writers and readers."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from hpobench.errors import RunError
from hpobench.results.evaluation_record import EvaluationRecord
from hpobench.results.evaluations import read_evaluations
from hpobench.results.schema import COLUMNS, EVALUATION, NAMES, OPTIONAL, check
from tests.hpobench.fake_run import Point, write_cell, write_study

RECORD = EvaluationRecord(
    **{"cell": "digits__fds__s0", "task": "digits", "searcher": "fds", "seed": 0, "attempt": 1},
    **{"trial": 0, "evaluation": 0, "training": 0, "budget": 9, "full": True},
    hyperparameters={"momentum": 0.9},
    validation_loss=0.5,
    validation_accuracy=None,
    **{"steps": 100, "status": "ok", "parts": {"train": 0.25}},
    **{"seconds": 1.0, "slot_seconds": 1.0, "slot": 0, "began": 0.5, "ended": 0.75},
)


def test_the_columns_are_the_fields_of_the_record() -> None:
    assert list(COLUMNS) == [field.name for field in fields(EvaluationRecord)]
    kinds = {*COLUMNS.values()}
    assert kinds == {int, float, bool, str, dict}
    for some in (NAMES, EVALUATION, OPTIONAL):
        assert some.items() <= COLUMNS.items()


def test_a_line_has_every_column_in_order_but_for_what_has_nothing_to_say() -> None:
    silent = {"cause", "error", "notes"}
    assert list(RECORD.line()) == [name for name in COLUMNS if name not in silent]
    assert RECORD.line()["validation_accuracy"] is None


def test_a_line_holds_what_readers_ask_for() -> None:
    check(RECORD.line(), {**NAMES, **EVALUATION, **OPTIONAL}, "a line")
    with pytest.raises(RunError, match="lacks 'steps'"):
        check({k: v for k, v in RECORD.line().items() if k != "steps"}, EVALUATION, "a line")


def test_a_frame_has_the_columns_of_the_lines(tmp_path: Path) -> None:
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    cell = write_cell(tmp_path, "digits", "fds", 0, [Point(1.0, 0.5, None)], place={})
    (cell / "evaluations.jsonl").write_text(json.dumps(RECORD.line()) + "\n")
    names = {name: RECORD.line()[name] for name in NAMES}
    table, _ = read_evaluations(tmp_path, [names], [])
    assert {*table.columns} == {*RECORD.line()}
