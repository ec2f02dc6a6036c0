"""All that needs a GPU, in nine minutes: whether it works there, and what it costs.

    python benchmarks/gpu.py [--out FILE]

For a machine with a CUDA card, which whoever runs this may have for a short while only. In order:
the tests that need a card; every engine against plain training and polo5/FDS; the optimizers of
`searchers.online` against torch's and the originals; a study. `gpu_steps.py` says how. Each is a
process of its own with a limit: what fails or hangs is named, and the rest goes on.

All rows go into one Markdown table, ``gpu-<card>.md`` unless told, written anew after each step.
Exits with 1 if anything failed, or if there is no card.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
CARD_SECONDS = 25.0
"""How long a driver may take to say what it has: one that is broken may never answer."""
GRACE_SECONDS = 4.0
"""How long a step that is told to end may take for it."""


@dataclass(frozen=True)
class Line:
    """A row of the table, in words: what, in which setting, and what came of it."""

    what: str
    setting: str
    median: str
    interval: str = "–"
    rounds: str = "–"
    failed: bool = False

    @property
    def sentence(self) -> str:
        """The same in one line of the output."""
        where = f", {self.setting}" if self.setting else ""
        return f"{'FAILED ' if self.failed else ''}{self.what}{where}: {self.median}"


@dataclass(frozen=True)
class Step:
    """A part of it all, for Python: its arguments, to which a file for its lines is added."""

    name: str
    arguments: tuple[str, ...]
    limit: float


@dataclass(frozen=True)
class Outcome:
    """What a step came to, and the seconds that it took."""

    step: Step
    lines: tuple[Line, ...]
    seconds: float

    @property
    def failures(self) -> list[Line]:
        return [line for line in self.lines if line.failed]


# With the card's answer, a minute less than nine: a step that must be ended takes its grace too.
STEPS = tuple(
    Step(name, (str(HERE / "gpu_steps.py"), name), limit)
    for name, limit in (("tests", 60.0), ("engines", 150.0), ("optimizers", 80.0), ("study", 190.0))
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description="All that needs a GPU, in nine minutes.")
    parser.add_argument("--out", type=Path, help="the table's file")
    out: Path | None = parser.parse_args(arguments).out
    card = asked()
    if "none" in card:
        print(f"no CUDA device: {card['none']}")
        return 1  # who asks for a card's figures has got none: a 0 would pass for a check
    out = out or Path(f"gpu-{re.sub('[^A-Za-z0-9]+', '-', card['device']).strip('-')}.md")
    outcomes = []
    for outcome in carried_out(STEPS):
        outcomes.append(outcome)
        out.write_text(table(card, outcomes, datetime.now(UTC)))
    print(out.read_text())
    failures = [line for outcome in outcomes for line in outcome.failures]
    for line in failures:
        print(line.sentence)
    print(f"failures: {len(failures)}; the table is in {out}")
    return 1 if failures else 0


def asked() -> Mapping[str, str]:
    """What the card is, in words by name; or why there is "none".

    In another process: a context of this one's would stay on the card, and a driver may hang.
    """
    command = [sys.executable, str(HERE / "gpu_card.py")]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=CARD_SECONDS, check=True
        )
    except subprocess.TimeoutExpired:
        return {"none": f"the driver did not answer within {CARD_SECONDS:g} s"}
    except subprocess.CalledProcessError as error:
        why = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1]
        return {"none": f"asking for one failed, {why}"}
    found: dict[str, str] = json.loads(answer.stdout.splitlines()[-1])
    return found


def carried_out(steps: Iterable[Step]) -> Iterator[Outcome]:
    """Each step in turn, whatever became of those before; failures are printed as they come."""
    for step in steps:
        began = time.monotonic()
        print(f"{step.name}, {step.limit:g} s at most …", flush=True)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            file = Path(folder) / "lines.jsonl"
            trouble = _run([sys.executable, *step.arguments, str(file)], step.limit)
            lines = _read(file)
        if trouble:
            lines.append(Line(step.name, "", trouble, failed=True))
        outcome = Outcome(step, tuple(lines), time.monotonic() - began)
        for line in outcome.failures:
            print(line.sentence, flush=True)
        yield outcome


def _run(command: Sequence[str], limit: float) -> str | None:
    """Run a process; what was wrong with its end, in words."""
    # A card works while its process does nothing: the processor's time says little of it.
    environment = {k: v for k, v in os.environ.items() if k != "HPOBENCH_CPU_TIME"}
    process = subprocess.Popen(command, start_new_session=True, env=environment)
    try:
        status = process.wait(limit)
    except subprocess.TimeoutExpired:
        return f"not done within {limit:g} s"
    finally:
        _end(process)
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    return f"exit status {status}" if status else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started. One that a driver holds is not waited for."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)


def _read(file: Path) -> list[Line]:
    """The lines that a step wrote; one that it was writing when it ended is left out."""
    whole = file.read_text().split("\n")[:-1] if file.exists() else []
    return [Line(**json.loads(line)) for line in whole]


def table(card: Mapping[str, str], outcomes: Sequence[Outcome], now: datetime) -> str:
    """The Markdown of it all: a section to be pasted into docs/benchmarks.md."""
    others = ", ".join(f"{name} {words}" for name, words in card.items() if name != "device")
    text = [
        f"## On a GPU: {card['device']}",
        "",
        f"{now:%Y-%m-%d}; {others}.",
        "",
        "| what | setting | median | 95 % interval | rounds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for line in (line for outcome in outcomes for line in outcome.lines):
        median = f"failed: {line.median}" if line.failed else line.median
        text.append(_cells(line.what, line.setting, median, line.interval, line.rounds))
    text += ["", "| step | seconds | failures |", "| --- | --- | --- |"]
    for outcome in outcomes:
        text.append(_cells(outcome.step.name, f"{outcome.seconds:.0f}", str(len(outcome.failures))))
    return "\n".join([*text, ""])


def _cells(*words: str) -> str:
    inside = (" ".join(each.split()).replace("|", "\\|") for each in words)
    return f"| {' | '.join(inside)} |"


if __name__ == "__main__":
    sys.exit(main())
