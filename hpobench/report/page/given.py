"""What every searcher was given, what was measured from, and what the run was made with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpobench.results.json_files import Record
from hpobench.text import (
    UNKNOWN,
    budget,
    configuration,
    listed,
    number,
    pairs,
    plain,
    plural,
    plus_minus,
)

if TYPE_CHECKING:
    from hpobench.results.run import Results


def given_to_all(study: Record) -> list[tuple[str, str]]:
    """What every cell may spend, and on what."""
    slot = study.get("slot")
    given = [
        ("budget", f"{budget(study['budget'])} for each cell"),
        ("slots", f"{study['width']} for each cell"),
        ("seeds", ", ".join(map(str, study["seeds"]))),
    ]
    if slot:
        cpus, gpus = plural(slot["cpus"], "CPU core"), f"{slot['gpus']:g} GPU"
        given.insert(2, ("a slot", f"{cpus}, {gpus}" if slot["gpus"] else cpus))
    return given


def given_by(results: Results, name: str) -> dict[str, list[str]]:
    """What a task gives to every searcher, in lines."""
    task = results.task(name)
    offered = [*(configuration(flat) for flat in task["initial"]), *_begun(results, name)]
    smaller = {
        "compress": "the whole schedule in fewer steps",
        "truncate": "the first part of the schedule",
    }[task["smaller_budget"]]
    epochs = listed([str(budget) for budget in task["budgets"]])
    return {
        "what is trained": [plain(task["summary"])],
        "update rule": [task["update_rule"]],
        "ranges (the prior)": [f"{name}: {words}" for name, words in task["space"].items()],
        "initial: offered first": offered,
        "default": [configuration(task["default"])],
        "budgets of a training": [f"{epochs} epochs; a smaller budget is {smaller}"],
        "measured by": [f"{task['metric']}; above {number(task['loss_ceiling'])} it has diverged"],
    }


def _begun(results: Results, task: str) -> list[str]:
    """Which searchers trained what was offered first in full, and which to a smaller budget."""
    cells = results.cells[results.cells["task"] == task][["cell", "searcher"]]
    firsts = results.evaluations[results.evaluations["evaluation"] == 0][["cell", "full"]]
    started = cells.merge(firsts, on="cell")
    full = started.groupby("searcher")["full"].all().to_dict()
    searching = [s["name"] for s in results.study["searchers"] if s["kind"] != "no search"]
    in_full = [name for name in searching if full.get(name) is True]
    less = [name for name in searching if full.get(name) is False]
    lines = [f"trained in full first by {listed(in_full)}"] if in_full else []
    return lines + ([f"to a smaller budget first by {listed(less)}"] if less else [])


def searcher_words(searcher: Record) -> Record:
    """A searcher's record with its settings in words."""
    settings = _listed_settings(searcher["settings"]) or "none"
    return {**searcher, "summary": plain(searcher["summary"]), "settings": settings}


def _listed_settings(settings: Record) -> str:
    return ", ".join(f"{key} = {_setting(value)}" for key, value in settings.items())


def _setting(value: Any) -> str:
    """A setting in words; a part, such as an engine, by its class and its own settings."""
    if isinstance(value, dict) and value.keys() == {"class", "settings"}:
        return f"{value['class'].partition(':')[2]}({_listed_settings(value['settings'])})"
    return str(value)


def reference_words(results: Results, task: str) -> Record:
    """A task's reference: what it is, where it is from, and what it comes to on each split."""
    reference = results.references[task]
    splits = []
    for seed in results.study["seeds"]:
        split = results.split(task, seed)
        loss = plus_minus(split.reference_loss, split.tolerance)
        losses = f"{loss} | {number(split.default['test_loss'])}"
        splits.append(f"seed {seed}: {losses}")
    if reference is None:
        empty = {"hyperparameters": UNKNOWN, "standard_error": UNKNOWN, "provenance": [UNKNOWN]}
        return {"kind": "no reference", "splits": splits, **empty}
    own = reference.get("standard_error")
    return {
        "kind": reference["kind"],
        "hyperparameters": configuration(reference["hyperparameters"]),
        "standard_error": "not given" if own is None else number(own, 2),
        "splits": splits,
        "provenance": _provenance(reference.get("provenance") or {}),
    }


def _provenance(provenance: Record) -> list[str]:
    """Where a reference is from, in lines."""
    return [
        f"{name.replace('_', ' ')}: {_known(value)}"
        for name, value in provenance.items()
        if value is not None
    ]


def _known(value: Any) -> str:
    if isinstance(value, dict):
        return pairs(value)
    return number(value) if isinstance(value, float) else str(value)


def made_with(study: Record) -> list[tuple[str, str]]:
    """The machine, the versions and the commit."""
    hardware = study.get("hardware") or {}
    versions = study.get("versions") or {}
    return [
        ("hardware", ", ".join(f"{k}: {v}" for k, v in hardware.items() if v is not None)),
        ("versions", pairs(versions)),
        ("commit", study.get("commit") or "not known"),
    ]
