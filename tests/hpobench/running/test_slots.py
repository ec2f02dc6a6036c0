"""Two nodes at once: what runs where, and that it makes no difference."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray.cluster_utils import Cluster

from hpobench import Results
from hpobench.discovery import find_study
from hpobench.pipeline import run
from hpobench.results.json_files import append_lines, make_folder, write_json
from hpobench.running.display import Silent
from tests.hpobench.running.intervals import by_core, by_process, clashes

MEASURED = ["seconds", "slot_seconds", "parts", "slot", "began", "ended"]

TOGETHER = '''
"""Two cells whose first trainings wait for each other."""

import dataclasses
import os
import time
from pathlib import Path

from hpobench import Study, evaluations
from trainables.task import Instance
from trainables.tasks import find_task

MEETING = Path(__file__).parent / "meeting"


class Patient:
    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def draw(self, training):
        if training == 0:
            (MEETING / str(os.getpid())).touch()
            end = time.monotonic() + 300
            while len(list(MEETING.iterdir())) < 2 and time.monotonic() < end:
                time.sleep(0.02)
        return self.inner.draw(training)


quadratic = find_task("quadratic")


def build(seed, device):
    instance = quadratic.build(seed, device)
    return Instance(Patient(instance.inner), instance.test)


patient = dataclasses.replace(quadratic, name="patient", build=build)
study = Study("together", [patient], ["random", "fds"], 1, evaluations(12), yardstick_draws=2)
'''


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster of one node with one core."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster()
    try:
        add_node(cluster, include_dashboard=False)
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: Cluster, **more: Any) -> None:
    cluster.add_node(num_cpus=1, object_store_memory=100 * 1024**2, **more)


@pytest.mark.ray
@pytest.mark.timeout(1800)
def test_two_cells_on_two_nodes_at_once_give_what_they_give_in_turn(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "together.py").write_text(textwrap.dedent(TOGETHER))
    study, source = find_study(str(tmp_path / "together.py"))
    meeting = make_folder(tmp_path / "meeting")
    for name in "ab":
        (meeting / name).touch()  # nobody waits for anybody

    def conduct(name: str) -> Results:
        return run(study, tmp_path / name, "off", cluster.address, Silent(), source)

    in_turn = conduct("in turn")
    for file in meeting.iterdir():
        file.unlink()
    add_node(cluster)
    at_once = conduct("at once")

    for results in (in_turn, at_once):
        assert (results.cells["status"] == "complete").all()
        assert clashes(results.path) == []
    assert not overlapping(spans(in_turn))
    assert overlapping(spans(at_once))
    assert at_once.cells["slice"].nunique() == 2
    assert len(by_process(at_once.path)) == 2
    pd.testing.assert_frame_equal(
        at_once.evaluations.drop(columns=MEASURED), in_turn.evaluations.drop(columns=MEASURED)
    )
    pd.testing.assert_frame_equal(at_once.tests, in_turn.tests)
    order = ["row", "draw"]
    pd.testing.assert_frame_equal(
        at_once.yardsticks.sort_values(order, ignore_index=True),
        in_turn.yardsticks.sort_values(order, ignore_index=True),
    )


def spans(results: Results) -> list[tuple[float, float]]:
    """When the first evaluation of each process began, and the last ended."""
    work = by_process(results.path).values()
    return sorted((min(w.began for w in own), max(w.ended for w in own)) for own in work)


def overlapping(intervals: list[tuple[float, float]]) -> bool:
    (_, first), (second, _) = intervals
    return second < first


def test_clashes_are_found(tmp_path: Path) -> None:
    """The assertion above can fail."""

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
