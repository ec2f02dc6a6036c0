"""A short selection of chaos; the whole is ``make chaos``."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.chaos.comparing import compare, lines_of_cells
from tests.chaos.disturbing import Disturbance
from tests.chaos.processes import adopting
from tests.chaos.raylets import Raylets
from tests.chaos.scene import Scene

pytestmark = pytest.mark.ray

PLAN = {
    "tasks": ["smooth", "poor"],
    "searchers": ["random"],
    "seeds": 1,
    "evaluations": 36,
    "pause": 0.4,
    "patience": 600.0,
}
SECONDS = 300.0


@pytest.fixture(scope="module")
def temporary() -> Iterator[Path]:
    """A short path: Ray's sockets are in it."""
    place = Path(tempfile.mkdtemp(prefix="chaos-"))
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def raylets(temporary: Path) -> Iterator[Raylets]:
    """A head and one node."""
    with adopting():
        cluster = Raylets(temporary, nodes=1)
        yield cluster
        cluster.close()


@pytest.fixture(scope="module")
def undisturbed(raylets: Raylets, temporary: Path) -> Path:
    """One cell at a time."""
    scene = Scene(temporary / "undisturbed", raylets)
    scene.prepare({**PLAN, "pause": 0.01})
    quiet = Disturbance(scene, Random(0), temporary, time.monotonic())
    assert quiet.finish(commands=1), quiet.broken
    quiet.close_book()
    assert not quiet.broken
    return scene.folder


@pytest.mark.timeout(1800)
def test_a_study_survives_its_worker_its_controller_a_node_and_its_runner(
    raylets: Raylets, undisturbed: Path, temporary: Path
) -> None:
    raylets.add()
    scene = Scene(temporary / "disturbed", raylets)
    scene.prepare(PLAN)
    chaos = Disturbance(scene, Random(7), temporary, time.monotonic())
    chaos.start()
    assert chaos.strike("worker killed", SECONDS)
    chaos.look_on(SECONDS, stop=lambda: "worker lost" in causes(scene))
    assert chaos.strike("controller killed", SECONDS)
    scene.hold.touch()  # no slice gets free: what a node loses goes to the next that comes
    assert chaos.strike("node lost", SECONDS)
    assert chaos.strike("node joined", SECONDS)
    chaos.look_on(SECONDS, stop=lambda: chaos.faults[-1].became)
    assert chaos.faults[-1].became == "in use"
    scene.hold.unlink()
    chaos.look_on(SECONDS, stop=lambda: half_way(scene))
    assert chaos.end_by("runner killed")
    assert chaos.tear("torn line, cell unfinished")
    assert chaos.finish(commands=2), chaos.broken
    chaos.close_book()
    assert chaos.broken == []
    assert chaos.hung == 0
    assert causes(scene) >= {"worker lost", "driver lost"}
    found = compare(undisturbed, scene.folder, wandb=True)
    assert found.equal, found


def causes(scene: Scene) -> set[str]:
    """What attempts ended with so far."""
    attempts = [entry for record in scene.records().values() for entry in record["attempts"]]
    return {entry["cause"] for entry in attempts if entry["status"] != "ok"}


def half_way(scene: Scene) -> list[str]:
    """The cells that run and have some evaluations, but by far not all."""
    running = [cell for cell, record in scene.records().items() if record["status"] == "running"]
    held = lines_of_cells(scene.folder, "evaluations.jsonl")
    return [cell for cell in running if 0 < len(held.get(cell, ())) < PLAN["evaluations"] // 2]
