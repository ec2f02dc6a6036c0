"""A frame as a Parquet file, written in parts, so that it is never whole in memory twice."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from hpobench.results.objects import Objects
from hpobench.results.records import replacing

ROWS = 1 << 16  # of one part


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame, its columns of JSON objects as text. RunError if the disk refuses."""
    schema = pa.schema({str(name): _type(frame[name]) for name in frame.columns})
    few = [field.name for field in schema if pa.types.is_string(field.type)]
    with (
        replacing(path) as file,
        pyarrow.parquet.ParquetWriter(file, schema, use_dictionary=few) as writer,
    ):
        for start in range(0, len(frame), ROWS):
            writer.write_table(_part(frame.iloc[start : start + ROWS], schema))


def _part(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    columns = (frame[field.name].array for field in schema)
    return pa.table(
        [
            column.texts() if isinstance(column, Objects) else pa.array(column, field.type)
            for column, field in zip(columns, schema, strict=True)
        ],
        schema=schema,
    )


def _type(column: pd.Series) -> pa.DataType:
    if isinstance(column.array, Objects):
        return pa.large_string()
    return (
        pa.array(column.dropna()[:1]).type if column.dtype == object else pa.array(column[:0]).type
    )
