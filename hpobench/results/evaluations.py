"""The evaluations of a run as one frame: Arrow parses each cell's file into columns.

A file that Arrow cannot take exactly as it is, or that does not hold what it has to, is read again
line by line, which says what is wrong with it and where.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.json
from numpy.typing import NDArray

from hpobench.errors import RunError
from hpobench.results.json_column import JsonColumn, common, plain
from hpobench.results.json_files import Record, read_bytes, read_lines, torn_note
from hpobench.results.schema import (
    CLOCKS,
    EVALUATION,
    NAMES,
    OPTIONAL,
    SCHEMA,
    check,
    check_schema,
)

Arrays: TypeAlias = dict[str, pa.Array]

_ARROW = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}
_KNOWN = {
    name: _ARROW[kind]
    for name, kind in {"schema": int, **NAMES, **EVALUATION, **OPTIONAL}.items()
    if kind is not dict
}
_NULLABLE = [name for name, kind in EVALUATION.items() if kind is float and name not in CLOCKS]
_MOST_THREADS = 8
_LONGEST = 2.0**53  # from here on, a float may stand for several integers
_BLOCK = 1 << 26  # bytes that Arrow parses at once


class CellEvaluations(NamedTuple):
    """One cell's evaluations as columns; ``torn`` if the file's last line was cut off."""

    columns: Arrays
    rows: int
    torn: bool


def read_evaluations(
    path: Path, cells: Sequence[Record], notes: list[str]
) -> tuple[pd.DataFrame, list[int]]:
    """A row for each evaluation of the cells, unknown keys kept, and how many each cell has.

    Args:
        path: the run's folder.
        cells: the planned cells; one that has not begun has no evaluations.
        notes: what is found amiss is added to it.

    Returns:
        The evaluations in order of arrival, and the counts in order of the cells.

    Raises:
        RunError: by file and line, if one is damaged.
    """
    files = [path / "cells" / cell["cell"] / "evaluations.jsonl" for cell in cells]
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
        read = list(pool.map(read_cell_evaluations, files))
    notes += [torn_note(file) for file, cell in zip(files, read, strict=True) if cell.torn]
    counts = [cell.rows for cell in read]
    return _frame(cells, [cell.columns for cell in read], counts), counts


def read_cell_evaluations(file: Path) -> CellEvaluations:
    """The evaluations in a cell's file; none if there is no such file."""
    if not file.exists():
        return CellEvaluations({}, 0, torn=False)
    content = read_bytes(file)
    batch = _parsed(content)
    if batch is None or not _is_as_it_should(batch, content):
        return _read_by_line(file)
    return CellEvaluations(_columns(batch), batch.num_rows, torn=False)


def _parsed(content: bytes) -> pa.RecordBatch | None:
    """One row a line; None if Arrow finds anything else."""
    if not content.endswith(b"\n"):
        return None
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(content),
            pyarrow.json.ReadOptions(use_threads=False, block_size=min(len(content), _BLOCK)),
            pyarrow.json.ParseOptions(explicit_schema=pa.schema(_KNOWN)),
        )
    except pa.ArrowInvalid:
        return None
    lines = np.count_nonzero(np.frombuffer(content, np.uint8) == ord("\n"))
    return table.combine_chunks().to_batches()[0] if 0 < table.num_rows == lines else None


def _columns(batch: pa.RecordBatch) -> Arrays:
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def _is_as_it_should(batch: pa.RecordBatch, content: bytes) -> bool:
    """Whether Arrow's columns are what the lines say, and that is what they have to say."""
    arrays = _columns(batch)
    if not pa.types.is_struct(arrays.get("hyperparameters", pa.nulls(0)).type):
        return False
    empty = {name for name, array in arrays.items() if array.null_count}
    if any(name in empty and name not in _NULLABLE for name in ("schema", *EVALUATION)):
        return False
    if any(
        content.count(b'"%s"' % name.encode()) < batch.num_rows for name in empty & {*_NULLABLE}
    ):
        return False
    known = [array for name, array in arrays.items() if name in _KNOWN]
    unknown = [array for name, array in arrays.items() if name not in _KNOWN]
    if not (_are_finite(known) and _are_exact(unknown)):
        return False
    if any(map(_has_empty_fields, arrays.values())):  # keys that are not there, or null?
        explained = sum(content.count(b'"%s": null' % name.encode()) for name in empty)
        if content.count(b"null") != explained:
            return False
    return bool((arrays["schema"].to_numpy() == SCHEMA).all()) and _in_order(
        {name: arrays[name].to_numpy() for name in ("evaluation", *CLOCKS)}
    )


def _in_order(columns: Mapping[str, NDArray[Any]]) -> bool:
    clocks = all(bool(np.all(np.diff(columns[clock]) >= 0)) for clock in CLOCKS)
    return clocks and bool(np.all(np.diff(columns["evaluation"]) > 0))


def _are_finite(arrays: Sequence[pa.Array]) -> bool:
    """Whether they have neither NaN nor infinity: Arrow takes them, and JSON does not have them."""
    return bool(np.isfinite(_floats(arrays)).all())


def _are_exact(arrays: Sequence[pa.Array]) -> bool:
    """Whether Arrow took them as they were: no text for a time, no long integer for a float.

    NaN and infinity, which JSON does not have, are not below the limit either. Lists with a null
    in them can come out of Arrow with offsets that do not fit.
    """
    if not arrays:
        return True
    if any(
        pa.types.is_temporal(a.type) or (pa.types.is_list(a.type) and not _is_valid(a))
        for a in arrays
    ):
        return False
    small = bool((np.abs(_floats(arrays)) < _LONGEST).all())
    return small and _are_exact([inner for array in arrays for inner in _inside(array)])


def _floats(arrays: Sequence[pa.Array]) -> NDArray[np.float64]:
    """All floating-point numbers in them, one after the other."""
    floating = [array.drop_null() for array in arrays if pa.types.is_floating(array.type)]
    return np.concatenate([np.empty(0), *(array.to_numpy() for array in floating)])


def _is_valid(array: pa.Array) -> bool:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _has_empty_fields(array: pa.Array) -> bool:
    return any(
        inner.null_count > array.null_count or _has_empty_fields(inner) for inner in _inside(array)
    )


def _inside(array: pa.Array) -> list[pa.Array]:
    if pa.types.is_struct(array.type):
        return list(array.flatten())
    return [array.flatten()] if pa.types.is_list(array.type) else []


def _read_by_line(file: Path) -> CellEvaluations:
    records, torn = read_lines(file)
    for number, record in enumerate(records, start=1):
        place = f"{file}, line {number}"
        check(record, EVALUATION, place)
        check_schema(record, str(file))
        check(record, {n: k for n, k in OPTIONAL.items() if record.get(n) is not None}, place)
    records.sort(key=lambda record: record["evaluation"])
    _check_order(records, file)
    names = dict.fromkeys([*_KNOWN, *(name for record in records for name in record)])
    columns = {name: _array(name, [record.get(name) for record in records]) for name in names}
    return CellEvaluations(columns, len(records), torn)


def _check_order(evaluations: Sequence[Record], file: Path) -> None:
    """Each evaluation once, and no clock goes back."""
    advice = "delete the cell's folder and resume the run"
    for before, after in itertools.pairwise(evaluations):
        number = after["evaluation"]
        if before["evaluation"] == number:
            raise RunError(f"{file}: evaluation {number} is there twice; {advice}")
        for clock in CLOCKS:
            if after[clock] < before[clock]:
                raise RunError(f"{file}: at evaluation {number} the {clock} go back; {advice}")


def _array(name: str, values: Sequence[Any]) -> pa.Array:
    return pa.array(values, _KNOWN[name]) if name in _KNOWN else plain(values)


def _frame(
    cells: Sequence[Record], columns: Sequence[Arrays], counts: Sequence[int]
) -> pd.DataFrame:
    """The cells' columns one after the other: names, known columns, then any others.

    Takes them out of ``columns`` on the way, so that they are not held twice.
    """
    unknown = dict.fromkeys(name for arrays in columns for name in arrays)
    frame: dict[str, Any] = {}
    place = pa.array(np.repeat(np.arange(len(cells)), counts))
    for name, kind in NAMES.items():
        values = pa.array([cell[name] for cell in cells], _ARROW[kind])
        frame[name] = values.take(place).to_pandas()
    for name in dict.fromkeys([*EVALUATION, *OPTIONAL, *unknown]):
        if name in NAMES:
            for arrays in columns:
                arrays.pop(name, None)
        else:
            pieces = [arrays.pop(name, n) for arrays, n in zip(columns, counts, strict=True)]
            frame[name] = _column(name, [p for p in pieces if not isinstance(p, int) or p])
    return pd.DataFrame(frame, copy=False)


def _column(name: str, pieces: Sequence[pa.Array | int]) -> Any:
    """One column; a number stands for so many missing values."""
    if name == "hyperparameters":
        return JsonColumn.joined(pieces)
    pieces = [len(p) if not isinstance(p, int) and p.type == pa.null() else p for p in pieces]
    kind = _KNOWN.get(name) or common({p.type for p in pieces if not isinstance(p, int)})
    if kind is None:
        return JsonColumn.joined(pieces)
    whole = pa.chunked_array(list(_cast(pieces, kind)), kind)
    if name == "slot":
        empty = whole.is_null().to_numpy()
        return pd.arrays.IntegerArray(whole.fill_null(0).to_numpy(), empty)
    return whole.to_pandas()


def _cast(pieces: Sequence[pa.Array | int], kind: pa.DataType) -> Iterator[pa.Array]:
    for piece in pieces:
        yield pa.nulls(piece, kind) if isinstance(piece, int) else piece.cast(kind, safe=False)
