"""Columns say what the lines say: the quick way to read a file, and the careful one."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.errors import RunError
from hpobench.results import evaluations as module
from hpobench.results.evaluations import read_evaluations
from tests.hpobench.fake_run import Point, write_cell, write_study

CELLS = [
    {"cell": "a__fds__s0", "task": "a", "searcher": "fds", "seed": 0},
    {"cell": "b__random__s1", "task": "b", "searcher": "random", "seed": 1},
    {"cell": "b__grid__s1", "task": "b", "searcher": "grid", "seed": 1},
]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(
    ["null", "NaN", "2025-01-01", "2025-01-01T12:00:00Z", "1", '"x": null', "full"]
)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers(0, 9) | numbers | texts
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
plain = st.sampled_from([st.integers(0, 9), st.floats(0, 1), st.booleans(), texts, anything])
losses = st.none() | st.floats(-1e9, 1e9) | st.integers(-5, 5)


@st.composite
def lines(draw, cell):
    """A cell's evaluations, with keys that are not known here, of one kind or of any."""
    keys = draw(st.dictionaries(st.sampled_from(["parts", "notes", "lucky", "é", "trial"]), plain))
    names = draw(st.sets(texts, max_size=3))
    found, clock = [], 0.0
    for number in range(draw(st.integers(0, 4))):
        clock += draw(st.sampled_from([0.0, 0.5, 1.0]))
        line = {"schema": 1, **cell, "evaluation": number, "budget": 9, "full": draw(st.booleans())}
        line["hyperparameters"] = {name: draw(st.floats(0, 1)) for name in sorted(names)}
        line["validation_loss"], line["validation_accuracy"] = draw(losses), draw(losses)
        line |= {"seconds": clock, "slot_seconds": int(clock), "steps": 3 * number, "status": "ok"}
        if draw(st.booleans()):
            line |= {"slot": 0, "began": clock, "ended": clock + 0.5}
        line |= {key: draw(value) for key, value in keys.items() if draw(st.booleans())}
        found.append(line)
    return found


def write(folder: Path, contents: list[list[dict]]) -> None:
    for cell, content in zip(CELLS, contents, strict=True):
        (folder / "cells" / cell["cell"]).mkdir(parents=True, exist_ok=True)
        file = folder / "cells" / cell["cell"] / "evaluations.jsonl"
        file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in content))


def is_missing(value):
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def said_of(table):
    """What a frame says in each row, without what is missing."""
    return [
        {name: value for name, value in row.items() if not is_missing(value)}
        for row in table.to_dict("records")
    ]


@pytest.mark.slow
@given(st.tuples(*(lines(cell) for cell in CELLS)))
def test_a_frame_says_what_the_lines_say(tmp_path_factory, contents):
    folder = tmp_path_factory.getbasetemp() / "any"
    write(folder, contents)
    table, counts = read_evaluations(folder, CELLS, [])
    assert counts == [len(content) for content in contents]
    assert said_of(table) == [
        {name: value for name, value in line.items() if value is not None}
        for content in contents
        for line in content
    ]
    assert table["seed"].dtype == table["evaluation"].dtype == int
    assert table["validation_loss"].dtype == table["seconds"].dtype == float
    assert table["full"].dtype == bool


def test_ordinary_lines_take_the_quick_way(tmp_path, monkeypatch):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    points = [Point(float(n), 0.5, None) for n in range(5)]
    parts = {"train": 0.5, "search": 0.25}
    cell = write_cell(tmp_path, "digits", "fds", 0, points, accuracy=None, parts=parts)
    with open(cell / "evaluations.jsonl", "a") as file:  # some of its parts, and an error
        line = json.loads((cell / "evaluations.jsonl").read_text().splitlines()[-1])
        line |= {"evaluation": 5, "parts": {"train": 1.0}, "error": "it raised", "steps": 900}
        file.write(json.dumps(line) + "\n")
    monkeypatch.setattr(module, "read_lines", None)  # the careful way would fail
    names = {"cell": cell.name, "task": "digits", "searcher": "fds", "seed": 0}
    table, _ = read_evaluations(tmp_path, [names], [])
    assert table["parts"].tolist() == [parts] * 5 + [{"train": 1.0}]
    assert table["error"].dropna().tolist() == ["it raised"]
    assert table["validation_accuracy"].isna().all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": NaN}', "line 2 is damaged"),
        (b"", "line 2 is damaged"),
        (b"\x00\x00\x00", "line 2 is damaged"),
        (b"WHOLE WHOLE", "line 2 is damaged"),  # two on one line
        (b'WHOLE "hyperparameters": {', "line 2 is damaged"),
        (b"WITHOUT validation_accuracy", "line 2 lacks 'validation_accuracy'"),
        (b"WITHOUT hyperparameters", "line 2 lacks 'hyperparameters'"),
        (b'WITH "hyperparameters": [1]', r"line 2: 'hyperparameters' is \[1\]"),
        (b'WITH "seconds": Infinity', "line 2 is damaged"),
        (b'WITH "notes": {"a": NaN}', "line 2 is damaged"),
        (b'WITH "validation_loss": true', "line 2: 'validation_loss' is True"),
        (b'WITH "evaluation": 1.0', "line 2: 'evaluation' is 1.0"),
        (b'WITH "slot": "first"', "line 2: 'slot' is 'first'"),
        (b'WITH "schema": 3', "schema 3, and this version reads 1"),
        (b'WITH "evaluation": 0', "evaluation 0 is there twice"),
        (b'WITH "steps": 0', "at evaluation 1 the steps go back"),
    ],
)
def test_a_line_that_is_not_right_is_named(tmp_path, line, message):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    cell = write_cell(tmp_path, "digits", "fds", 0, [Point(n, 0.5, None) for n in (1, 2, 3)])
    file = cell / "evaluations.jsonl"
    whole = file.read_bytes().splitlines()
    word, _, rest = line.partition(b" ")
    if word == b"WHOLE":
        line = whole[1] + (whole[1] if rest == b"WHOLE" else rest)
    elif word == b"WITHOUT":
        left = {k: v for k, v in json.loads(whole[1]).items() if k != rest.decode()}
        line = json.dumps(left).encode()
    elif word == b"WITH":
        line = json.dumps(json.loads(whole[1]) | json.loads(b"{%s}" % rest)).encode()
    file.write_bytes(b"\n".join([whole[0], line, whole[2], b""]))
    names = {"cell": cell.name, "task": "digits", "searcher": "fds", "seed": 0}
    with pytest.raises(RunError, match=message) as caught:
        read_evaluations(tmp_path, [names], [])
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
