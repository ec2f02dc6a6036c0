"""The clocks over which a run can be drawn, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, cast

from hpobench.text import seconds, thousands

if TYPE_CHECKING:
    from hpobench.results.regret import Clock


class ClockName(StrEnum):
    """The clocks as the command line calls them; a member is named as in `Results`."""

    seconds = "wall"
    slot_seconds = "slot-seconds"
    steps = "steps"

    @property
    def clock(self) -> Clock:
        """As `Results` calls it."""
        return cast("Clock", self.name)


@dataclass(frozen=True)
class ClockWords:
    """How one clock is called: in a heading, in a narrow one, under an axis; and what it means."""

    unit: str
    short: str
    axis: str
    meaning: str
    amount: Callable[[float], str]


CLOCKS: dict[Clock, ClockWords] = {
    "seconds": ClockWords(
        unit="seconds",
        short="s",
        axis="seconds on the cell's clock",
        meaning=(
            "Wall-clock seconds of a cell, from the moment its slots are warm. The searcher's"
            " thinking and all waiting count."
        ),
        amount=seconds,
    ),
    "slot_seconds": ClockWords(
        unit="slot-seconds",
        short="slot-s",
        axis="slot-seconds: slots × seconds on the cell's clock",
        meaning=(
            "The cell's slots × the wall-clock seconds since they were warm: what the cell has"
            " occupied, whether its slots were at work or not."
        ),
        amount=seconds,
    ),
    "steps": ClockWords(
        unit="training steps",
        short="steps",
        axis="training steps: one forward and backward pass of one batch is 1",
        meaning=(
            "Training-step equivalents: one forward and backward pass of one batch is 1, and a"
            " hypergradient counts as the passes that it takes. Neither thinking nor waiting"
            " counts, nor how fast the hardware is."
        ),
        amount=thousands,
    ),
}
