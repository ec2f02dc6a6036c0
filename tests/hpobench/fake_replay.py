"""Writes replays of invented numbers into a run's folder, as `hpobench replay` leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpobench.results.json_files import append_lines, write_json
from hpobench.results.replayed import incumbents_at
from hpobench.results.run import Results

TRAINED_ON = "training and validation"


def write_replay(
    folder: Path, at: tuple[float, ...] = (np.inf,), draws: int = 2, every: bool = False
) -> Results:
    """The incumbents of its complete cells at some times, or all; the default, the reference."""
    results, lines = Results.load(folder), []
    changes = results.regret()
    held = changes[changes["curve"] == "incumbent"] if every else incumbents_at(changes, at)
    held = held[["cell", "evaluation"]].dropna(subset="evaluation")
    held = held.drop_duplicates(["cell", "evaluation"]).merge(results.cells, on="cell")
    for cell in held[held["status"] == "complete"].to_dict("records"):
        names = {name: cell[name] for name in ("cell", "searcher")} | {"attempt": 1}
        names |= {"evaluation": int(cell["evaluation"])}
        loss = 0.12 + 0.01 * len(cell["searcher"]) + 0.001 * cell["seed"]
        loss += 0.1 / (1 + names["evaluation"]) if every else 0.0
        lines += _lines(cell["task"], cell["seed"], "incumbent", loss, draws, **names)
    splits = results.cells[["task", "seed"]].drop_duplicates()
    for task, seed in zip(splits["task"], splits["seed"].tolist(), strict=True):
        lines += _lines(task, seed, "default", 0.45, draws)
        if results.references[task] is not None:
            lines += _lines(task, seed, "reference", 0.1, draws)
    times: list[Any] = ["end" if np.isinf(time) else time for time in at]
    wanted = {"schema": 1, "at": times, "draws": draws, "every": every, "made": []}
    write_json(folder / "replay.json", wanted)
    append_lines(folder / "replay.jsonl", lines)
    results = Results.load(folder)
    results.write()
    return results


def _lines(
    task: str, seed: int, row: str, loss: float, draws: int, **names: Any
) -> list[dict[str, Any]]:
    measured = {"trained_on": TRAINED_ON, "test_accuracy": 0.9}
    return [
        {"schema": 1, "task": task, "seed": seed, "draw": draw, "row": row, **names, **measured}
        | {"test_loss": loss + 0.002 * draw}
        for draw in range(draws)
    ]
