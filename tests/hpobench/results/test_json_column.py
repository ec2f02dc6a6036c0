"""A column of JSON objects behaves as the list of them does."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.results.json_column import JsonColumn, as_json, as_text

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
shapes = st.fixed_dictionaries(
    {"rate": st.floats(allow_nan=False, allow_infinity=False), "batch": st.integers(-9, 9)},
    optional={"kind": texts, "warm": st.booleans(), 'a "b" é': st.lists(st.floats(0, 1))},
) | st.fixed_dictionaries({}, optional={"kind": texts, "rate": st.floats(0, 1)})


@st.composite
def columns(draw):
    """A column in pieces of both sorts and of missing values, and the list of its values."""
    arrays, values = [], []
    for _ in range(draw(st.integers(0, 4))):
        sort = draw(st.sampled_from(["struct", "text", "missing"]))
        if sort == "missing":
            piece = [None] * draw(st.integers(0, 3))
            arrays.append(len(piece))
        elif sort == "struct":
            piece = draw(st.lists(shapes, min_size=1, max_size=4))
            arrays.append(pa.array(piece))
        else:
            piece = draw(st.lists(anything, max_size=4))
            arrays.append(as_json(piece))
        values += piece
    return JsonColumn.joined(arrays), values


def same(found, values):
    """Equal, and of the same types: 1 is not 1.0 and not True."""
    return json.dumps(found, sort_keys=True) == json.dumps(values, sort_keys=True)


@given(columns())
def test_values_are_those_that_were_put_in(column):
    objects, values = column
    assert len(objects) == len(values)
    assert same(list(objects), values)
    assert same([objects[i] for i in range(-len(values), len(values))], values * 2)
    assert objects.isna().tolist() == [value is None for value in values]
    assert same(pd.Series(objects).tolist(), values)
    assert same(list(np.asarray(objects)), values)


@given(columns())
def test_texts_are_read_as_the_values(column):
    objects, values = column
    found = objects.texts().to_pylist()
    assert same([None if text is None else json.loads(text) for text in found], values)


@pytest.mark.slow
@given(columns(), columns(), st.data())
def test_rows_are_chosen_and_joined_as_in_a_list(first, second, data):
    (one, left), (other, right) = first, second
    both, values = pd.concat([pd.Series(one), pd.Series(other)]), left + right
    assert isinstance(both.array, JsonColumn)
    assert same(both.tolist(), values)
    order = data.draw(st.permutations(range(len(values))), label="order")
    chosen = both.iloc[list(order)]
    assert same(chosen.tolist(), [values[i] for i in order])
    assert same([t and json.loads(t) for t in chosen.array.texts().to_pylist()], chosen.tolist())
    mask = [i % 2 == 0 for i in range(len(values))]
    assert same(both[mask].tolist(), values[::2])
    assert same(both.array.take([-1, *order], allow_fill=True).tolist()[:1], [None])


def test_a_frame_with_objects_can_be_worked_with():
    values = [{"a": 1.0}, {"b": [1, None]}, None]
    table = pd.DataFrame({"n": [0, 1, 2], "h": JsonColumn._from_sequence(values)})
    assert [row["h"] for row in table.to_dict("records")] == values
    assert table.iloc[1]["h"] == values[1]
    assert [row["h"] for _, row in table.iterrows()] == values
    assert table.sort_values("n", ascending=False)["h"].tolist() == values[::-1]
    assert table.query("n == 1")["h"].tolist() == [values[1]]
    merged = table.merge(pd.DataFrame({"n": [2, 1, 5]}), on="n", how="right")
    assert merged["h"].tolist() == [None, values[1], None]
    assert table["h"].map(lambda h: h and len(h)).tolist()[:2] == [1, 1]
    pd.testing.assert_frame_equal(table, table.copy())
    with pytest.raises(AssertionError):
        pd.testing.assert_frame_equal(table, table.assign(h=table["h"].iloc[::-1].array))
    assert "{'a': 1.0}" in str(table)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none()))
def test_floats_are_read_as_the_same_floats(values):
    found = as_text(pa.array(values, pa.float64())).to_pylist()
    read = [None if text is None else json.loads(text) for text in found]
    assert [repr(value) for value in read] == [repr(value) for value in values]
