"""Replay: incumbents trained again from scratch, to tell good hyperparameters from a lucky seed.

What is kept of an incumbent is its configuration, frozen; for a searcher that changes
hyperparameters during a training (HD, RMD, greedy) also the schedule that it had learned, step by
step. The reference and the default are trained beside the incumbents, on the same draws.

* *On what*: the full training set, that is the cell's training and validation data together, as
  one does before a model is used (scikit-learn's ``refit``), and as FDS was reported ("retrain on
  the full training set from scratch", Micaelli & Storkey 2021, in their code). The test data stay
  the cell's own: where they are drawn by the cell's seed, another split's would hold examples that
  the search has seen. A task that does not say how to train on all of it (`Instance.full`) is
  replayed on its training data alone, and every line, and the table, says so.
* *For how long*: the task's horizon in epochs, so more steps where there are more data. There is no
  rule for passes against steps (Goodfellow, Bengio & Courville 2016, section 7.8, leave it open);
  epochs are what a task's budgets are in. A schedule is laid over the steps by the fraction of the
  training, windows and learned steps alike.
* *With which randomness*: initial weights and batch order of training number `REPLAY_DRAWS` + draw
  of the cell's seed, which neither a search nor a baseline run has seen: fresh for everybody, and
  for one seed and draw the same for every searcher, for the reference and for the default.

`replay.jsonl` gets a line for each training; what it holds is not trained again, and an incumbent
that was the incumbent at several times is trained once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from hpobench.budget import Budget
from hpobench.errors import StudyError
from hpobench.provenance import commit, hardware, versions
from hpobench.results.json_files import Record, read_json, read_lines, write_json
from hpobench.results.replayed import END, Replays, incumbents_at
from hpobench.results.run import Results
from hpobench.results.schema import REPLAY, REPLAYED, SCHEMA
from hpobench.running.test_metrics import FRESH_DRAWS
from hpobench.running.training import Training
from hpobench.study import Study
from searchers.hypergradients.schedules import frozen_schedule
from searchers.hypergradients.training import start, train
from searchers.settings import is_number, is_whole, plain
from searchers.space import Flat
from trainables.task import Task

REPLAY_DRAWS = 2 * FRESH_DRAWS
"""Training numbers from here on are for replays: no cell and no baseline run gets that far."""

DRAWS = 5
"""How often each incumbent is trained, unless told."""


def agreed(
    results: Results,
    budget: Budget,
    at: Sequence[float] | None,
    draws: int | None,
    every: bool = False,
) -> Replays:
    """What is asked for now and what was asked for earlier.

    Args:
        results: Of the run, with what was asked for earlier.
        budget: Of the study's cells.
        at, draws, every: As `hpobench.pipeline.replay` is given them.

    Raises:
        StudyError: For times and draws that make no sense.
    """
    lines = pd.DataFrame(columns=[*REPLAY, *REPLAYED])
    earlier = results.replays or Replays(at=(), draws=0, lines=lines)
    draws = plain(draws)
    if draws is not None and not is_whole(draws, 1):
        raise StudyError(f"a replay has a whole number of draws, at least 1, not {draws!r}")
    times = {*plain(tuple(() if at is None else at)), *earlier.at} or {math.inf}
    for time in times:
        if not (is_number(time) or time == math.inf) or time <= 0:
            raise StudyError(f"a replay is at seconds above 0, or at the {END}, not at {time!r}")
        if budget.kind == "seconds" and budget.amount < time < math.inf:
            raise StudyError(
                f"a replay at {time:g} s: the budget ended at {budget.amount:g} s; for its end,"
                f" say {END}"
            )
    most = max(draws or 0, earlier.draws) or DRAWS
    return Replays(tuple(sorted(times)), most, earlier.lines, every or earlier.every)


def write_agreed(results: Results) -> None:
    """`replay.json`: what was asked for, and each code and machine that had a part in it."""
    assert results.replays is not None
    file = results.path / "replay.json"
    at = [END if math.isinf(time) else time for time in results.replays.at]
    made = read_json(file)["made"] if file.exists() else []
    now = {"versions": versions(), "hardware": hardware(), "commit": commit()}
    made = made if now in made else [*made, now]
    asked = {"at": at, "draws": results.replays.draws, "every": results.replays.every}
    write_json(file, {"schema": SCHEMA, **asked, "made": made})


@dataclass(frozen=True)
class Frozen:
    """What is trained again: a configuration, and a schedule where one was learned.

    ``row``: "incumbent", "reference" or "default". ``names``: of an incumbent its cell, searcher,
    attempt and evaluation. ``learned``: name → its value at each step.
    """

    row: str
    configuration: Flat
    learned: Mapping[str, Sequence[float]]
    names: Mapping[str, Any]


def train_again(
    task: Task, seed: int, frozen: Frozen, draw: int, device: str, threads: int
) -> list[dict[str, Any]]:
    """Train on a fresh draw; what the one line of ``replay.jsonl`` says of the outcome."""
    torch.set_num_threads(threads)
    instance = task.build(seed, torch.device(device))
    problem = instance.inner if instance.full is None else instance.full()
    along = frozen_schedule(task.brief(seed, 1), problem, frozen.configuration, frozen.learned)
    fresh = problem.draw(REPLAY_DRAWS + draw)
    trained = train(problem, fresh, along, start(fresh, task.rule), range(along.steps))
    metrics = task.capped(instance.test(trained.weights))
    trained_on = "training" if instance.full is None else "training and validation"
    tested = {"test_loss": metrics.loss, "test_accuracy": metrics.accuracy}
    return [{"trained_on": trained_on, **tested}]


def training_of(
    study: Study, folder: Path, task: Task, seed: int, frozen: Frozen, draw: int
) -> Training:
    """One of them, to be trained again on a draw: it becomes a line of ``replay.jsonl``."""
    whose = frozen.names.get("cell", f"the {frozen.row} of {task.name}")
    names = {"task": task.name, "seed": seed, "draw": draw, "row": frozen.row, **frozen.names}
    return Training(
        f"replaying {whose}",
        study,
        folder / "replay.jsonl",
        names,
        train_again,
        task,
        seed,
        frozen,
        draw,
    )


def missing_replays(study: Study, results: Results) -> list[Training]:
    """What has still to be trained, draw by draw: one cut short has whole pairs."""
    assert results.replays is not None
    held_by = _incumbents(results)
    lines = results.replays.lines.to_dict("records")
    there = {(line["task"], line["seed"], line["draw"], _key(line["row"], line)) for line in lines}
    missing = []
    for draw in range(results.replays.draws):
        for seed in study.seeds:
            for task in study.tasks:
                wanted = [*_rows(task, results), *held_by.get((task.name, seed), [])]
                missing += [
                    training_of(study, results.path, task, seed, frozen, draw)
                    for frozen in wanted
                    if (task.name, seed, draw, _key(frozen.row, frozen.names)) not in there
                ]
    return missing


def _key(row: str, names: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Which of the things that are trained on a draw it is."""
    incumbent = row == "incumbent"
    return (row, *((names["cell"], names["attempt"], names["evaluation"]) if incumbent else ()))


def _rows(task: Task, results: Results) -> list[Frozen]:
    """The task's default, and its reference if there is one."""
    rows = [Frozen("default", task.space.flatten(task.default), {}, {})]
    reference = results.references[task.name]
    if reference is not None:
        rows.append(Frozen("reference", reference["hyperparameters"], {}, {}))
    return rows


def _incumbents(results: Results) -> dict[tuple[str, int], list[Frozen]]:
    """By task and seed, what the complete cells' incumbents were trained with, each once."""
    assert results.replays is not None
    changes = results.regret()
    held_at = incumbents_at(changes, results.replays.at)
    if results.replays.every:
        held_at = changes[changes["curve"] == "incumbent"]
    held_at = held_at.dropna(subset="evaluation")
    wanted = held_at.groupby("cell")["evaluation"].agg(set).to_dict()
    found: dict[tuple[str, int], list[Frozen]] = {}
    cells = results.cells
    for cell in cells.loc[cells["status"] == "complete", "cell"]:
        if cell in wanted:
            records = read_lines(results.path / "cells" / cell / "evaluations.jsonl").records
            for record in records:
                if record["evaluation"] in wanted[cell]:
                    pair = record["task"], record["seed"]
                    found.setdefault(pair, []).append(_frozen(record))
    return found


def _frozen(record: Record) -> Frozen:
    names = {name: record[name] for name in ("cell", "searcher", "attempt", "evaluation")}
    learned = record.get("notes", {}).get("schedule", {})
    if not isinstance(learned, dict):
        raise StudyError(
            f"{record['cell']}: evaluation {record['evaluation']} has a note `schedule` that is not"
            " name → its value at each step; let its searcher call that note something else"
        )
    return Frozen("incumbent", record["hyperparameters"], learned, names)
