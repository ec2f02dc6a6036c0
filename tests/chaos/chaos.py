"""Break hpobench on purpose, at random, and count what it loses: ``make chaos``.

A study runs undisturbed, one cell at a time; then the same study runs again and again, while its
workers, controllers, nodes and runner are killed, frozen and interrupted, its files torn and its
disk filled, and is resumed until it is complete. Its final tables must be those of the undisturbed
run. A line for each fault; the last line is JSON. The exit status is 1 if anything was lost,
duplicated or hung, if the tables differ, or if a promise was broken.

    python -m tests.chaos.chaos --seed 7 --faults 100 --minutes 18
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.comparing import Comparison, compare
from tests.chaos.disturbing import MOMENT, Disturbance
from tests.chaos.faults import ENDING, TORN, WITHIN, Fault, Kind, data_faults
from tests.chaos.processes import adopting, below, kill_all
from tests.chaos.raylets import Raylets
from tests.chaos.scene import Scene

PLAN: dict[str, Any] = {
    "tasks": ["smooth", "poor"],
    "searchers": ["random", "tpe", "bohb", "fds", "raises_in_ask", "raises_in_search"],
    "seeds": 1,
    "evaluations": 24,
    "pause": 0.1,
    "patience": 120.0,
}
LEAST_PATIENCE, PATIENCES = 15.0, 6.0
"""A disturbed study waits for so many of the slowest start-ups of the undisturbed one."""
HANGS = {"tasks": ["smooth"], "searchers": ["random", "hangs_in_ask", "hangs_in_search"]}
HANGS_FAULTS = 6
"""How often the study of hanging searchers is disturbed: it takes its time anyway."""
MINUTES_TO_END = 6.0
"""How long the last study may take to its end, undisturbed."""
DISK = "64m"
GAP_SECONDS = 0.7
"""Between two faults, on average."""
ELSEWHERE = 0.2
"""How often a command uses a Ray of its own in place of the raylets."""


class Deck:
    """Kinds of fault in random order, each as often as its share, again and again."""

    def __init__(self, kinds: Iterable[Kind], random: Random):
        self._kinds = [kind.name for kind in kinds for _ in range(kind.share)]
        self._random = random
        self._left: list[str] = []

    def deal(self, strike: Callable[[str], bool], wait: float = 0.0, tries: int = 1) -> str | None:
        """The first kind in the deck that finds somebody to hit; None if none of them does."""
        for _ in range(tries):
            if len(self._left) <= len(self._kinds) // 2:
                more = list(self._kinds)
                self._random.shuffle(more)
                self._left += more
            for name in dict.fromkeys(self._left):
                if strike(name):
                    self._left.remove(name)
                    return name
            time.sleep(wait)
        return None


class Campaign:
    """Studies, one after the other, until there were enough faults or the time is over."""

    def __init__(self, root: Path, raylets: Raylets | None, random: Random, minutes: float):
        self._root, self._raylets, self._random = root, raylets, random
        self._began = time.monotonic()
        self._end = self._began + 60 * minutes
        self._within, self._ending, self._torn = (
            Deck(kinds, random) for kinds in (WITHIN, ENDING, TORN)
        )
        self.faults: list[Fault] = []
        self.struck = 0
        """How many of the faults came from outside."""
        self.broken: list[str] = []
        self.comparison = Comparison()
        self.hung = 0

    @property
    def time_left(self) -> float:
        return self._end - time.monotonic()

    def run(self, wanted: int, hangs: bool) -> None:
        """So many faults from outside, at least, as long as there is time."""
        undisturbed = self.undisturbed("undisturbed", PLAN)
        if self._raylets:  # until here there was one node: one cell at a time
            self._raylets.add()
        patience = max(PATIENCES * undisturbed.slowest_start(), LEAST_PATIENCE)
        print(f"patience from here on: {patience:.0f} s", flush=True)
        plan = {**PLAN, "patience": patience}
        if hangs:
            model = self.undisturbed("undisturbed-hangs", plan | HANGS)
            self.disturbed("disturbed-hangs", plan | HANGS, HANGS_FAULTS, model.folder)
        number = 0
        while (left := wanted - self.struck) > 0 and self.time_left > 0:
            number += 1
            self.disturbed(f"disturbed-{number}", plan, left, undisturbed.folder)

    def undisturbed(self, name: str, plan: dict[str, Any]) -> Scene:
        """The run that others are compared with."""
        scene = Scene(self._root / name, self._raylets)
        scene.prepare({**plan, "pause": 0.0})  # there is nothing to hit
        disturbance = self._disturbance(scene)
        if not disturbance.finish(commands=2):
            raise SystemExit(f"the undisturbed study failed: {disturbance.broken}")
        disturbance.close_book()
        self._book(name, disturbance)
        return scene

    def disturbed(self, name: str, plan: dict[str, Any], wanted: int, undisturbed: Path) -> None:
        """One study under faults until it is complete, and what came of it."""
        with small_disk(self._root / f"{name}-disk") as disk:
            scene = Scene(self._root / name, self._raylets, disk)
            scene.prepare(plan)
            disturbance = self._disturbance(scene)
            try:
                while not self._enough(disturbance, wanted):
                    self._round(disturbance)
                self.struck += len(disturbance.faults)
                if disturbance.finish():
                    disturbance.close_book()
                    self._compare(disturbance, undisturbed)
                    disturbance.faults += data_faults(scene.folder, disturbance.now())
            finally:
                self._keep(scene, name)
                self._book(name, disturbance)

    def _enough(self, disturbance: Disturbance, wanted: int) -> bool:
        there = len(disturbance.faults)
        return disturbance.scene.complete or there >= wanted or self.time_left <= 0

    def _compare(self, disturbance: Disturbance, undisturbed: Path) -> None:
        found = compare(undisturbed, disturbance.scene.folder, wandb=True)
        for line in (*found.lost, *found.duplicated, *found.differences):
            print(f"! {disturbance.scene.place.name}: {line}", flush=True)
            for fault in disturbance.faults:
                fault.survived &= not fault.hit(line.partition(":")[0])
        self.comparison.lost += found.lost
        self.comparison.duplicated += found.duplicated
        self.comparison.differences += found.differences

    def _round(self, disturbance: Disturbance) -> None:
        """A command, a few faults while it runs, one that ends it, and perhaps one of files."""
        random = self._random
        disturbance.start(elsewhere=random.random() < ELSEWHERE)
        for _ in range(random.randint(1, 10)):
            self._within.deal(disturbance.strike, wait=MOMENT, tries=100)
            disturbance.look_on(random.expovariate(1 / GAP_SECONDS))
        disturbance.look_on(random.uniform(0.0, 4.0))
        if disturbance.running:
            self._ending.deal(disturbance.end_by)
        else:
            disturbance.ended_alone()
        if disturbance.scene.folder.exists():
            self._torn.deal(disturbance.tear)
            if random.random() < 0.3:
                disturbance.damage()

    def _disturbance(self, scene: Scene) -> Disturbance:
        return Disturbance(scene, self._random, self._root / "ray", self._began)

    def _book(self, name: str, disturbance: Disturbance) -> None:
        for fault in disturbance.faults:
            print(fault.line())
        for line in disturbance.broken:
            print(f"! {name}: {line}")
        print(f"{name}: done at {disturbance.now():.0f} s", flush=True)
        self.faults += disturbance.faults
        self.broken += [f"{name}: {line}" for line in disturbance.broken]
        self.hung += disturbance.hung

    def _keep(self, scene: Scene, name: str) -> None:
        """What is on a small disk goes with it."""
        if scene.disk is not None and scene.folder.exists():
            shutil.copytree(scene.folder, self._root / name / "run", dirs_exist_ok=True)

    def print_outcome(self) -> int:
        """Counts by kind, and the line of JSON; the exit status."""
        kinds = Counter(fault.kind for fault in self.faults)
        for kind, count in sorted(kinds.items()):
            print(f"{count:5d} × {kind}")
        spoilt = bool(self.comparison.differences or self.broken)
        outcome = {
            "faults": len(self.faults),
            "kinds": len(kinds),
            "survived": sum(fault.survived for fault in self.faults),
            "lost": len(self.comparison.lost),
            "duplicated": len(self.comparison.duplicated),
            "hung": self.hung,
        }
        for line in self.broken:
            print(f"! {line}")
        print(f"differences of tables: {len(self.comparison.differences)}")
        print(f"promises broken: {len(self.broken)}")
        print(json.dumps(outcome), flush=True)
        return int(spoilt or any(outcome[key] for key in ("lost", "duplicated", "hung")))


@contextmanager
def over_after(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in it after so many seconds."""

    def over(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def small_disk(place: Path) -> Iterator[Path | None]:
    """A disk of its own that can be filled; None where this user may not mount one."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        print("no small disk may be mounted here: the disk is never full", flush=True)
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    parser.add_argument("--faults", type=int, default=100, help="from outside, at least")
    parser.add_argument("--minutes", type=float, default=18.0, help="no more faults after these")
    parser.add_argument("--local", action="store_true", help="without raylets: Ray of its own")
    parser.add_argument("--keep", action="store_true", help="keep the folders of the runs")
    parser.add_argument("--hangs", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    root = Path(tempfile.mkdtemp(prefix="chaos-"))
    (root / "ray").mkdir()
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda *_: sys.exit(1))
    status = 1
    with adopting(), contextlib.ExitStack() as stack:
        stack.callback(lambda: kill_all(below([os.getpid()])))
        raylets = None
        if not options.local:
            raylets = Raylets(root / "ray", nodes=1)
            stack.callback(raylets.close)
        campaign = Campaign(root, raylets, Random(options.seed), options.minutes)
        try:
            with over_after(60 * (options.minutes + MINUTES_TO_END)):
                campaign.run(options.faults, options.hangs)
        except TimeoutError:
            campaign.hung += 1
            campaign.broken.append("the time is over, and a study is not complete")
        status = campaign.print_outcome()
    if options.keep or status:
        print(f"kept: {root}", file=sys.stderr)
    else:
        shutil.rmtree(root, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
