"""Where a cell's slot-seconds went.

At any time each slot is *free* (nothing was handed to it), *idle* (free, and there is nothing to
hand out), or *busy*. The time of a busy slot is what its process measured of its work, and on both
sides of that the way there and back, which is the framework's. The parts are measured, each by
itself; how far their sum is from width × wall, the residual, tells whether they can be believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpobench.results.schema import PARTS


@dataclass
class _Free:
    """A slot without work: since when, how much the searcher had thought by then, and why."""

    since: float
    thought: float
    idle: bool = False


class Ledger:
    """Slot-seconds by part, on the cell's clock. Slots are told apart by the trials they run."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.wall = 0.0
        self.parts = dict.fromkeys(PARTS, 0.0)
        self._thought = 0.0
        self._free = [_Free(0.0, 0.0) for _ in range(width)]
        self._busy: dict[str, tuple[float, float]] = {}  # trial → since, thought by then

    def think(self, seconds: float) -> None:
        """The searcher has thought so long: slots that are free waited for it."""
        self._thought += seconds

    def handed(self, trial: str, now: float) -> None:
        """A free slot is handed work."""
        self._settle(self._free.pop(0), now)
        self._busy[trial] = (now, self._thought)
        self._all(now, idle=False)

    def nothing_to_hand_out(self, now: float) -> None:
        """From here on, until something is handed out, free slots are idle."""
        self._all(now, idle=True)

    def reported(
        self, trial: str, parts: Mapping[str, float], began: float, ended: float, now: float
    ) -> None:
        """What a busy slot did from ``began`` to ``ended`` has arrived ``now``."""
        since, _ = self._busy[trial]
        for name, seconds in parts.items():  # a searcher's own part is its search
            self.parts[name if name in self.parts else "search"] += seconds
        self.parts["orchestration"] += (began - since) + (now - ended)
        self._busy[trial] = (now, self._thought)

    def freed(self, trial: str) -> None:
        """A trial is over; its slot has been free since its last report."""
        if trial in self._busy:
            since, thought = self._busy.pop(trial)
            self._free.append(_Free(since, thought))

    def close(self, wall: float) -> None:
        """The cell is over: what is under way is unfinished."""
        self.wall = wall
        for slot in self._free:
            self._settle(slot, wall)
        for since, _ in self._busy.values():
            self.parts["unfinished"] += max(wall - since, 0.0)
        self._free, self._busy = [], {}

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

    def _all(self, now: float, idle: bool) -> None:
        """From now on every free slot is idle, or is none any more."""
        for slot in self._free:
            if slot.idle != idle:
                self._settle(slot, now)
                slot.since, slot.thought, slot.idle = now, self._thought, idle

    def _settle(self, slot: _Free, now: float) -> None:
        """A slot has been free until now: it waited for the searcher, or for the framework."""
        gap = max(now - slot.since, 0.0)
        waited = min(self._thought - slot.thought, gap)
        self.parts["search"] += waited
        self.parts["idle" if slot.idle else "orchestration"] += gap - waited
