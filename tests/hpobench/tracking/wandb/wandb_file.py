"""Reads W&B's offline files back.

The format is LevelDB's log: a header, then blocks of 32,768 bytes with records that may be cut
into fragments, each with a checksum of its type and data.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 32_768
HEADER = struct.Struct("<4sHB")
FRAGMENT = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


class WandbFile:
    """A run as W&B would upload it: ``run`` and ``exit`` records, and the rest as plain values.

    ``history``: what happened; ``curves``: the same at places common to all cells. ``tables``: by
    key, as rows of values by column. ``artifacts``: their records by type.
    """

    def __init__(self, path: Path):
        records = list(read_records(path))
        [self.run] = [r.run for r in records if r.WhichOneof("record_type") == "run"]
        self.exits = [r.exit for r in records if r.WhichOneof("record_type") == "exit"]
        self.metrics = {
            metric.name or metric.glob_name: metric
            for r in records
            if r.WhichOneof("record_type") == "metric"
            for metric in [r.metric]
        }
        self.config = _values(self.run.config.update)
        rows = [
            {k: v for k, v in _values(r.history.item).items() if not k.startswith("_")}
            for r in records
            if r.WhichOneof("record_type") == "history"
        ]
        tables = [row for row in rows if any(k.endswith("._type") for k in row)]
        self.curves = [row for row in rows if any(k.startswith("over_") for k in row)]
        others = [id(row) for row in [*tables, *self.curves]]
        self.history = [row for row in rows if id(row) not in others]
        self.tables = {
            key: _table(path.parent / "files" / row[f"{key}.path"])
            for row in tables
            for key, _, last in [k.rpartition(".") for k in row]
            if last == "_type"
        }
        self.artifacts = {
            r.artifact.type: r.artifact
            for r in records
            if r.WhichOneof("record_type") == "artifact"
        }
        self.summary: dict[str, Any] = {}
        for record in records:
            if record.WhichOneof("record_type") == "summary":
                self.summary |= _values(record.summary.update)
        self.summary = {
            k: v
            for k, v in self.summary.items()
            if not k.startswith("_") and k.partition(".")[0] not in self.tables
        }


def read_records(path: Path) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2

    content = path.read_bytes()
    assert HEADER.unpack_from(content) == (b":W&B", 0xBEE1, 0)
    position = HEADER.size
    whole: bytes | None = None  # not empty bytes: seven bytes before a block's end, FIRST has none
    while position < len(content):
        left = BLOCK - position % BLOCK
        if left < FRAGMENT.size:
            position += left
            continue
        checksum, length, kind = FRAGMENT.unpack_from(content, position)
        data = content[position + FRAGMENT.size : position + FRAGMENT.size + length]
        assert checksum == zlib.crc32(bytes([kind]) + data), f"{path} is damaged at {position}"
        assert (kind in (FULL, FIRST)) == (whole is None)
        position, whole = position + FRAGMENT.size + length, (whole or b"") + data
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = None
            yield record


def _values(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def _table(path: Path) -> list[dict[str, Any]]:
    content = json.loads(path.read_text())
    return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]
