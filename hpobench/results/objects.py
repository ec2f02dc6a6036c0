"""A column of JSON objects, kept in Arrow and made into Python values only where looked at.

A million configurations are 80 MB as Arrow structs and a gigabyte as dicts. Each file keeps its
own struct, so that a row has the keys of its own task and no others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take

JSON = pa.json_()
"""Arrow's type of values that no struct holds as they are (a null inside, mixed types): text."""


class ObjectsDtype(ExtensionDtype):
    """The type of a column of JSON values."""

    name = "json"
    type: ClassVar[Any] = object
    na_value = None

    def __repr__(self) -> str:
        return self.name

    @classmethod
    def construct_array_type(cls) -> type[Objects]:
        return Objects


class Objects(ExtensionArray):
    """JSON values in pieces: value i is ``pieces[piece[i]][row[i]]``, or missing if piece[i] < 0.

    ``pieces``: Arrow arrays of structs, lists or scalars, or of JSON text (type ``JSON``). In a
    struct, a null is a key that the object does not have. Immutable.
    """

    def __init__(self, pieces: Sequence[pa.Array], piece: NDArray[Any], row: NDArray[Any]):
        self._pieces, self._piece, self._row = tuple(pieces), piece, row

    @classmethod
    def joined(cls, arrays: Sequence[pa.Array | int]) -> Objects:
        """Arrays one after the other; a number stands for so many missing values."""
        lengths = [array if isinstance(array, int) else len(array) for array in arrays]
        missing = [isinstance(array, int) for array in arrays]
        number = np.where(missing, -1, np.cumsum(~np.array(missing, bool)) - 1)
        rows = [np.arange(length, dtype=np.int32) for length in lengths]
        return cls(
            [array for array in arrays if not isinstance(array, int)],
            np.repeat(number.astype(np.int32), lengths),
            np.concatenate(rows) if rows else np.empty(0, np.int32),
        )

    @property
    def dtype(self) -> ObjectsDtype:
        return ObjectsDtype()

    @property
    def nbytes(self) -> int:
        arrays = sum(array.nbytes for array in self._pieces)
        return int(arrays + self._piece.nbytes + self._row.nbytes)

    def __len__(self) -> int:
        return len(self._piece)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, (int, np.integer)):
            return self._value(self._piece[item], self._row[item])
        item = pd.api.indexers.check_array_indexer(self, item)
        return Objects(self._pieces, self._piece[item], self._row[item])

    def __iter__(self) -> Iterator[Any]:
        return map(self._value, self._piece, self._row)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        values = np.empty(len(self), dtype=object)
        values[:] = list(self)
        return values

    def isna(self) -> NDArray[np.bool_]:
        if not any(array.null_count for array in self._pieces):
            return np.asarray(self._piece < 0)
        return np.array([value is None for value in self], bool)

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> Objects:
        piece = take(self._piece, np.asarray(indices), allow_fill=allow_fill, fill_value=-1)
        row = take(self._row, np.asarray(indices), allow_fill=allow_fill, fill_value=0)
        return Objects(self._pieces, np.asarray(piece), np.asarray(row))

    def copy(self) -> Objects:
        return Objects(self._pieces, self._piece.copy(), self._row.copy())

    def texts(self) -> pa.Array:
        """The values as JSON text, null where missing."""
        order = np.argsort(self._piece, kind="stable")
        ends = np.searchsorted(self._piece[order], np.arange(-1, len(self._pieces)), side="right")
        parts = [
            array.take(pa.array(self._row[order[begin:end]]))
            for array, begin, end in zip(self._pieces, ends[:-1], ends[1:], strict=True)
            if end > begin
        ]
        text = pa.concat_arrays([pa.nulls(int(ends[0]), pa.string()), *_as_texts(parts)])
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return text.take(pa.array(back))

    @classmethod
    def _from_sequence(
        cls, scalars: Iterable[Any], *, dtype: Any = None, copy: bool = False
    ) -> Objects:
        return cls.joined([as_json(list(scalars))])

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Objects]) -> Objects:
        pieces: list[pa.Array] = []
        number = []
        for objects in to_concat:
            number.append(np.where(objects._piece < 0, -1, objects._piece + len(pieces)))
            pieces += objects._pieces
        return cls(pieces, np.concatenate(number), np.concatenate([o._row for o in to_concat]))

    def _formatter(self, boxed: bool = False) -> Callable[[Any], str | None]:
        return str

    def _value(self, piece: int, row: int) -> Any:
        if piece < 0:
            return None
        array = self._pieces[piece]
        value = array[int(row)].as_py()
        if array.type == JSON:
            return None if value is None else json.loads(value)
        return _without_nulls(value)


def as_json(values: Sequence[Any]) -> pa.Array:
    """Python values as an array of JSON text; None is missing."""
    texts = [None if value is None else _dumps(value) for value in values]
    return pa.ExtensionArray.from_storage(JSON, pa.array(texts, pa.string()))


def _as_texts(arrays: Sequence[pa.Array]) -> list[pa.Array]:
    """Each as JSON text; those of one type are done at once."""
    texts = list(arrays)
    for kind in dict.fromkeys(array.type for array in arrays):
        places = [place for place, array in enumerate(arrays) if array.type == kind]
        joined = as_text(pa.concat_arrays([arrays[place] for place in places]))
        begin = 0
        for place in places:
            texts[place] = joined.slice(begin, len(arrays[place]))
            begin += len(arrays[place])
    return texts


def as_text(array: pa.Array) -> pa.Array:
    """Arrow values as JSON text, null where null; a key whose value is null is left out."""
    kind = array.type
    if kind == JSON:
        return array.storage
    if pa.types.is_struct(kind):
        return _struct_text(array)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return pc.cast(array, pa.string())
    if pa.types.is_floating(kind):
        return _float_text(array)
    return as_json([_without_nulls(value) for value in array.to_pylist()]).storage


def _struct_text(array: pa.Array) -> pa.Array:
    names = [json.dumps(field.name, ensure_ascii=False) for field in array.type]
    values = [as_text(field) for field in array.flatten()]
    if not names:
        text = pa.array(["{}"] * len(array), pa.string())
    elif not any(value.null_count for value in values):
        between = ["{", *[", "] * (len(names) - 1)]
        parts: list[Any] = []
        for start, name, value in zip(between, names, values, strict=True):
            parts += [f"{start}{name}: ", value]
        text = pc.binary_join_element_wise(*parts, "}", "")
    else:
        pairs = [
            pc.binary_join_element_wise(f"{name}: ", value, "")
            for name, value in zip(names, values, strict=True)
        ]
        inside = pc.binary_join_element_wise(*pairs, ", ", null_handling="skip")
        text = pc.binary_join_element_wise("{", inside, "}", "")
    return pc.if_else(array.is_valid(), text, None) if array.null_count else text


def _float_text(array: pa.Array) -> pa.Array:
    """Each as the shortest text that is read as the same number, with a point where it is whole."""
    text = pc.cast(array, pa.string())
    if not pc.any(pc.equal(array, pc.floor(array))).as_py():
        return text
    whole = pc.match_substring_regex(text, r"^-?\d+$")
    return pc.if_else(whole, pc.binary_join_element_wise(text, ".0", ""), text)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
