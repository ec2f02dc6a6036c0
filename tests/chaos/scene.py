"""A run under way as it can be seen from outside: its folder, its processes, its cluster."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from tests.chaos.commands import Driver
from tests.chaos.processes import Process, below
from tests.chaos.raylets import Raylets

PATIENT = Path(__file__).resolve().parent / "patient.py"
BUSY_SECONDS = 0.5
RAYS_OWN = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""What Ray itself leaves for a minute when a runner with a Ray of its own is killed. (Idle workers
then wait for init to be their parent, and here another adopts them.) They do nothing of a study."""
SETTLED = ("complete", "failed")
UNDER_WAY = ("running", "measured")


class Somebody(NamedTuple):
    """A process at work for a study: a worker, a searcher, a tester or a yardstick."""

    pid: int
    role: str
    of: str
    seed: int

    def may_be_in(self, cell: str) -> bool:
        """Whether what it does can belong to a cell (cells are task__searcher__seed)."""
        task, searcher, seed = cell.split("__")
        part = searcher if self.role == "searcher" else task
        return part == self.of and seed == f"s{self.seed}"


@dataclass
class Scene:
    """A study in a place of its own. ``disk``: where its run's folder is, if that is small."""

    place: Path
    raylets: Raylets | None = None
    disk: Path | None = None
    driver: Driver | None = None
    seen: dict[tuple[str, int], int] = field(default_factory=dict)
    """By cell and attempt: the most lines that its evaluations.jsonl was seen to hold."""

    def __post_init__(self) -> None:
        self._others = set(below([os.getpid()]))

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return (self.disk or self.place) / "run"

    @property
    def source(self) -> Path:
        return self.place / "patient.py"

    @property
    def hold(self) -> Path:
        """While this file is there, no training goes on."""
        return self.place / "hold"

    def prepare(self, plan: Mapping[str, Any]) -> None:
        """Lay the study into its place."""
        self.place.mkdir(parents=True, exist_ok=True)
        shutil.copy(PATIENT, self.source)
        (self.place / "plan.json").write_text(json.dumps(plan))

    def start(self, temporary: Path, elsewhere: bool = False) -> Driver:
        """Run the study, or resume it; ``elsewhere``: on a Ray of its own, not on the raylets."""
        again = (self.folder / "study.json").exists()
        what: list[str | Path] = ["run", self.source, "--out", self.folder]
        if again:
            what = ["resume", self.folder]
        on = ["--address", self.raylets.address] if self.raylets and not elsewhere else []
        for file in self.place.glob("present/*"):
            file.unlink()
        self.driver = Driver(self.place, *what, *on, "--wandb", "offline", temporary=temporary)
        return self.driver

    def records(self) -> dict[str, dict[str, Any]]:
        """What the cells' ``cell.json`` say, by cell; also keeps how many lines there are."""
        found = {}
        for file in self.folder.glob("cells/*/cell.json"):
            with suppress(OSError, ValueError):
                found[file.parent.name] = json.loads(file.read_text())
        for cell, record in found.items():
            if record["status"] in UNDER_WAY:
                self._keep_count(cell)
        return found

    def _keep_count(self, cell: str) -> None:
        with suppress(OSError, ValueError, IndexError):
            content = (self.folder / "cells" / cell / "evaluations.jsonl").read_bytes()
            attempt = json.loads(content.splitlines()[0])["attempt"]
            held = content.count(b"\n")
            self.seen[cell, attempt] = max(self.seen.get((cell, attempt), 0), held)

    @property
    def patience(self) -> float:
        return float(json.loads((self.place / "plan.json").read_text())["patience"])

    def slowest_start(self) -> float:
        """Seconds that a cell took at most from its beginning until its clock started."""
        ledgers = [record.get("ledger") or {} for record in self.records().values()]
        return max((ledger.get("startup") or 0.0 for ledger in ledgers), default=0.0)

    def planned(self) -> list[str]:
        file = self.folder / "study.json"
        return [cell["cell"] for cell in json.loads(file.read_text())["cells"]]

    @property
    def complete(self) -> bool:
        if not (self.folder / "study.json").exists():
            return False
        records = self.records()
        return all(records.get(c, {}).get("status") in SETTLED for c in self.planned())

    def under_way(self) -> dict[str, int]:
        """The cells that run now, each with the number of its attempt."""
        return {
            cell: len(record.get("attempts", [])) + (record["status"] == "running")
            for cell, record in self.records().items()
            if record["status"] in UNDER_WAY
        }

    def at_work(self, role: str) -> list[Somebody]:
        """Who has done something of that kind within the last moment, and is not stopped.

        An orphan, whose raylet is gone, ends by itself; stopped, it could not.
        """
        us, now, found = os.getpid(), time.time(), []
        mine = below([us])
        for file in self.place.glob(f"present/*.{role}.*"):
            with suppress(OSError):
                pid, _, of, seed = file.name.split(".")
                process = mine.get(int(pid))
                if process is None or process.state == "T" or process.parent == us:
                    continue
                if now - file.stat().st_mtime < BUSY_SECONDS:
                    found.append(Somebody(int(pid), role, of, int(seed)))
        return sorted(found)

    def choose(self, role: str, random: Random) -> Somebody | None:
        there = self.at_work(role)
        return random.choice(there) if there else None

    def node_of(self, pid: int) -> int | None:
        """The node that a process runs on."""
        nodes = self.raylets.nodes if self.raylets else {}
        return next((n for n in nodes if self.raylets and pid in self.raylets.workers(n)), None)

    def left_behind(self) -> list[str]:
        """Processes of our own that are neither the raylets nor a command under way."""
        left = self._orphans().values()
        return [f"{p.pid} {p.words[:90]}" for p in left if p.words not in RAYS_OWN]

    def rays_own(self) -> list[int]:
        """Of such processes, those that are Ray's and not the study's."""
        return [p.pid for p in self._orphans().values() if p.words in RAYS_OWN]

    def _orphans(self) -> dict[int, Process]:
        roots = [self.raylets.pid] if self.raylets else []
        if self.driver is not None and self.driver.running:
            roots.append(self.driver.pid)
        return below([os.getpid()], without=[*roots, *self._others])
