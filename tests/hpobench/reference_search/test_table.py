"""A whole table certifies its smallest loss; one that is not whole is refused."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpobench import StudyError
from hpobench.reference_search.table import certified_by, size_of
from searchers.space import Categorical, Float, Int, Space, Vector
from trainables.task import Task
from trainables.tasks.synthetic import QUADRATIC

FINITE = Space({"optimizer": Categorical(("sgd", "1", True)), "depth": Int(1, 3)})
DEFAULT: dict[str, Any] = {"optimizer": "sgd", "depth": 1}
CHOICES = [
    {"optimizer": name, "depth": depth}
    for name, depth in itertools.product(("sgd", "1", True), (1, 2, 3))
]


def task_of(space: Space, default: dict[str, Any]) -> Task:
    parts: dict[str, Any] = {"space": space, "default": default, "initial": (default,)}
    return dataclasses.replace(QUADRATIC, name="mine", optimum=None, **parts)


MINE = task_of(FINITE, DEFAULT)


def table(folder: Path, rows: list[dict[str, Any]], suffix: str = ".csv") -> Path:
    file = folder / f"table{suffix}"
    if suffix == ".json":
        file.write_text(json.dumps(rows))
    else:
        with open(file, "w", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return file


def whole(losses: list[float]) -> list[dict[str, Any]]:
    return [
        {**choice, "validation_loss": loss} for choice, loss in zip(CHOICES, losses, strict=True)
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    losses=st.lists(st.floats(-5, 5), min_size=9, max_size=9),
    order=st.randoms(use_true_random=False),
    suffix=st.sampled_from([".csv", ".json"]),
)
def test_the_smallest_of_a_whole_table_is_certified(
    tmp_path: Path, losses: list[float], order: Any, suffix: str
) -> None:
    rows = whole(losses)
    order.shuffle(rows)
    found = certified_by(MINE, table(tmp_path, rows, suffix))
    assert (found["kind"], found["standard_error"]) == ("certified", None)
    assert found["provenance"]["validation_loss"] == min(losses)
    best = next(row for row in rows if row["validation_loss"] == min(losses))
    assert found["hyperparameters"] == {name: best[name] for name in DEFAULT}
    assert type(found["hyperparameters"]["optimizer"]) is type(best["optimizer"])
    assert "9 configurations in table" in found["provenance"]["how"]
    assert found["provenance"]["how"].endswith(": all that there are")


def test_rows_of_one_configuration_are_averaged(tmp_path: Path) -> None:
    rows = whole([1.0] * 9) + whole([0.0, 0.5, *[1.0] * 7]) + whole([2.0, *[1.0] * 8])
    found = certified_by(MINE, table(tmp_path, rows))
    assert found["hyperparameters"] == CHOICES[1]
    assert found["provenance"]["validation_loss"] == pytest.approx(2.5 / 3)
    assert found["provenance"]["validation_standard_error"] == pytest.approx(1 / 6)
    assert found["provenance"]["table_rows"] == 27


@pytest.mark.parametrize("gone", range(9))
def test_a_table_without_one_of_the_configurations_certifies_nothing(
    tmp_path: Path, gone: int
) -> None:
    rows = whole([1.0] * 9)
    del rows[gone]
    with pytest.raises(StudyError, match=r"table.csv: 8 of the 9 configurations of mine"):
        certified_by(MINE, table(tmp_path, rows))


def test_of_a_range_a_table_is_whole_by_its_maker_s_word(tmp_path: Path) -> None:
    space = Space({"learning_rate": Vector(2, Float(0.0, 1.0)), "depth": Int(1, 2)})
    task = task_of(space, {"learning_rate": (0.5, 0.5), "depth": 1})
    rows = [{"learning_rate_0": 0.5, "learning_rate_1": 0.1, "depth": 2, "validation_loss": 3.5}]
    found = certified_by(task, table(tmp_path, rows))
    assert found["hyperparameters"] == {"learning_rate_0": 0.5, "learning_rate_1": 0.1, "depth": 2}
    assert "by its maker's word all that there are" in found["provenance"]["how"]
    assert size_of(space) is None


def test_how_many_configurations_a_space_has() -> None:
    assert size_of(FINITE) == 9
    assert size_of(Space({"depth": Vector(3, Int(1, 4))})) == 64


BAD: dict[str, tuple[Any, str]] = {
    "no column": ([{"optimizer": "sgd", "validation_loss": 1.0}], "no column depth; a table of"),
    "no losses": ([DEFAULT], "no column validation_loss"),
    "no value": ([whole([1.0] * 9)[0], DEFAULT], "row 2 has no validation_loss"),
    "outside": ([{**DEFAULT, "depth": 4, "validation_loss": 1}], "row 1: depth is 4, outside"),
    "no choice": ([{**DEFAULT, "optimizer": "x", "validation_loss": 1}], "row 1: optimizer is 'x'"),
    "no number": (
        [{**DEFAULT, "validation_loss": "high"}],
        "row 1: validation_loss is 'high', not",
    ),
    "no rows": ([], "there is no row in it"),
    "no list": ({"a": 1}, "in JSON it is a list of objects"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_table_that_is_none_is_one_line(tmp_path: Path, what: str) -> None:
    content, said = BAD[what]
    with pytest.raises(StudyError, match=r"table\.json") as caught:
        certified_by(MINE, table(tmp_path, content, ".json"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_in_csv_may_lack_a_value_or_a_loss(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("optimizer,depth,validation_loss\nsgd,2,\n")
    with pytest.raises(StudyError, match="row 1: validation_loss is '', not a number"):
        certified_by(MINE, file)
    file.write_text("optimizer,depth,validation_loss\nsgd,two,1.0\n")
    with pytest.raises(StudyError, match="row 1: depth is 'two', not a whole number"):
        certified_by(MINE, file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match=r"t\.csv is no table"):
        certified_by(MINE, file)
