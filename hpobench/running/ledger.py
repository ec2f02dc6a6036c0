"""Where a cell's slot-seconds went.

At any time each slot is *free* (nothing was handed to it), *idle* (free, and there is nothing to
hand to it), or *busy*. The time of a busy slot is what its process measured of its work, and on
both sides of that the way there and back, which is the framework's. The parts are measured, each
by itself; how far their sum is from width × wall, the residual, tells whether they can be believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpobench.results.schema import PARTS

WAITS = ("search", "orchestration")
"""Parts that are a slot's waiting, beside what its process measured of them."""


@dataclass
class _Free:
    """A slot without work: since when, and whether because there is none for it."""

    since: float
    idle: bool = False


class Ledger:
    """Slot-seconds by part, on the cell's clock. Slots are numbered from 0."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.wall = 0.0
        self.parts = dict.fromkeys(PARTS, 0.0)
        self._thoughts: list[tuple[float, float]] = []
        """When the searcher was thinking, in order."""
        self._free = {slot: _Free(0.0) for slot in range(width)}
        self._busy: dict[int, float] = {}  # slot → since when
        self._waited = {slot: dict.fromkeys(WAITS, 0.0) for slot in range(width)}
        """What each slot has waited for since its last report."""

    def think(self, began: float, ended: float) -> None:
        """The searcher has been thinking: slots without work, or with a report, waited for it."""
        if ended > began:
            self._thoughts.append((began, ended))

    def handed(self, slot: int, now: float) -> None:
        """A free slot is handed work."""
        self._settle(slot, now)
        del self._free[slot]
        self._busy[slot] = now

    def nothing_for(self, slot: int, now: float) -> None:
        """From here on, until it is handed something, a free slot is idle."""
        self._settle(slot, now)
        self._free[slot] = _Free(now, idle=True)

    def reported(
        self, slot: int, parts: Mapping[str, float], began: float, ended: float, now: float
    ) -> dict[str, float]:
        """What a busy slot did from ``began`` to ``ended`` has arrived ``now``; it is free.

        Returns:
            All that this report took of the slot, by part: what it did, and what it waited for the
            searcher and the framework since its last report.
        """
        since = self._busy.pop(slot)
        for name, seconds in parts.items():  # a searcher's own part is its search
            self.parts[name if name in self.parts else "search"] += seconds
        self._add(slot, "orchestration", began - since)
        self._wait(slot, ended, now, "orchestration")
        self._free[slot] = _Free(now)
        waited, self._waited[slot] = self._waited[slot], dict.fromkeys(WAITS, 0.0)
        return {**parts, **{part: parts.get(part, 0.0) + waited[part] for part in WAITS}}

    def close(self, wall: float) -> None:
        """The cell is over: what is under way is unfinished."""
        self.wall = wall
        for slot in self._free:
            self._settle(slot, wall)
        for since in self._busy.values():
            self.parts["unfinished"] += max(wall - since, 0.0)
        self._free, self._busy = {}, {}

    @property
    def residual(self) -> float:
        """How much of width × wall the parts leave unexplained, as a share; below 0: too much."""
        whole = self.width * self.wall
        return (whole - sum(self.parts.values())) / whole if whole else 0.0

    def as_json(self, startup: float) -> dict[str, Any]:
        """As ``cell.json`` has it; ``startup``: seconds before the clock started."""
        return {
            "wall": round(self.wall, 6),
            "slots": self.width,
            "startup": round(startup, 6),
            "parts": {name: round(seconds, 6) for name, seconds in self.parts.items()},
            "residual": round(self.residual, 6),
        }

    def _settle(self, slot: int, now: float) -> None:
        """A slot has been free until now: it waited for the searcher, or for the framework."""
        free = self._free[slot]
        self._wait(slot, free.since, now, "idle" if free.idle else "orchestration")

    def _wait(self, slot: int, since: float, now: float, part: str) -> None:
        """A slot waited: where the searcher was thinking, for that; else it is of this part."""
        gap = max(now - since, 0.0)
        thought = min(self._thought(since, now), gap)
        self._add(slot, "search", thought)
        self._add(slot, part, gap - thought)

    def _add(self, slot: int, part: str, seconds: float) -> None:
        self.parts[part] += seconds
        if part in WAITS:
            self._waited[slot][part] += seconds

    def _thought(self, since: float, now: float) -> float:
        """For how long the searcher was thinking between two times."""
        seconds = 0.0
        for began, ended in reversed(self._thoughts):
            if ended <= since:
                break
            seconds += max(min(ended, now) - max(began, since), 0.0)
        return seconds
