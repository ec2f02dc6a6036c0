"""Disturbing a study from its start to its end, and the promises that have to hold meanwhile.

Every attempt that came to nothing has to be the work of a fault that hit it, with a cause that
fits; what it had measured has to be kept; a command tries a cell three times at most; whatever
ends a command leaves no process and holds nothing of the cluster; nothing hangs.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.chaos.commands import Driver
from tests.chaos.comparing import lines_of
from tests.chaos.faults import DAMAGED, KINDS, NODES, Fault, Kind, damage_line, free_disk
from tests.chaos.processes import kill_all, until
from tests.chaos.scene import SETTLED, Scene, Somebody

ATTEMPTS = 3
STALL_SECONDS = 120.0
"""Without any news in a run's folder for so long, beside its patience, its command is hung."""
INTERRUPT_SECONDS = 60.0
LEAVING_SECONDS = 30.0
"""How long processes and the cluster have to be left alone after a command's end."""
MOMENT = 0.15
LINGERS_SECONDS = 15.0
"""How long a lost node may still be thought to be there, and given work."""
OF_LIBRARIES = ("torchinductor_", "ray", "hpobench-")
"""What stays in a temporary folder, to be used again."""
KEPT = {
    *(".json", ".jsonl", ".csv", ".parquet", ".tex"),
    *(".png", ".svg", ".pdf", ".html", ".txt"),
}


class Disturbance:
    """One study from its first command to its last; times are since ``began`` (monotonic)."""

    def __init__(self, scene: Scene, random: Random, temporary: Path, began: float):
        self.scene, self._random, self._temporary, self._began = scene, random, temporary, began
        self.faults: list[Fault] = []
        self.broken: list[str] = []
        self.hung = 0
        self._joined: dict[int, Fault] = {}
        self._attempts_before: Counter[str] = Counter()

    def now(self) -> float:
        return time.monotonic() - self._began

    def start(self, elsewhere: bool = False) -> Driver:
        """Run or resume the study; ``elsewhere``: on a Ray of its own."""
        free_disk(self.scene)
        self._clear_what_never_began()
        self._attempts_before = self._void_attempts()
        return self.scene.start(self._temporary, elsewhere)

    def _clear_what_never_began(self) -> None:
        """Without a study.json a folder cannot be resumed; with anything in it, not be run in."""
        folder = self.scene.folder
        there = [p.name for p in folder.iterdir()] if folder.exists() else []
        if there and "study.json" not in there:
            last = self.faults[-1].kind if self.faults else "nothing"
            self.broken.append(f"after {last}: neither to be run nor resumed, with {there}")
            shutil.rmtree(folder)

    @property
    def running(self) -> bool:
        return self.scene.driver is not None and self.scene.driver.running

    def look_on(self, seconds: float, stop: Callable[[], object] = lambda: False) -> None:
        """Watch for a while, or until the command or ``stop`` says that it is over."""
        end = time.monotonic() + seconds
        while self.running and time.monotonic() < end and not stop():
            self._look()
            time.sleep(MOMENT)

    def strike(self, name: str, patience: float = 0.0) -> bool:
        """Let a fault happen while the command runs; False if it found nobody in time."""
        end = time.monotonic() + patience
        while self.running:
            under_way = self.scene.under_way()
            target = KINDS[name].strike(self.scene, self._random)
            if target is not None:
                self._happened(KINDS[name], target, under_way)
                return True
            if time.monotonic() > end:
                return False
            self._look()
            time.sleep(MOMENT)
        return False

    def end_by(self, name: str) -> bool:
        """Let a fault end the command, and see that it ends as it should."""
        driver = self.scene.driver
        if driver is None or not self.strike(name, patience=0.0):
            return False
        fault = self.faults[-1]
        if not self._ends(driver, None if name == "disk full" else INTERRUPT_SECONDS):
            fault.survived = False
        late = self.scene.under_way().items()  # begun between the strike and the end
        fault.attempts = tuple(dict.fromkeys((*fault.attempts, *late)))
        status, said = driver.status, driver.said
        fault.became = f"exit status {status}"
        expected = {"runner killed": (-9,), "disk full": (2, 0)}.get(name, (130, 0))
        if status not in expected:
            self._break(fault, f"exit status {status}, not one of {expected}: {said[-300:]}")
        elif status in (2, 130) and name != "SIGINT twice" and said.count("\n"):
            self._break(fault, f"it said more than one line: {said[-300:]}")
        self.after_command()
        return True

    def await_end(self) -> int | None:
        """Let the command come to its own end; its exit status."""
        driver = self.scene.driver
        assert driver is not None
        self._ends(driver, None)
        self.after_command()
        return driver.status

    def ended_alone(self) -> None:
        """The command came to its end though no fault was to end it: that is for a reason."""
        driver = self.scene.driver
        assert driver is not None
        self.after_command()
        if driver.status:
            words = f"hpobench {driver.arguments[0]} ended with {driver.status}"
            self.broken.append(f"{words}, at {self.now():.0f} s, by itself: {driver.said[-300:]}")

    def tear(self, name: str) -> bool:
        """A fault of files, between two commands."""
        target = KINDS[name].strike(self.scene, self._random)
        if target is None:
            return False
        cell = str(target).split("/")[0]
        record = self.scene.records().get(cell)
        attempts: tuple[tuple[str, int], ...] = ()
        if record is not None:
            number = len(record["attempts"]) + (record["status"] == "running")
            attempts = ((cell, number), (cell, number + 1))
            if (cell, number) in self.scene.seen:
                self.scene.seen[cell, number] -= 1
        self.faults.append(Fault(name, self.now(), str(target), attempts))
        return True

    def damage(self) -> bool:
        """Spoil a line of a complete cell: commands have to name file and line; put it back."""
        files = [
            file
            for file in sorted(self.scene.folder.glob("cells/*/evaluations.jsonl"))
            if self.scene.records().get(file.parent.name, {}).get("status") in SETTLED
            and file.read_bytes().count(b"\n") > 2
        ]
        if not files:
            return False
        file = self._random.choice(files)
        whole = file.read_bytes()
        number = damage_line(file, self._random)
        spoilt = file.read_bytes()
        cell = file.parent.name
        fault = Fault(DAMAGED, self.now(), f"{cell}, line {number}")
        self.faults.append(fault)
        driver = Driver(self.scene.place, "status", self.scene.folder, temporary=self._temporary)
        if not self._ends(driver, INTERRUPT_SECONDS):
            fault.survived = False
        said = f"{driver.said}\n{driver.showed}"
        fault.became = f"exit status {driver.status}: {said.strip()[-120:]}"
        if not driver.status or file.name not in said or f"line {number} " not in said:
            self._break(fault, f"file and line are not named: {said.strip()[-300:]}")
        if file.read_bytes() != spoilt:
            self._break(fault, "status changed the damaged file")
        file.write_bytes(whole)
        return True

    def finish(self, commands: int = 8) -> bool:
        """Resume, undisturbed, until the study is complete; False if it never is."""
        for _ in range(commands):
            self.start()
            status = self.await_end()
            if status == 0 and self.scene.complete:
                return True
            if status != 0:
                said = self.scene.driver.said if self.scene.driver else ""
                self.broken.append(f"an undisturbed resume ended with {status}: {said[-500:]}")
        self.broken.append("the study did not come to its end")
        return False

    def close_book(self) -> None:
        """What became of each fault, and whether the promises held, once the study is complete."""
        records = self.scene.records()
        blamed: dict[tuple[str, int], list[Fault]] = {}
        for fault in self.faults:
            for attempt in fault.attempts:
                blamed.setdefault(attempt, []).append(fault)
        for cell, record in sorted(records.items()):
            for entry in record["attempts"]:
                if entry["status"] in ("void", "interrupted"):
                    self._explain(cell, entry, blamed.get((cell, entry["attempt"]), []))
            self._check_kept(cell, record)
        for fault in self.faults:
            fault.became = fault.became or "left no trace"
        self._check_folder()
        self._check_report(records)

    def _happened(self, kind: Kind, target: str | Somebody, under_way: dict[str, int]) -> None:
        attempts, words = {**self.scene.under_way(), **under_way}, str(target)
        if isinstance(target, Somebody):
            attempts = {cell: n for cell, n in attempts.items() if target.may_be_in(cell)}
            words = f"{target.role} {target.pid} of {target.of}, seed {target.seed}"
        fault = Fault(kind.name, self.now(), words, tuple(attempts.items()))
        self.faults.append(fault)
        if kind.name == "node joined":
            self._joined[int(words.split()[-1])] = fault

    def _look(self) -> None:
        """Keep up with attempts that begin while a fault may still hit them."""
        under_way = tuple(self.scene.under_way().items())
        for fault in self.faults:
            if fault.kind == "node lost" and self.now() - fault.when < LINGERS_SECONDS:
                fault.attempts = tuple(dict.fromkeys((*fault.attempts, *under_way)))
        for node, fault in self._joined.items():
            nodes = self.scene.raylets.nodes if self.scene.raylets else {}
            if not fault.became and node in nodes:
                there = self.scene.raylets.workers(node) if self.scene.raylets else []
                if any(who.pid in there for who in self.scene.at_work("worker")):
                    fault.became = "in use"

    def _ends(self, driver: Driver, limit: float | None) -> bool:
        """Wait for a command; end it, and count it as hung, if it takes too long.

        Without a limit it may go on for as long as there is news in the run's folder.
        """
        last, news = time.monotonic(), self._news()
        while driver.running:
            self._look()
            time.sleep(MOMENT)
            if limit is None and self._news() != news:
                last, news = time.monotonic(), self._news()
            if time.monotonic() - last > (limit or self.scene.patience + STALL_SECONDS):
                under_way = self.scene.under_way()
                self.hung += 1
                line = f"hung: hpobench {' '.join(driver.arguments)}, with {under_way} under way"
                self.broken.append(line)
                given_up = Fault("runner killed", self.now(), "hung", tuple(under_way.items()))
                self.faults.append(given_up)
                driver.end()
                return False
        return True

    def _news(self) -> list[tuple[str, int, int]]:
        found = []
        for name in ("cells/*/*.json*", "*.jsonl", "wandb/*", "*.html"):
            for file in sorted(self.scene.folder.glob(name)):
                with suppress(OSError):
                    stat = file.stat()
                    found.append((file.name, stat.st_size, stat.st_mtime_ns))
        return found

    def after_command(self) -> None:
        """No process is left, nothing of the cluster is held, no cell was tried too often."""
        free_disk(self.scene)
        kill_all(self.scene.rays_own())
        what = f"after {self.faults[-1].kind}" if self.faults else "after the first command"
        if not until(lambda: not self.scene.left_behind(), LEAVING_SECONDS, MOMENT):
            left = self.scene.left_behind()
            self.broken.append(f"{what}, at {self.now():.0f} s, are left behind: {left}")
            kill_all(int(line.split()[0]) for line in left)
        raylets = self.scene.raylets
        if raylets and not until(lambda: not raylets.in_use(), LEAVING_SECONDS, 0.5):
            self.broken.append(f"{what}, at {self.now():.0f} s, is still held: {raylets.in_use()}")
        for cell, count in (self._void_attempts() - self._attempts_before).items():
            if count > ATTEMPTS:
                self.broken.append(f"{cell} was tried {count} times by one command, in vain")

    def _break(self, fault: Fault, line: str) -> None:
        fault.survived = False
        self.broken.append(f"{fault.kind}, {fault.target}: {line}")

    def _void_attempts(self) -> Counter[str]:
        """By cell; a file that a resume finds damaged voids what an earlier command had tried."""
        return Counter(
            cell
            for cell, record in self.scene.records().items()
            for entry in record.get("attempts", [])
            if entry["status"] == "void" and entry["cause"] != "damaged file"
        )

    def _explain(self, cell: str, entry: dict[str, object], faults: list[Fault]) -> None:
        words = f"attempt {entry['attempt']} of {cell} {entry['status']}: {entry['cause']}"
        if "__hangs_" in cell and entry["cause"] == "training stall":
            return  # its own doing
        if not faults:
            self.broken.append(f"{words} ({entry.get('why')}): though nothing hit it")
            return
        fitting = [fault for fault in faults if entry["cause"] in KINDS[fault.kind].causes]
        for fault in fitting or faults:
            fault.became = "; ".join(filter(None, (fault.became, words)))
        if not fitting:
            expected = {cause for fault in faults for cause in KINDS[fault.kind].causes}
            hit = ", ".join(fault.kind for fault in faults)
            line = f"{words} ({entry.get('why')}): hit by {hit}; fitting causes: {sorted(expected)}"
            for fault in faults:
                fault.survived = False
            self.broken.append(line)

    def _check_kept(self, cell: str, record: dict[str, object]) -> None:
        """What disturbed attempts had measured is beside the cell; the cell has one attempt's."""
        folder = self.scene.folder / "cells" / cell
        attempts = list(record["attempts"])  # type: ignore[call-overload]
        numbers = [entry["attempt"] for entry in attempts]
        if numbers != list(range(1, len(attempts) + 1)):
            self.broken.append(f"{cell}: its attempts are numbered {numbers}")
        for entry in attempts[:-1]:
            number, file = entry["attempt"], folder / "attempts" / f"{entry['attempt']}.jsonl"
            held = file.read_bytes().count(b"\n") if file.exists() else 0
            wanted = self.scene.seen.get((cell, number), 0)
            if held < wanted:
                self.broken.append(
                    f"{cell}: of attempt {number}, {held} of {wanted} lines are kept"
                )
        file = folder / "evaluations.jsonl"
        if file.exists():
            if not file.read_bytes().endswith(b"\n"):
                self.broken.append(f"{cell}, {record['status']}: its last line is still torn")
            by = {line["attempt"] for line in lines_of(file)}
            if by - {len(attempts)}:
                self.broken.append(
                    f"{cell}: its lines are of attempts {by}, not of {len(attempts)}"
                )

    def _check_folder(self) -> None:
        """A complete run holds records and what is derived from them, and nothing else."""
        for path in sorted(self.scene.folder.rglob("*")):
            place = path.relative_to(self.scene.folder)
            of_wandb = place.parts[0] == "wandb"
            left = path.name.endswith(".tmp") or path.name == "scratch"
            if left or (path.is_file() and not of_wandb and path.suffix not in KEPT):
                self.broken.append(f"left in the run's folder: {place}")
        for path in sorted((self.scene.place / "tmp").iterdir()):
            if not path.name.startswith(OF_LIBRARIES):
                self.broken.append(f"left in the temporary folder: {path.name}")
        places = [self.scene.place / "tmp"]
        places += [self.scene.raylets.temporary] if self.scene.raylets else []
        for place in places:
            dead = [path.name for path in place.glob("hpobench-*/*") if path.name.isdigit()]
            if len(dead) > 2 * NODES:  # the next cell removes what ended ones left on its node
                self.broken.append(f"left of dead cells: {dead}")

    def _check_report(self, records: dict[str, dict[str, object]]) -> None:
        """The report says how often each cause struck."""
        file = self.scene.folder / "report.html"
        page = file.read_text() if file.exists() else ""
        causes = Counter(
            str(entry["cause"])
            for record in records.values()
            for entry in record["attempts"]  # type: ignore[attr-defined]
            if entry["status"] in ("void", "interrupted")
        )
        self.broken += [
            f"the report does not speak of {count} × {cause}"
            for cause, count in causes.items()
            if cause not in page
        ]
