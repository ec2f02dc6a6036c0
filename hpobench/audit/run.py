"""An audit from its questions to its answers, shown as they come and written down at the end."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console

from hpobench.audit.agreement import agreement
from hpobench.audit.cost import cost
from hpobench.audit.figure import audit_figure
from hpobench.audit.online import online
from hpobench.audit.rows import Agreement, Cost, Spread
from hpobench.audit.spread import SEED, spread
from hpobench.audit.subjects import Subjects, labelled
from hpobench.audit.table import (
    agreement_table,
    failure_lines,
    gross_lines,
    memory_table,
    refusal_lines,
    spread_table,
    time_table,
    trouble_lines,
)
from hpobench.report.drawing.render import render
from hpobench.results.json_files import make_folder, write_json, write_whole
from trainables.task import Task

SCHEMA = 1
NO_FIGURE = "No figure: single steps are checked alone, without noise and cost to draw."
FORMS: tuple[Literal["png"], Literal["svg"]] = ("png", "svg")


@dataclass(frozen=True)
class Audit:
    """Everything that was measured, on which machine. ``task``: of noise and bias, if measured."""

    task: str | None
    device: str
    machine: str
    seconds: float
    agreement: tuple[Agreement, ...]
    spread: tuple[Spread, ...]
    cost: tuple[Cost, ...]

    @property
    def failures(self) -> list[str]:
        """What failed, a line each; empty if the hypergradients can be trusted."""
        measured: list[Spread | Cost] = [*self.spread, *self.cost]
        broken = [row for row in measured if not row.refused]
        return failure_lines(self.agreement) + gross_lines(self.spread) + trouble_lines(broken)


def conduct(chosen: Subjects, task: Task, out: Path | None, console: Console) -> Audit:
    """Audit, show each part once it is measured, and write everything into a folder.

    Agreement is checked on the CPU; noise and cost are measured on a GPU where there is one.
    """
    began = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # First of all, for its data may be missing.
    problem = task.build(SEED, device).inner if chosen.measured else None
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = make_folder(out if out is not None else Path("runs") / f"audit-{stamp}")
    with (
        _removed_if_empty(folder),
        one_thread(),
        console.status("Do the hypergradients agree?") as status,
    ):
        agreed = tuple(_agreement(chosen))
        if chosen.agreeing:
            console.print(agreement_table(agreed, against_differences=False))
        if agreed:
            console.print(agreement_table(agreed, against_differences=True))
        _print(console, refusal_lines(agreed))
        spreads: tuple[Spread, ...] = ()
        costs: tuple[Cost, ...] = ()
        if problem is not None:
            status.update(f"How noisy are they on {task.name}?")
            spreads = tuple(spread(task, problem, chosen.measured))
            console.print(spread_table(spreads))
            status.update("What do they cost?")
            costs = tuple(cost(labelled(chosen.costed), device))
            console.print(time_table(costs))
            console.print(memory_table(costs))
            refused: list[Spread | Cost] = [row for row in spreads if row.refused]
            refused += [row for row in costs if row.refused]
            _print(console, trouble_lines(refused))
    machine = f"{platform.processor() or platform.machine()}, torch {torch.__version__}"
    seconds = time.perf_counter() - began
    place = task.name if chosen.measured else None
    done = Audit(place, device.type, machine, seconds, agreed, spreads, costs)
    _print(console, done.failures or [passed(agreed)])
    if not costs:
        _print(console, [NO_FIGURE])
    _print(console, map(str, write(done, folder)))
    return done


def passed(rows: Sequence[Agreement]) -> str:
    """What to say if nothing failed."""
    if not rows:
        return "Nothing was checked: an engine that clamps is not exact; its bias is measured."
    return f"Every check passed: {sum(not row.refused for row in rows)} comparisons."


@contextmanager
def _removed_if_empty(folder: Path) -> Iterator[None]:
    """An audit that is interrupted leaves nothing."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise


@contextmanager
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from more threads, and lose a lot where cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _agreement(chosen: Subjects) -> Iterator[Agreement]:
    if chosen.agreeing:
        yield from agreement(labelled(chosen.agreeing))
    if chosen.online:
        yield from online()


def write(done: Audit, folder: Path) -> list[Path]:
    """``audit.json``, ``audit.csv`` with every row, and the figure where there is one."""
    failed = {"schema": SCHEMA, "failed": done.failures}
    write_json(folder / "audit.json", failed | _without_nan(dataclasses.asdict(done)))
    write_whole(folder / "audit.csv", as_csv(done).encode())
    paths = [folder / "audit.json", folder / "audit.csv"]
    if done.cost:
        figure = audit_figure(done.spread, done.cost)
        for form in FORMS:
            paths.append(folder / f"audit.{form}")
            write_whole(paths[-1], render(figure, form, "light"))
    return paths


def as_csv(done: Audit) -> str:
    """Every row under the columns of all: ``check`` says what it is of; empty where unknown."""
    kinds: dict[str, Sequence[Agreement | Spread | Cost]] = {
        "agreement": done.agreement,
        "spread": done.spread,
        "cost": done.cost,
    }
    columns = ["check"]
    for kind in (Agreement, Spread, Cost):
        columns += [f.name for f in dataclasses.fields(kind) if f.name not in columns]
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    for check, rows in kinds.items():
        table.writerows({"check": check, **_without_nan(dataclasses.asdict(r))} for r in rows)
    return text.getvalue()


def _without_nan(value: Any) -> Any:
    """With None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
