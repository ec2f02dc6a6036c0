"""A frame as a Parquet file, written in parts, so that it is never whole in memory twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from hpobench.results.json_column import JSON, JsonColumn
from hpobench.results.json_files import replacing

ROWS = 1 << 16  # of one part
_TEXT = pa.large_string()

Keys = Mapping[str, Mapping[str, pa.DataType]]
"""Of each column of JSON objects, its keys and their types."""


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame. RunError if the disk refuses.

    A column of JSON objects becomes a column for each of their keys, as in
    "hyperparameters.momentum", which is empty where an object does not have it. JSON values of no
    common type are text.
    """
    schema, parts = parts_of(frame)
    with (
        replacing(path) as file,
        pyarrow.parquet.ParquetWriter(file, schema, use_dictionary=False) as writer,
    ):
        for part in parts:
            writer.write_table(part)


def parts_of(frame: pd.DataFrame) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """What is written of a frame: its columns, and its rows, some at a time."""
    keys = _keys(frame)
    schema = _schema(frame, keys)
    starts = range(0, len(frame), ROWS)
    return schema, (_part(frame.iloc[start : start + ROWS], keys, schema) for start in starts)


def _keys(frame: pd.DataFrame) -> Keys:
    """Of the columns that hold nothing but objects, unless a name would be there twice."""
    taken = set(frame.columns)
    keys_of: dict[str, dict[str, pa.DataType]] = {}
    for name, column in frame.items():
        keys = column.array.keys() if isinstance(column.array, JsonColumn) else None
        names = {f"{name}.{key}" for key in keys or ()}
        if keys is not None and taken.isdisjoint(names):
            keys_of[str(name)] = keys
            taken |= names
    return keys_of


def _schema(frame: pd.DataFrame, keys: Keys) -> pa.Schema:
    fields: list[tuple[str, pa.DataType]] = []
    for name in map(str, frame.columns):
        if name in keys:
            inside = keys[name].items()
            fields += [(f"{name}.{key}", _TEXT if kind == JSON else kind) for key, kind in inside]
        else:
            fields.append((name, _type(frame[name])))
    return pa.schema(fields)


def _part(frame: pd.DataFrame, keys: Keys, schema: pa.Schema) -> pa.Table:
    arrays: list[pa.Array] = []
    for name in map(str, frame.columns):
        column = frame[name].array
        if name in keys:
            arrays += column.fields(keys[name])
        else:
            arrays.append(
                column.texts()
                if isinstance(column, JsonColumn)
                else pa.array(column, from_pandas=True)
            )
    return pa.table(
        [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema
    )


def _type(column: pd.Series) -> pa.DataType:
    if isinstance(column.array, JsonColumn):
        return _TEXT
    return (
        pa.array(column.dropna()[:1]).type if column.dtype == object else pa.array(column[:0]).type
    )
