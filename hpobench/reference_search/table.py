"""A reference from a table of all configurations: its smallest loss is certified.

The table is CSV with a header, or JSON with a list of objects: a column for each of the task's
hyperparameters, flat (``learning_rate_0``, …), and ``validation_loss``. Several rows of one
configuration (seeds, say) are averaged; other columns are left alone.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpobench.errors import StudyError
from hpobench.results.json_files import read_bytes
from hpobench.statistics.curves import standard_error
from searchers.space import Categorical, Flat, Int, Scalar, Space, SpaceError
from trainables.task import Task

LOSS = "validation_loss"


def certified_by(task: Task, file: Path) -> dict[str, Any]:
    """The best mean validation loss of a whole table, as a reference but for who made it when.

    Raises StudyError for a table with a column or a loss missing, a configuration outside the
    task's space, or, where the space is finite, without one of its configurations.
    """
    losses = _losses(task, file)
    size = size_of(task.space)
    if size is not None and len(losses) < size:
        raise StudyError(
            f"{file}: {len(losses):,} of the {size:,} configurations of {task.name}:"
            " a table that is not whole certifies nothing"
        )
    of_best, best = min(losses, key=lambda pair: math.fsum(pair[0]) / len(pair[0]))
    whole = "all that there are" if size is not None else "by its maker's word all that there are"
    return {
        "kind": "certified",
        "hyperparameters": best,
        "standard_error": None,
        "provenance": {
            "how": f"the smallest mean validation loss of the {len(losses):,} configurations in"
            f" {file.name}: {whole}",
            "table_sha256": hashlib.sha256(read_bytes(file)).hexdigest(),
            "table_rows": sum(len(of) for of, _ in losses),
            "validation_loss": math.fsum(of_best) / len(of_best),
            "validation_standard_error": float(standard_error(of_best))
            if len(of_best) > 1
            else None,
        },
    }


def size_of(space: Space) -> int | None:
    """How many configurations a space has; None if one of its domains is a real range."""
    sizes = [_size(domain) for domain in space.scalars.values()]
    return math.prod(sizes) if all(sizes) else None


def _size(domain: Scalar) -> int:
    """0 for a real range."""
    if isinstance(domain, Categorical):
        return len(domain.choices)
    return domain.high - domain.low + 1 if isinstance(domain, Int) else 0


def _losses(task: Task, file: Path) -> list[tuple[list[float], Flat]]:
    """Each configuration with its losses, in the table's order."""
    found: dict[tuple[Any, ...], tuple[list[float], Flat]] = {}
    columns = [*task.space.scalars, LOSS]
    for number, row in enumerate(_rows(file), start=1):
        missing = [column for column in columns if row.get(column) is None]
        if missing:
            where = "no column" if number == 1 else f"row {number} has no"
            needs = ", ".join(columns)
            raise StudyError(f"{file}: {where} {missing[0]}; a table of {task.name} has {needs}")
        try:
            flat = task.space.check(
                {name: _value(domain, row[name]) for name, domain in task.space.scalars.items()}
            )
        except SpaceError as error:
            raise StudyError(f"{file}: row {number}: {error}") from None
        found.setdefault(tuple(flat.values()), ([], flat))[0].append(_loss(row[LOSS], file, number))
    if not found:
        raise StudyError(f"{file}: there is no row in it")
    return list(found.values())


def _rows(file: Path) -> Sequence[Mapping[str, Any]]:
    if not file.is_file():
        raise StudyError(f"{file}: there is no such file")
    try:
        text = read_bytes(file).decode()
        if file.suffix != ".json":
            return list(csv.DictReader(io.StringIO(text)))
        rows = json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise StudyError(f"{file} is no table: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise StudyError(f"{file} is no table: in JSON it is a list of objects, one for each row")
    return rows


def _value(domain: Scalar, told: Any) -> Any:
    """A value as its domain has it: all is text in CSV. As it is where that makes no sense."""
    if not isinstance(told, str):
        return told
    if isinstance(domain, Categorical):
        return {str(choice): choice for choice in domain.choices}.get(told, told)
    try:
        return int(told) if isinstance(domain, Int) else float(told)
    except ValueError:
        return told


def _loss(told: Any, file: Path, number: int) -> float:
    try:
        loss = float(told)
    except (TypeError, ValueError):
        loss = math.nan
    if not math.isfinite(loss):
        raise StudyError(
            f"{file}: row {number}: {LOSS} is {told!r}, not a number; a divergence has the task's"
            " ceiling"
        )
    return loss
