"""One study's tables are the same in turn, on two nodes at once, and interrupted twice."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from ray.cluster_utils import Cluster

from hpobench import Results, pipeline
from hpobench.discovery import find_study
from hpobench.pipeline import resume, run
from hpobench.results.json_files import make_folder, read_json, read_lines
from hpobench.running.display import Silent
from tests.hpobench.ray_cluster import add_node, ray_cluster
from tests.hpobench.running.intervals import by_process, clashes
from tests.hpobench.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]  # a machine may be shared with others

MEASURED = ["seconds", "slot_seconds", "parts", "slot", "began", "ended"]

STUDY = '''
"""Two cells whose first trainings wait for each other, and a later one as long as it is told to."""

import dataclasses
import os
import time
from pathlib import Path

from hpobench import Study, evaluations
from trainables.task import Instance
from trainables.tasks import find_task

HERE = Path(__file__).parent


def wait(is_time):
    end = time.monotonic() + 300
    while not is_time() and time.monotonic() < end:
        time.sleep(0.02)


class Patient:
    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def draw(self, training):
        if training == 0:
            (HERE / "meeting" / str(os.getpid())).touch()
            wait(lambda: len(list((HERE / "meeting").iterdir())) >= 2)
        if training == 5:
            wait(lambda: not (HERE / "hold").exists())
        return self.inner.draw(training)


quadratic = find_task("quadratic")


def build(seed, device):
    instance = quadratic.build(seed, device)
    return Instance(Patient(instance.inner), instance.test)


patient = dataclasses.replace(quadratic, name="patient", build=build)
study = Study("together", [patient], ["bohb", "fds"], 1, evaluations(12), yardstick_draws=2)
'''


@pytest.fixture(scope="module", autouse=True)
def without_figures() -> Iterator[None]:
    """The tables alone are written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "publish", lambda results, clock: results.write() and ())
        yield


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of one node with one core."""
    with ray_cluster(cores=1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the study is; nobody waits for anybody at first."""
    place = tmp_path_factory.mktemp("place")
    (place / "together.py").write_text(STUDY)
    for name in "ab":
        (make_folder(place / "meeting") / name).touch()
    return place


@pytest.fixture(scope="module")
def in_turn(cluster: Cluster, place: Path) -> Results:
    """What the study comes to on the one node."""
    study, source = find_study(str(place / "together.py"))
    return run(study, place / "in turn", "off", cluster.address, Silent(), source)


def test_interrupted_twice_and_resumed_on_two_nodes_at_once_it_gives_what_it_gives_in_turn(
    in_turn: Results, cluster: Cluster, place: Path
) -> None:
    out = place / "interrupted"
    (place / "hold").touch()
    interrupt(signal.SIGTERM, out, "run", place / "together.py", "--out", out)
    interrupt(signal.SIGINT, out, "resume", out)
    (place / "hold").unlink()
    for file in (place / "meeting").iterdir():
        file.unlink()
    add_node(cluster, cores=1)
    at_once = resume(out, "off", cluster.address, display=Silent())
    for results in (in_turn, at_once):
        assert (results.cells["status"] == "complete").all()
        assert clashes(results.path) == []
    assert_each_on_a_node_of_its_own(at_once)
    assert not overlapping(spans(in_turn))
    assert overlapping(spans(at_once))
    assert_same_tables(at_once, in_turn)
    attempts = at_once.evaluations.groupby("searcher")["attempt"].unique()
    assert sorted(attempts.explode()) == [1, 3]  # of the cell that had not begun, and the other


def interrupt(number: signal.Signals, out: Path, *arguments: str | Path) -> None:
    """A command, on a Ray of its own, gets a signal while a cell is under way.

    It says in one line how to go on.
    """

    def as_in_a_terminal_on_one_core() -> None:
        signal.signal(number, signal.SIG_DFL)  # a shell's "&" ignores it
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])

    command = [sys.executable, "-m", "hpobench.cli", *map(str, arguments), "--wandb", "off"]
    runner = subprocess.Popen(
        command,
        env={k: v for k, v in os.environ.items() if k != "RAY_AUTH_MODE"},  # Ray as users have it
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=as_in_a_terminal_on_one_core,
    )
    until(lambda: evaluations_under_way(out) == [5] or runner.poll() is not None)
    runner.send_signal(number)
    _, said = runner.communicate(timeout=300)
    assert runner.returncode == 130, said
    assert said.strip().count("\n") == 0
    assert f"hpobench resume {shlex.quote(str(out))} goes on" in said
    assert set(statuses(out).values()) == {"interrupted"}


def evaluations_under_way(out: Path) -> list[int]:
    """How many evaluations each cell that runs has so far."""
    running = [cell for cell, status in statuses(out).items() if status == "running"]
    files = [out / "cells" / cell / "evaluations.jsonl" for cell in running]
    return [len(read_lines(file).records) for file in files if file.exists()]


def statuses(out: Path) -> dict[str, str]:
    """Of each cell that was begun."""
    return {file.parent.name: read_json(file)["status"] for file in out.glob("cells/*/cell.json")}


def assert_each_on_a_node_of_its_own(results: Results) -> None:
    assert results.cells["slice"].nunique() == 2
    assert len(by_process(results.path)) == 2


def assert_same_tables(results: Results, others: Results) -> None:
    """But for attempts, and what clocks say."""
    assert results.evaluations.groupby("searcher").size().to_dict() == {"bohb": 12, "fds": 12}
    pd.testing.assert_frame_equal(
        results.evaluations.drop(columns=["attempt", *MEASURED]),
        others.evaluations.drop(columns=["attempt", *MEASURED]),
    )
    pd.testing.assert_frame_equal(results.tests, others.tests)
    order = ["row", "draw"]
    pd.testing.assert_frame_equal(
        results.yardsticks.sort_values(order, ignore_index=True),
        others.yardsticks.sort_values(order, ignore_index=True),
    )


def spans(results: Results) -> list[tuple[float, float]]:
    """When the first evaluation of each process began, and the last ended."""
    work = by_process(results.path).values()
    return sorted((min(w.began for w in own), max(w.ended for w in own)) for own in work)


def overlapping(intervals: list[tuple[float, float]]) -> bool:
    (_, first), (second, _) = intervals
    return second < first
