"""A column of JSON objects, kept in Arrow and made into Python values only where looked at.

Why not simply dicts, or JSON text? A million configurations of nine values are 72 MB as Arrow
parses them, 560 MB as dicts and 320 MB as text. Text costs another 2.4 s to write and 3 s to read
again for the tables' columns; a report of a million evaluations has 10 s and 1.5 GB for everything.
Each task keeps its own kind of struct, so that a row has the keys of its own task and no others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take

JSON = pa.json_()
"""Arrow's type of values that no struct holds as they are (a null inside, mixed types): text."""

_PLAIN = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}


class ObjectsDtype(ExtensionDtype):
    """The type of a column of JSON values."""

    name = "json"
    type: ClassVar[Any] = object
    na_value = None

    def __repr__(self) -> str:
        return self.name

    @classmethod
    def construct_array_type(cls) -> type[JsonColumn]:
        return JsonColumn


class JsonColumn(ExtensionArray):
    """JSON values in pieces: value i is ``pieces[piece[i]][row[i]]``, or missing if piece[i] < 0.

    ``pieces``: Arrow arrays of structs, lists or scalars, or of JSON text (type ``JSON``). In a
    struct, a null is a key that the object does not have. Immutable.
    """

    def __init__(self, pieces: Sequence[pa.Array], piece: NDArray[Any], row: NDArray[Any]):
        self._pieces, self._piece, self._row = tuple(pieces), piece, row

    @classmethod
    def joined(cls, arrays: Sequence[pa.Array | int]) -> JsonColumn:
        """Arrays one after the other; a number stands for so many missing values."""
        kinds = {array.type: None for array in arrays if not isinstance(array, int)}
        alike = [[a for a in arrays if not isinstance(a, int) and a.type == k] for k in kinds]
        number = {kind: place for place, kind in enumerate(kinds)}
        filled = [0] * len(kinds)
        piece, row = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
        for array in arrays:
            length = array if isinstance(array, int) else len(array)
            place = -1 if isinstance(array, int) else number[array.type]
            begin = 0 if isinstance(array, int) else filled[place]
            piece.append(np.full(length, place, np.int32))
            row.append(np.arange(begin, begin + length, dtype=np.int32))
            if place >= 0:
                filled[place] += length
        whole = [pa.concat_arrays(parts) for parts in alike]
        return cls(whole, np.concatenate(piece), np.concatenate(row))

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
        return JsonColumn(self._pieces, self._piece[item], self._row[item])

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

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> JsonColumn:
        piece = take(self._piece, np.asarray(indices), allow_fill=allow_fill, fill_value=-1)
        row = take(self._row, np.asarray(indices), allow_fill=allow_fill, fill_value=0)
        return JsonColumn(self._pieces, np.asarray(piece), np.asarray(row))

    def copy(self) -> JsonColumn:
        return JsonColumn(self._pieces, self._piece.copy(), self._row.copy())

    def texts(self) -> pa.Array:
        """The values as JSON text, null where missing."""
        parts, back = self._by_piece()
        missing = pa.nulls(len(self) - sum(map(len, parts)), pa.string())
        return _in_order(pa.concat_arrays([missing, *map(as_text, parts)]), back)

    def keys(self) -> dict[str, pa.DataType] | None:
        """Arrow's type of each key's values, `JSON` where they have none in common.

        None if some value is no object: then they have no keys.
        """
        kinds_of: dict[str, set[pa.DataType]] = {}
        for array in self._pieces:
            fields = _fields(array)
            if fields is None:
                return None
            for name, values in fields.items():
                kinds_of.setdefault(name, set()).add(values.type)
        return {name: common(kinds - {pa.null()}) or JSON for name, kinds in kinds_of.items()}

    def fields(self, keys: Mapping[str, pa.DataType]) -> list[pa.Array]:
        """For each key, with a type from `keys`, its values; null where an object lacks it.

        Those of type `JSON` are text.
        """
        parts, back = self._by_piece()
        missing = len(self) - sum(map(len, parts))
        columns = [_fields(part) or {} for part in parts]
        of_keys = []
        for name, kind in keys.items():
            storage = pa.string() if kind == JSON else kind
            if not any(name in column for column in columns):
                of_keys.append(pa.nulls(len(self), storage))
                continue
            values = [
                _as(kind, column[name]) if name in column else pa.nulls(len(part), storage)
                for column, part in zip(columns, parts, strict=True)
            ]
            whole = pa.concat_arrays([pa.nulls(missing, storage), *values])
            of_keys.append(_in_order(whole, back))
        return of_keys

    def _by_piece(self) -> tuple[list[pa.Array], NDArray[np.int64]]:
        """The values that are there, piece by piece, and where each is in that order.

        The missing ones come before all others.
        """
        order = np.argsort(self._piece, kind="stable")
        ends = np.searchsorted(self._piece[order], np.arange(-1, len(self._pieces)), side="right")
        parts = [
            _in_order(array, self._row[order[begin:end]])
            for array, begin, end in zip(self._pieces, ends[:-1], ends[1:], strict=True)
            if end > begin
        ]
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return parts, back

    @classmethod
    def _from_sequence(
        cls, scalars: Iterable[Any], *, dtype: Any = None, copy: bool = False
    ) -> JsonColumn:
        return cls.joined([as_json(list(scalars))])

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[JsonColumn]) -> JsonColumn:
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


def _in_order(array: pa.Array, rows: NDArray[Any]) -> pa.Array:
    """Some rows of an array; rows that stand side by side are not copied."""
    if len(rows) and (rows[1:] - rows[:-1] == 1).all():
        return array.slice(rows[0], len(rows))
    return array.take(pa.array(rows))


def as_json(values: Sequence[Any]) -> pa.Array:
    """Python values as an array of JSON text; None is missing."""
    texts = [None if value is None else _dumps(value) for value in values]
    return pa.ExtensionArray.from_storage(JSON, pa.array(texts, pa.string()))


def plain(values: Sequence[Any]) -> pa.Array:
    """Python values of one kind as they are, others as JSON text; None is missing."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 and kinds <= _PLAIN.keys():
        try:
            return pa.array(values)
        except OverflowError:
            pass
    return as_json(values)


def common(kinds: set[pa.DataType]) -> pa.DataType | None:
    """What a plain column of values of these types would be; None if there is none.

    One with a float in it is of floats: an integer beyond 2⁵³ is then the nearest float.
    """
    if kinds <= {pa.int64(), pa.float64()}:
        return pa.int64() if kinds == {pa.int64()} else pa.float64()
    (kind,) = kinds if len(kinds) == 1 else (None,)
    return kind if kind in (pa.bool_(), pa.string()) else None


def _fields(array: pa.Array) -> dict[str, pa.Array] | None:
    """The values of each key of an array of objects; None if they are not all objects."""
    if pa.types.is_struct(array.type):
        return dict(zip((field.name for field in array.type), array.flatten(), strict=True))
    if array.type != JSON:
        return None if array.null_count < len(array) else {}
    values = [None if text is None else json.loads(text) for text in array.storage.to_pylist()]
    if not all(value is None or isinstance(value, dict) for value in values):
        return None
    names = dict.fromkeys(name for value in values for name in value or ())
    return {name: _column([(value or {}).get(name) for value in values]) for name in names}


def _column(values: Sequence[Any]) -> pa.Array:
    """As `plain`, but whole numbers among floats are floats too."""
    if {type(value) for value in values if value is not None} == {int, float}:
        with suppress(OverflowError):
            return pa.array([None if value is None else float(value) for value in values])
    return plain(values)


def _as(kind: pa.DataType, array: pa.Array) -> pa.Array:
    return as_text(array) if kind == JSON else array.cast(kind, safe=False)


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
        pairs = [  # Arrow's own way to skip what is null would skip whole rows of it
            pc.coalesce(pc.binary_join_element_wise(f", {name}: ", value, ""), "")
            for name, value in zip(names, values, strict=True)
        ]
        inside = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*pairs, ""), 2)
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
