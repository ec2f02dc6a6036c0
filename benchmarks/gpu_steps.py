"""The steps of gpu.py, each in a process of its own: what it finds, it writes line by line.

    python benchmarks/gpu_steps.py (tests|engines|optimizers|study) FILE

*tests* are those that are marked ``gpu``. *engines* and *optimizers* are engines.py and online.py
on the card, in few rounds and without what takes long there. *study* is one of ten seconds a cell
through `hpobench.Study`. Two slots share the card, half of it each, and the clock waits for it
wherever it is read; they are one cell's, as cells never share a card. `hpobench verify` has the
last word.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import engines as of_engines
import numpy as np
import online
import pandas as pd
import pytest
import timing
import torch
from gpu import Line

from hpobench import Study
from hpobench.results.run import Results

CARD = torch.device("cuda")
TESTS = Path(__file__).resolve().parents[1] / "tests"
WINDOWS, MOST_ROUNDS, SETTING_SECONDS = 7, 15, 50.0
PAIRS = 9
ORIGINAL = "polo5/FDS"
SEARCHERS, CELL_SECONDS = ("random", "tpe", "hd", "fds"), 10.0
WHERE = "digits, two slots on half a card each"
MIB = 2**20

Write = Callable[[Line], object]
Work = Callable[[], object]


def failure(what: str, setting: str, error: BaseException) -> Line:
    """What raised, in a line; the trace goes to the output."""
    traceback.print_exception(error)
    first = str(error).strip().partition("\n")[0]
    return Line(what, setting, f"{type(error).__name__}: {first}", failed=True)


def measured(row: timing.Row) -> Line:
    return Line(row.what, row.setting, *timing.figures(row))


class Noted:
    """A plugin of pytest: every test that fails becomes a line."""

    def __init__(self, write: Write):
        self.passed, self._write = 0, write

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.passed += report.passed and report.when == "call"
        self._note(report)

    def _note(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = (
                str(report.longrepr).strip().rpartition("\n")[2] if crash is None else crash.message
            )
            self._write(Line(report.nodeid, "", why.partition("\n")[0], failed=True))


def tests(write: Write) -> None:
    """Those that need a card. Others are not even collected: that takes longer than these."""
    files = [
        str(file) for file in sorted(TESTS.rglob("test_*.py")) if "mark.gpu" in file.read_text()
    ]
    noted = Noted(write)
    pytest.main(["-m", "gpu", "-p", "no:cacheprovider", *files], plugins=[noted])
    write(Line("tests that need a card", "", f"{noted.passed} passed", failed=not noted.passed))


def engines(write: Write) -> None:
    """Each against plain training and, where there is a checkout, against the original."""
    for setting in (of_engines.LENET, of_engines.WRN):
        side_by_side(write, replace(setting, device=CARD), os.environ.get("HPOBENCH_FDS"))


def side_by_side(write: Write, setting: of_engines.Setting, checkout: str | None) -> None:
    """A setting's rows: those of what works, and a failure for each that does not."""
    where, end = f"{setting.name}, K={WINDOWS}", time.perf_counter() + SETTING_SECONDS
    makes: dict[str, Callable[[], Work]] = {"plain training": lambda: setting.plain}
    for engine in of_engines.ENGINES:
        makes[engine.name] = partial(setting.ours, engine, WINDOWS)
    if checkout:
        makes[ORIGINAL] = partial(of_engines.original, checkout, setting, WINDOWS)
    else:
        write(Line(ORIGINAL, where, "not measured: HPOBENCH_FDS names no checkout"))
    works = working(write, where, makes)
    seconds = timing.warm_rounds(works, MOST_ROUNDS, end - time.perf_counter())
    plain, theirs = seconds.pop("plain training", None), seconds.get(ORIGINAL)
    if plain is not None:
        each = 1000 * plain / setting.steps
        write(measured(timing.row("plain training", where, each, "ms a step")))
    for name, taken in seconds.items():
        if plain is not None:
            write(measured(timing.row(name, where, taken / plain, "steps a step")))
        if theirs is not None and name != ORIGINAL:
            over = timing.row(f"{name} over {ORIGINAL}", where, theirs / taken, "× as fast")
            write(measured(over))


def working(write: Write, where: str, makes: Mapping[str, Callable[[], Work]]) -> dict[str, Work]:
    """What can be made and has run once."""
    works = {}
    for name, make in makes.items():
        try:
            work = make()
            work()
            timing.wait()
        except Exception as error:
            write(failure(name, where, error))
        else:
            works[name] = work
    return works


def optimizers(write: Write) -> None:
    """Whole training steps over those of torch's optimizers."""
    warnings.filterwarnings("ignore", category=UserWarning)
    for variable in ("HPOBENCH_GDTUO", "HPOBENCH_BAYDIN"):
        if variable not in os.environ:
            write(Line("an original", "", f"not measured: {variable} names no checkout"))
    for setting, (widths, batch) in online.NETS.items():
        for what, ours, theirs, _ in online.contests(online.Task(widths, batch, CARD)):
            try:
                found = np.array(online.interleaved(ours, theirs, PAIRS, CARD))
            except Exception as error:
                write(failure(what, setting, error))
            else:
                write(measured(timing.row(what, setting, found, "× torch's step")))


def study(write: Write) -> None:
    """Of searchers of both families; its cells, its ledgers, and whether it can be verified."""
    plan = Study(
        "gpu", ["digits"], SEARCHERS, 1, CELL_SECONDS, width=2, gpus=0.5, yardstick_draws=2
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "run"
        results = plan.run(out, wandb="off")
        for line in told(results):
            write(line)
        command = [sys.executable, "-m", "hpobench", "verify", str(out)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    said = (answer.stdout + answer.stderr).strip().rpartition("\n")[2]
    write(Line("hpobench verify", WHERE, said, failed=bool(answer.returncode)))


def told(results: Results) -> list[Line]:
    """A study's rows."""
    cells = results.cells
    complete = int((cells["status"] == "complete").sum())
    lines = [Line("cells complete", WHERE, f"{complete} of {len(cells)}")]
    for cell in cells.to_dict("records"):
        if cell["status"] != "complete":
            why = f"{cell['status']}: {cell['why']}"
            lines.append(Line(cell["cell"], WHERE, why, failed=True))
            continue
        evaluations = results.evaluations[results.evaluations["cell"] == cell["cell"]]
        figures = {
            "evaluations": str(len(evaluations)),
            "orchestration": f"{cell['orchestration'] / (cell['slots'] * cell['wall']):.2%}",
            "residual": f"{cell['residual']:.3%}",
            "memory on the card, a slot": f"{cell['device_memory'] / MIB:.0f} MiB",
            "first evaluations over later ones": f"{first_over_later(evaluations):.3g} × a step",
        }
        for what, words in figures.items():
            lines.append(Line(f"{cell['searcher']}: {what}", WHERE, words))
    return lines


def first_over_later(evaluations: pd.DataFrame) -> float:
    """Seconds a step of the slots' first evaluations over the median of all others.

    Much above 1: the card was still loading what no warm-up had asked for.
    """
    parts = evaluations["parts"].map(
        lambda parts: parts.get("train", 0.0) + parts.get("hypergradient", 0.0)
    )
    so_far = evaluations["steps"]  # of the cell
    each = parts / so_far.diff().fillna(so_far)
    first = ~evaluations["slot"].duplicated()
    return float(each[first].median() / each[~first].median())


MEASURES: dict[str, Callable[[Write], None]] = {
    "tests": tests,
    "engines": engines,
    "optimizers": optimizers,
    "study": study,
}


def main(name: str, file: Path) -> None:
    torch.set_num_threads(1)  # as of all benchmarks
    with file.open("a") as lines:

        def write(line: Line) -> None:
            print(line.sentence, flush=True)
            lines.write(json.dumps(asdict(line)) + "\n")
            lines.flush()

        try:
            MEASURES[name](write)
        except Exception as error:
            write(failure(name, "", error))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
