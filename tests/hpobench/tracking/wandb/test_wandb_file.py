"""What reads W&B's files back, in the other tests, reads every form of a record."""

from __future__ import annotations

import zlib
from pathlib import Path

from tests.hpobench.tracking.wandb.wandb_file import (
    BLOCK,
    FIRST,
    FRAGMENT,
    FULL,
    HEADER,
    LAST,
    read_records,
)


def test_a_record_may_begin_with_an_empty_fragment(tmp_path: Path) -> None:
    """Seven bytes before a block's end there is room for a fragment's header and for no data."""
    from wandb.proto import wandb_internal_pb2

    def record(line: int) -> bytes:
        written = wandb_internal_pb2.Record()
        written.output_raw.line = "x" * line
        return written.SerializeToString()

    def fragment(kind: int, data: bytes) -> bytes:
        return FRAGMENT.pack(zlib.crc32(bytes([kind]) + data), len(data), kind) + data

    room = BLOCK - HEADER.size - 2 * FRAGMENT.size
    first, second = record(room - 8), record(100)
    content = HEADER.pack(b":W&B", 0xBEE1, 0) + fragment(FULL, first)
    assert len(content) == BLOCK - FRAGMENT.size
    content += fragment(FIRST, b"") + fragment(LAST, second)
    (tmp_path / "run.wandb").write_bytes(content)
    assert [r.SerializeToString() for r in read_records(tmp_path / "run.wandb")] == [first, second]
