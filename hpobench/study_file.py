"""A study as JSON (``study.json``), and back."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hpobench.budget import Budget
from hpobench.discovery import load_file
from hpobench.errors import RunError
from hpobench.provenance import commit, hardware, versions
from hpobench.results.schema import SCHEMA
from hpobench.study import Study
from searchers.black_box.baselines import Baseline
from searchers.protocols import BlackBoxSearcher, Searcher
from searchers.settings import plain
from searchers.update_rules import UpdateRule
from trainables.task import Task
from trainables.tasks import find_task

FACES = ("searchers", "searchers.hypergradients")
"""A class is recorded by where it is exported for users: the module that it is in may move."""


def describe(study: Study, source: Path | None) -> dict[str, Any]:
    """The content of ``study.json``; ``source`` is the user's file that the study came from."""
    return {
        "schema": SCHEMA,
        **definition(study),
        "source": str(source.resolve()) if source else None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "cells": [
            {
                "cell": cell.name,
                "task": cell.task.name,
                "searcher": cell.searcher.name,
                "seed": cell.seed,
            }
            for cell in study.cells()
        ],
        "versions": versions(),
        "hardware": hardware(),
        "commit": commit(),
    }


def definition(study: Study) -> dict[str, Any]:
    """What makes two runs runs of the same study."""
    return {
        "name": study.name,
        "budget": study.budget.as_json(),
        "width": study.width,
        "slot": {"cpus": study.cpus, "gpus": study.gpus},
        "yardstick_draws": study.yardstick_draws,
        "patience": study.patience,
        "seeds": list(study.seeds),
        "tasks": [describe_task(task) for task in study.tasks],
        "searchers": [describe_searcher(searcher) for searcher in study.searchers],
    }


def describe_task(task: Task) -> dict[str, Any]:
    content = {
        "name": task.name,
        "summary": task.summary,
        "metric": task.metric,
        "update_rule": describe_rule(task.rule),
        "space": task.space.describe(),
        "initial": [task.space.flatten(nested) for nested in task.initial],
        "default": task.space.flatten(task.default),
        "budgets": list(task.budgets),
        "smaller_budget": task.smaller_budget,
        "loss_ceiling": task.loss_ceiling,
    }
    return {**content, "hash": task_hash(task)}


def task_hash(task: Task) -> str:
    """A fingerprint of what a reference depends on: rule, ranges, budgets, what one means."""
    parts = {
        "name": task.name,
        "metric": task.metric,
        "update_rule": describe_rule(task.rule),
        "space": task.space.describe(),
        "budgets": list(task.budgets),
        "smaller_budget": task.smaller_budget,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def describe_rule(rule: UpdateRule) -> str:
    """Its name, and the settings that are not the usual ones."""
    usual = getattr(rule, "__dataclass_fields__", {})
    settings = _settings(rule).items()
    unusual = [f"{name} {value}" for name, value in settings if value != usual[name].default]
    return ", ".join([rule.name, *unusual])


def describe_searcher(searcher: Searcher) -> dict[str, Any]:
    kind = type(searcher)
    return {
        "name": searcher.name,
        "kind": _kind(searcher),
        "class": class_name(kind),
        "settings": json.loads(json.dumps(_settings(searcher), default=_part)),
        "summary": (kind.__doc__ or "").strip().split("\n")[0],
    }


def _kind(searcher: Searcher) -> str:
    """Its family, which reports tell apart."""
    if isinstance(searcher, Baseline):
        return "no search"
    return "black-box" if isinstance(searcher, BlackBoxSearcher) else "gradient-based"


def _settings(thing: Any) -> dict[str, Any]:
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    return {f.name: plain(getattr(thing, f.name)) for f in fields if f.name != "name"}


def _part(thing: object) -> Any:
    """A part of a searcher (an engine, an outer optimizer), so that it can be made again."""
    if dataclasses.is_dataclass(thing):
        return {"class": class_name(type(thing)), "settings": _settings(thing)}
    return str(thing)


def class_name(kind: type) -> str:
    """How a class is recorded: ``searchers:FDS``, or by its own module if no face exports it."""
    for face in FACES:
        if getattr(importlib.import_module(face), kind.__name__, None) is kind:
            return f"{face}:{kind.__name__}"
    return f"{kind.__module__}:{kind.__qualname__}"


def find_class(recorded: str) -> Any:
    """The class of a record; one of this project's that has moved since is found by its name.

    Raises ImportError or AttributeError if there is none.
    """
    module, _, name = recorded.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        if module.partition(".")[0] in FACES:
            for face in map(importlib.import_module, FACES):
                if hasattr(face, name):
                    return getattr(face, name)
        raise


def rebuild(record: dict[str, Any]) -> Study:
    """The study of a ``study.json``: from its source file, or else from the catalogues."""
    source = record.get("source")
    if source is not None:
        if not Path(source).is_file():
            raise RunError(
                f"{source}, which this study came from, is not there any more;"
                " say where it is: hpobench resume FOLDER --study FILE"
            )
        found = load_file(Path(source))
        tasks = {task.name: task for task in found.tasks}
        searchers = {searcher.name: searcher for searcher in found.searchers}
    else:
        tasks, searchers = {}, {}
    study = Study(
        record["name"],
        [tasks.get(t["name"]) or find_task(t["name"]) for t in record["tasks"]],
        [searchers.get(s["name"]) or _searcher(s) for s in record["searchers"]],
        record["seeds"],
        Budget(record["budget"]["amount"], record["budget"]["kind"]),
        record["width"],
        record["slot"]["cpus"],
        record["slot"]["gpus"],
        record["yardstick_draws"],
        record["patience"],
    )
    check_same(study, record)
    return study


def check_same(study: Study, record: dict[str, Any]) -> None:
    """Refuse to go on with a study that is not the one the folder holds."""
    now = json.loads(json.dumps(definition(study)))
    for key, value in now.items():
        if _compared(record.get(key)) != _compared(value):
            raise RunError(
                f"study {study.name}: its {key} changed since this run began;"
                " start a new run, or go back to the code of then"
            )


def _compared(value: Any) -> Any:
    """What has to be the same in two definitions: classes, however recorded, and no summaries.

    Nor a searcher's kind, which its class decides.
    """
    if isinstance(value, list):
        return [_compared(part) for part in value]
    if not isinstance(value, dict):
        return value
    words = ("summary", "kind") if "class" in value else ("summary",)
    same = {key: _compared(part) for key, part in value.items() if key not in words}
    if isinstance(same.get("class"), str):
        with suppress(ImportError, AttributeError):  # one that is gone has its recorded name
            same["class"] = class_name(find_class(same["class"]))
    return same


def _searcher(record: dict[str, Any]) -> Searcher:
    try:
        kind, settings = _again(record)
    except (ImportError, AttributeError):
        raise RunError(
            f"searcher {record['name']}: {record['class']} cannot be imported;"
            " resume from Python with Study.resume(folder)"
        ) from None
    fields = {field.name for field in dataclasses.fields(kind)}
    return kind(**settings, **({"name": record["name"]} if "name" in fields else {}))


def _again(record: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The class of a record, and its settings, parts made again."""
    settings: dict[str, Any] = {}
    for key, value in record["settings"].items():
        if isinstance(value, dict) and value.keys() == {"class", "settings"}:
            part, its_own = _again(value)
            value = part(**its_own)
        settings[key] = tuple(value) if isinstance(value, list) else value
    return find_class(record["class"]), settings
