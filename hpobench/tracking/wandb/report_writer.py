"""Builds a W&B Report, and saves it: ``python report_writer.py ANSWER``, with a request in JSON.

The request has the ``report`` (of `report.report_of`), whether to ``save`` it, the ``marker`` in
its description, and in ``last`` what `save` answered when it was saved last. `saving` starts it as
a process of its own. It imports nothing of the project.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any


def build(record: Any, project: dict[str, str] | None = None) -> Any:
    """The objects of a record. ``project``: entity and project of run sets; W&B is asked for it."""
    import wandb_workspaces.reports.v2 as library

    if isinstance(record, list):
        return [build(item, project) for item in record]
    if not isinstance(record, dict):
        return record
    arguments = {name: build(value, project) for name, value in record.items() if name != "class"}
    if record["class"] == "Runset" and project is not None:
        arguments |= project
    return getattr(library, record["class"])(**arguments)


def draft(request: dict[str, Any]) -> dict[str, Any]:
    """The report's JSON as W&B would be sent it, but for the inner number of its project."""
    random.seed(request["marker"])  # W&B draws the names of panels: the same for the same report
    report = build(request["report"])
    names = ("entity", "project", "title", "description")
    spec = report._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: getattr(report, name) for name in names} | {"spec": spec}


def save(request: dict[str, Any]) -> dict[str, Any]:
    """Save the report in the place of the one that the study has already, if it has one."""
    import wandb

    project = {name: request["report"][name] for name in ("entity", "project")}
    api = wandb.Api(overrides={"entity": project["entity"]})
    place = {"server": api.settings["base_url"], **project}
    there = {r.id: r.description for r in api.reports("/".join(project.values()))}
    report = build(request["report"], project)
    report.id = known(request, place, there)
    report.save()
    return {**place, "id": report.id, "address": report.url}


def known(request: dict[str, Any], place: dict[str, str], there: dict[str, str | None]) -> str:
    """The report's id, if the place has it; ids count up, so on another server it is another's."""
    last = request["last"]
    if last.get("id") in there and place.items() <= last.items():
        return str(last["id"])
    marked = (key for key, words in there.items() if request["marker"] in (words or ""))
    return next(marked, "")


def main() -> None:
    request = json.load(sys.stdin)
    try:
        answer = save(request) if request["save"] else draft(request)
        Path(sys.argv[1]).write_text(json.dumps(answer))
    except Exception as error:
        sys.exit(f"Error: {type(error).__name__}: {error}".splitlines()[0])


if __name__ == "__main__":
    main()
