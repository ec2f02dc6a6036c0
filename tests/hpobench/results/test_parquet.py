"""A Parquet file says what the frame says, with a column for each key of its objects."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.results import parquet as module
from hpobench.results.json_column import JSON, JsonColumn, as_json
from hpobench.results.parquet import write_parquet
from tests.hpobench.results.test_json_column import anything, shapes

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
objects = st.dictionaries(names, anything, max_size=3)


@st.composite
def columns_of_objects(draw):
    """Pieces as files give them, structs and text, and the list of the values."""
    arrays, values = [], []
    for _ in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            piece = draw(st.lists(shapes, min_size=1))
            arrays.append(pa.array(piece))
        else:
            piece = draw(st.lists(st.none() | objects))
            arrays.append(as_json(piece))
        values += piece
    return JsonColumn.joined(arrays), values


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS", 3)
        yield


@pytest.mark.slow
@given(columns_of_objects())
def test_each_key_has_a_column(tmp_path_factory, column):
    column, values = column
    file = tmp_path_factory.getbasetemp() / "keys.parquet"
    write_parquet(file, pd.DataFrame({"n": range(len(values)), "h": column}))
    table = pyarrow.parquet.read_table(file)
    keys = column.keys()
    assert table["n"].to_pylist() == list(range(len(values)))
    assert table.column_names == ["n", *(f"h.{key}" for key in keys)]
    read = {
        key: [
            json.loads(cell) if kind == JSON and cell is not None else cell
            for cell in table[f"h.{key}"].to_pylist()
        ]
        for key, kind in keys.items()
    }
    for row, value in enumerate(values):
        found = {key: cells[row] for key, cells in read.items() if cells[row] is not None}
        said = {key: inner for key, inner in (value or {}).items() if inner is not None}
        assert found == {key: said_as(keys[key], inner) for key, inner in said.items()}


def said_as(kind, value):
    return float(value) if kind == pa.float64() else value


def test_one_kind_keeps_its_type_and_mixed_kinds_are_text(tmp_path):
    first = {"rate": 0.5, "batch": 8, "rule": "sgd", "any": 1}
    values = [first, {"rate": 1, "batch": 9, "any": "x"}]
    table = pd.DataFrame({"h": JsonColumn._from_sequence(values)})
    write_parquet(tmp_path / "t.parquet", table)
    read = pd.read_parquet(tmp_path / "t.parquet")
    assert read["h.batch"].tolist() == [8, 9]
    assert read["h.batch"].dtype == int
    assert read["h.rate"].tolist() == [0.5, 1.0]
    assert read["h.any"].tolist() == ["1", '"x"']
    assert read["h.rule"][0] == "sgd"
    assert pd.isna(read["h.rule"][1])


def test_whole_numbers_in_one_file_and_floats_in_another_are_floats(tmp_path):
    column = JsonColumn.joined([pa.array([{"rate": 1}]), 2, pa.array([{"rate": 0.5}])])
    write_parquet(tmp_path / "t.parquet", pd.DataFrame({"h": column}))
    read = pd.read_parquet(tmp_path / "t.parquet")["h.rate"]
    assert read.dropna().tolist() == [1.0, 0.5]
    assert read.isna().tolist() == [False, True, True, False]


@pytest.mark.parametrize("values", [[[1, 2], {"a": 1}], [{"a": 1}, 3], [None, "x"]])
def test_what_is_no_object_is_text(tmp_path, values):
    table = pd.DataFrame({"h": JsonColumn._from_sequence(values)})
    write_parquet(tmp_path / "t.parquet", table)
    read = pd.read_parquet(tmp_path / "t.parquet")["h"]
    assert [None if pd.isna(text) else json.loads(text) for text in read] == values


def test_a_name_that_is_taken_stays_whose_it_is(tmp_path):
    table = pd.DataFrame({"h": JsonColumn._from_sequence([{"a": 1}]), "h.a": ["mine"]})
    write_parquet(tmp_path / "t.parquet", table)
    read = pd.read_parquet(tmp_path / "t.parquet")
    assert read["h.a"].tolist() == ["mine"]
    assert read["h"].tolist() == ['{"a": 1}']
