"""Clashes of trainings on one core are found, so the tests that look for them can fail."""

from __future__ import annotations

from pathlib import Path

from hpobench.results.json_files import append_lines, make_folder, write_json
from tests.hpobench.running.intervals import by_core, by_process, clashes


def test_clashes_are_found(tmp_path: Path) -> None:
    def cell(name: str, second: float, core: int, *intervals: tuple[int, float, float]) -> None:
        folder = make_folder(tmp_path / "cells" / name)
        where = {"node": "here", "cores": [core], "processes": ["here:1", "here:2"]}
        started = f"2026-01-02T03:04:{second:06.3f}+00:00"
        wall = max(ended for _, _, ended in intervals)
        record = {"started": started, "slice": where, "ledger": {"wall": wall}}
        write_json(folder / "cell.json", record)
        lines = [
            {"evaluation": n, "slot": slot, "began": began, "ended": ended, "seconds": ended}
            for n, (slot, began, ended) in enumerate(intervals)
        ]
        append_lines(folder / "evaluations.jsonl", lines)

    cell("a", 0, 0, (0, 0, 2), (1, 0.5, 3), (0, 2, 4))
    assert clashes(tmp_path) == []
    assert len(by_process(tmp_path)["here:1"]) == 2
    assert by_core(tmp_path)["here core 0"][0].what == "a"
    cell("b", 4, 0, (0, 0, 1), (1, 0, 1), (1, 0.999, 2))
    assert clashes(tmp_path) == ["b 1 and b 2"]
    cell("c", 5.5, 0, (0, 1, 2))
    assert clashes(tmp_path) == ["b 1 and b 2", "b and c"]
