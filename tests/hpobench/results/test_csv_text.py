"""What pandas reads from the text is what was in the frame."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.pandas import column, data_frames, range_indexes

from hpobench.results.csv_text import csv_of

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=4)
words = words | st.sampled_from(["a,b", '"', "two\nlines", " edges "])


@pytest.mark.slow
@given(
    data_frames(
        [
            column("text", elements=words, dtype=object),
            column("loss", elements=st.floats(allow_infinity=False)),
            column("count", elements=st.integers(-(2**53), 2**53)),
        ],
        index=range_indexes(min_size=1),
    )
)
def test_pandas_reads_what_was_written(table):
    read = pd.read_csv(
        io.BytesIO(csv_of(table)),
        keep_default_na=False,
        na_values={"loss": [""]},
        dtype={"text": object},
        float_precision="round_trip",  # some versions of pandas round unless told
    )
    assert read.columns.tolist() == table.columns.tolist()
    assert read["text"].tolist() == table["text"].tolist()
    assert read["count"].tolist() == table["count"].tolist()
    np.testing.assert_array_equal(read["loss"], table["loss"])


def test_quotes_are_only_where_they_have_to_be_and_missing_is_empty():
    table = pd.DataFrame(
        {"who": ["fds", None], "n": pd.array([1, None], "Int64"), "x": [0.1, None]}
    )
    assert csv_of(table) == b"who,n,x\nfds,1,0.1\n,,\n"
    table.loc[0, "who"] = "a, b"
    assert csv_of(table) == b'who,n,x\n"a, b",1,0.1\n,,\n'
