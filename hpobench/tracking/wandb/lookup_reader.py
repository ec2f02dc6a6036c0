"""Asks W&B which runs it has: ``python lookup_reader.py ANSWER``, with a request in JSON.

The request has ``entity`` (None: that of W&B's settings, or else of the key), ``project`` and the
``ids`` of runs. The answer has the ``server``'s address, the ``entity``, the ``project``, and those
of the ids that are ``there``. `lookup` starts it as a process of its own. It imports nothing of the
project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

AT_ONCE = 100
"""How many runs are asked for in one question."""


def look_up(request: dict[str, Any]) -> dict[str, Any]:
    import wandb

    api = wandb.Api()
    entity = request["entity"] or api.settings["entity"] or api.default_entity
    if not entity:
        raise ValueError("the key has no entity of its own: name one with --entity")
    place = {"server": api.settings["base_url"], "entity": entity, "project": request["project"]}
    ids = request["ids"]
    parts = [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]
    return {**place, "there": [key for part in parts for key in there(api, place, part)]}


def there(api: Any, place: dict[str, Any], ids: list[str]) -> list[str]:
    """Those of the ids that a project has; none if there is no such project."""
    path = f"{place['entity']}/{place['project']}"
    found = api.runs(path, filters={"name": {"$in": ids}}, per_page=AT_ONCE)
    try:
        return [run.id for run in found]
    except ValueError as error:
        if "Could not find project" not in str(error):
            raise
        return []


def main() -> None:
    request = json.load(sys.stdin)
    try:
        Path(sys.argv[1]).write_text(json.dumps(look_up(request)))
    except Exception as error:
        sys.exit(f"Error: {type(error).__name__}: {error}".splitlines()[0])


if __name__ == "__main__":
    main()
