"""What a W&B server has: asked of it, since no note on this machine can know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpobench.tracking.wandb import lookup_reader
from hpobench.tracking.wandb.process import answer, online


@dataclass(frozen=True)
class Place:
    """A project on a server, as W&B's settings and key resolve it."""

    server: str
    entity: str
    project: str


@dataclass(frozen=True)
class Found:
    """What a place has of the runs that were asked for: their ids."""

    place: Place
    ids: frozenset[str]


def look_up(folder: Path, ids: Sequence[str], entity: str | None, project: str) -> Found:
    """Which of the runs a project has. ``folder``: that of the hpobench run.

    ``entity``: whose project, by default that of W&B's settings, or else of the key. TrackingError,
    in one line, without a key, or if the server does not answer.
    """
    request = {"entity": entity, "project": project, "ids": list(ids)}
    problem = (
        "W&B did not say which runs it has (%s); the results are whole: run `wandb login` or check"
        f" the network, then `hpobench wandb sync {folder}`"
    )
    said = answer(lookup_reader.__file__, request, online(), problem, folder)
    place = Place(said["server"], said["entity"], said["project"])
    return Found(place, frozenset(said["there"]))
