"""Runs of a searcher that learns by gradients, with what it tried and what it noted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpobench.report.drawing.source import FigureSource
from hpobench.results.run import Results
from tests.hpobench.fake_run import Point, write_cell, write_study, write_yardsticks


def learned(
    folder: Path,
    configurations: Sequence[dict[str, Any]],
    notes: Sequence[dict[str, Any] | None],
    searcher: str = "fds",
) -> FigureSource:
    """A run of one cell that tried these configurations, and noted these notes."""
    write_study(folder, searchers=(searcher, "random"), seeds=(0,))
    write_yardsticks(folder, "digits", 0)
    points = [Point(1.0 + n, 1 / (n + 1), 0.1) for n in range(len(configurations))]
    file = write_cell(folder, "digits", searcher, 0, points) / "evaluations.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line, flat, noted in zip(lines, configurations, notes, strict=True):
        line["hyperparameters"] = flat
        if noted is not None:
            line["notes"] = noted
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return FigureSource(Results.load(folder))


def flat_of(rate: float, later: float, momentum: float = 0.5) -> dict[str, float]:
    """A configuration of the task of `write_study`."""
    return {"learning_rate_0": rate, "learning_rate_1": later, "momentum": momentum}


def noted_at_length(folder: Path) -> FigureSource:
    """A run of which schedules and hypergradients of very many sizes are known."""
    rates = np.geomspace(1e-3, 2.9, 40).tolist()
    notes = [
        {"schedule": {"learning_rate": rates}, "hypergradient": {"learning_rate": 10.0**n}}
        for n in range(-3, 30, 3)
    ]
    return learned(folder, [flat_of(0.001, 2.5, 0.98)] * len(notes), notes, "rmd")
