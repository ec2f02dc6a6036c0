"""The faults: what is done to a study, to whom, and what may come of it.

A fault from within strikes while a study's command runs on; one that ends the command is followed
by a resume; one of files is done between two commands. Each is a function of the scene that says
whom it hit, or None if there was nobody to hit.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeAlias

from tests.chaos.comparing import lines_of
from tests.chaos.processes import catches, send
from tests.chaos.scene import SETTLED, Scene, Somebody


@dataclass
class Fault:
    """One fault as it happened. ``attempts``: those (cell, number) that it may have disturbed."""

    kind: str
    when: float
    target: str
    attempts: tuple[tuple[str, int], ...] = ()
    became: str = ""
    survived: bool = True

    def hit(self, cell: str) -> bool:
        """Whether it may have disturbed a cell."""
        files = self.target.partition("/")[0]
        return cell == files or cell in (name for name, _ in self.attempts)

    def line(self) -> str:
        sign = " " if self.survived else "!"
        return f"{sign} {self.when:7.1f} s  {self.kind:<28} {self.target:<52} {self.became}"


Strike: TypeAlias = Callable[[Scene, Random], str | Somebody | None]
LOST = frozenset({"worker lost"})
STALLS = frozenset({"training stall", "scheduler stall"})
EITHER_END = frozenset({"user interrupt", "driver lost"})


@dataclass(frozen=True)
class Kind:
    """``causes``: what an attempt that it disturbed may be said to have ended with."""

    name: str
    strike: Strike
    causes: frozenset[str]
    share: int = 1
    """How often it comes, relative to the others."""


def to_process(role: str, number: signal.Signals) -> Strike:
    def strike(scene: Scene, random: Random) -> Somebody | None:
        who = scene.choose(role, random)
        return who if who and send(who.pid, number) else None

    return strike


def by_order(what: str) -> Strike:
    """The worker's own training ends its process."""

    def strike(scene: Scene, random: Random) -> Somebody | None:
        who = scene.choose("worker", random)
        if who is not None:
            orders = scene.place / "orders"
            draft = orders / f"draft-{who.pid}"
            draft.write_text(what)
            draft.replace(orders / str(who.pid))
        return who

    return strike


def lose_node(scene: Scene, random: Random) -> str | None:
    """A node somebody is at work on, unless it is the last."""
    if scene.raylets is None or len(scene.raylets.nodes) < 2:
        return None
    who = scene.choose("worker", random)
    node = scene.node_of(who.pid) if who else None
    if node is None:
        return None
    scene.raylets.lose(node)
    return f"node {node}"


def join_node(scene: Scene, random: Random) -> str | None:
    if scene.raylets is None or len(scene.raylets.nodes) >= NODES:
        return None
    return f"node {scene.raylets.add()}"


NODES = 3
"""No more than so many at once: they share the cores of one machine."""


def pause_driver(scene: Scene, random: Random) -> str | None:
    """The runner is stopped for a while, as a laptop that sleeps or a batch system would."""
    if scene.driver is None or not send(scene.driver.pid, signal.SIGSTOP):
        return None
    time.sleep(random.uniform(0.5, 3.0))
    send(scene.driver.pid, signal.SIGCONT)
    return "the runner"


def to_driver(*numbers: signal.Signals) -> Strike:
    """A signal to the runner, once it is more than an interpreter that loads its modules."""

    def strike(scene: Scene, random: Random) -> str | None:
        if scene.driver is None or not scene.driver.running:
            return None
        if signal.SIGKILL not in numbers and not catches(scene.driver.pid, signal.SIGTERM):
            return None
        scene.driver.send(numbers[0])
        for number in numbers[1:]:
            time.sleep(random.uniform(0.1, 1.5))
            scene.driver.send(number)
        return "the runner"

    return strike


def fill_disk(scene: Scene, random: Random) -> str | None:
    """Whatever is left of the run's disk is taken, but for a few bytes."""
    if scene.disk is None:
        return None
    filler = scene.disk / "filler"
    with open(filler, "wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 2**16):
            pass
    size = filler.stat().st_size
    os.truncate(filler, max(size - random.randrange(0, 3) * 4096, 0))
    return "the run's disk"


def free_disk(scene: Scene) -> None:
    if scene.disk is not None:
        (scene.disk / "filler").unlink(missing_ok=True)


def tear(settled: bool) -> Strike:
    """The last line of a cell's evaluations is cut at a byte of it, its newline or its first."""

    def strike(scene: Scene, random: Random) -> str | None:
        records = scene.records()
        files = [
            file
            for file in sorted(scene.folder.glob("cells/*/evaluations.jsonl"))
            if (records.get(file.parent.name, {}).get("status") in SETTLED) == settled
            and file.stat().st_size
        ]
        return cut_last_line(random.choice(files), random) if files else None

    return strike


def tear_yardsticks(scene: Scene, random: Random) -> str | None:
    file = scene.folder / "yardsticks.jsonl"
    there = file.exists() and file.stat().st_size
    return cut_last_line(file, random) if there else None


def cut_last_line(file: Path, random: Random) -> str:
    content = file.read_bytes()
    last = content.rfind(b"\n", 0, len(content) - 1) + 1
    end = random.randrange(last, len(content))
    os.truncate(file, end)
    return f"{file.parent.name}/{file.name}, {end - last} of {len(content) - last} bytes left"


WITHIN = (
    Kind("worker killed", to_process("worker", signal.SIGKILL), LOST, 4),
    Kind("worker exits", by_order("exit"), LOST, 3),
    Kind("worker segfaults", by_order("segfault"), LOST, 2),
    Kind("worker frozen", to_process("worker", signal.SIGSTOP), STALLS),
    Kind("controller killed", to_process("searcher", signal.SIGKILL), LOST, 3),
    Kind("controller frozen", to_process("searcher", signal.SIGSTOP), STALLS),
    Kind("tester killed", to_process("tester", signal.SIGKILL), LOST, 2),
    Kind("yardstick's worker killed", to_process("yardstick", signal.SIGKILL), LOST),
    Kind("node lost", lose_node, frozenset({"node lost"}), 3),
    Kind("node joined", join_node, frozenset(), 3),
    Kind("runner paused", pause_driver, frozenset()),
)
# A full disk may also refuse the cause: the resume then finds a cell without its runner.
ENDING = (
    Kind("runner killed", to_driver(signal.SIGKILL), frozenset({"driver lost"}), 3),
    Kind("SIGINT", to_driver(signal.SIGINT), frozenset({"user interrupt"}), 2),
    Kind("SIGINT twice", to_driver(signal.SIGINT, signal.SIGINT), EITHER_END, 2),
    Kind("SIGTERM", to_driver(signal.SIGTERM), frozenset({"user interrupt"}), 2),
    Kind("disk full", fill_disk, frozenset({"disk full", "driver lost"}), 2),
)
TORN = (
    Kind("torn line, cell unfinished", tear(False), frozenset({"damaged file"}), 2),
    Kind("torn line, cell complete", tear(True), frozenset({"damaged file"}), 2),
    Kind("torn line, yardsticks", tear_yardsticks, frozenset()),
)
KINDS = {kind.name: kind for kind in (*WITHIN, *ENDING, *TORN)}
DAMAGED = "line damaged"
"""Reported by a command, then restored: it has to leave no trace, so it is no strike."""


def damage_line(file: Path, random: Random) -> int:
    """Spoil a byte of a line that is not the last; the line's number."""
    lines = file.read_bytes().split(b"\n")
    number = random.randrange(len(lines) - 2)
    line = bytearray(lines[number])
    line[random.randrange(len(line))] = 0
    lines[number] = bytes(line)
    file.write_bytes(b"\n".join(lines))
    return number + 1


IN_POOR = {
    1: "exception in a training",
    2: "MemoryError in a training",
    3: "torch out of memory",
    4: "NaN loss",
    5: "infinite loss",
    6: "infinite loss",
}
"""What the task ``poor`` does, by training."""


def data_faults(folder: Path, began: float) -> list[Fault]:
    """The faults that are part of the study, from a complete run's own records."""
    found = []
    for file in sorted(folder.glob("cells/poor__*/evaluations.jsonl")):
        for line in lines_of(file):
            if line["training"] in IN_POOR and line["status"] != "ok":
                target = f"{line['cell']}, training {line['training']}"
                kind = IN_POOR[line["training"]]
                cause = line.get("cause") or line.get("error") or "no cause"
                found.append(Fault(kind, began, target, became=f"{line['status']}: {cause}"))
    for file in sorted(folder.glob("cells/*/cell.json")):
        record = json.loads(file.read_text())
        if record["status"] == "failed":
            wrong = record["searcher"].replace("_", " ")
            kind = f"searcher {wrong}" if wrong.startswith(("raises", "hangs")) else "search fails"
            became = f"failed: {record.get('cause')}: {record.get('why')}"
            found.append(Fault(kind, began, record["cell"], became=became))
    return found
