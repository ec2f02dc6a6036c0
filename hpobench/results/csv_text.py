"""A frame as CSV text; Arrow writes it, several times as quickly as pandas."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.csv


def csv_of(table: pd.DataFrame) -> bytes:
    """Comma-separated values under a line of names; what is missing is empty.

    The texts in the rows are in quotes if one of them could not do without. Names, never.
    """
    columns = pa.Table.from_pandas(table, preserve_index=False)
    try:
        return _written(columns, "none")
    except pa.ArrowInvalid:  # a comma, a quote or a line's end in a text
        return _written(columns, "needed")


def _written(columns: pa.Table, quoting: str) -> bytes:
    sink = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style=quoting)
    pyarrow.csv.write_csv(columns, sink, options)
    return f"{','.join(columns.column_names)}\n".encode() + bytes(sink.getvalue())
