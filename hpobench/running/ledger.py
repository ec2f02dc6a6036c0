"""Where a cell's slot-seconds went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PARTS = (
    "search",
    "train",
    "hypergradient",
    "validation",
    "checkpoint",
    "observing",
    "orchestration",
    "idle",
    "unfinished",
)
"""In words, in order: thinking; forward and backward passes of trainings; differentiating them;
measuring the validation loss; keeping and loading unfinished trainings; keeping weights for the
test; the framework's own time; slots without work; the evaluations that the budget cut off."""


class Ledger:
    """Slot-seconds by part; they add up to width × wall."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.wall: float | None = None
        self._parts = dict.fromkeys(PARTS, 0.0)

    def think(self, seconds: float) -> None:
        self._parts["search"] += seconds

    def evaluation(self, parts: Mapping[str, float], occupied: float) -> None:
        """An evaluation that occupied its slot so long, of which ``parts`` are accounted for."""
        for name, seconds in parts.items():  # a searcher's own part is its search
            self._parts[name if name in self._parts else "search"] += seconds
        self._parts["orchestration"] += max(occupied - sum(parts.values()), 0.0)

    def close(self, wall: float, busy_since: list[float]) -> None:
        """The cell is over: what was under way is unfinished, and the rest was idle."""
        self.wall = wall
        self._parts["unfinished"] = sum(max(wall - since, 0.0) for since in busy_since)
        rest = self.width * wall - sum(self._parts.values())
        # Between two trials of a slot the framework is at work; slots idle when work has run out.
        self._parts["orchestration" if busy_since else "idle"] += rest

    def as_json(self, startup: float) -> dict[str, Any]:
        return {
            "wall": round(self.wall or 0.0, 6),
            "slots": self.width,
            "startup": round(startup, 6),
            "parts": {name: round(seconds, 6) for name, seconds in self._parts.items()},
        }
