"""How much a cell may spend."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from hpobench.errors import StudyError
from hpobench.text import plural

Kind = Literal["seconds", "evaluations", "steps"]


@dataclass(frozen=True)
class Budget:
    """What each cell may spend: seconds on its clock, evaluations, or training steps.

    A training step is one forward and backward pass of one batch. A measured point that ends
    after the budget does not count.

    Args:
        amount: how much, above 0; a whole number unless it is seconds.
        kind: of what: "seconds", "evaluations" or "steps".

    Raises:
        StudyError: it is no such amount, or of no such kind.
    """

    amount: float
    kind: Kind = "seconds"

    def __post_init__(self) -> None:
        number = isinstance(self.amount, (int, float)) and not isinstance(self.amount, bool)
        if not number or not math.isfinite(self.amount) or self.amount <= 0:
            raise StudyError(f"a budget is a number above 0, not {self.amount!r}")
        if self.kind not in ("seconds", "evaluations", "steps"):
            raise StudyError(f"a budget counts seconds, evaluations or steps, not {self.kind!r}")
        if self.kind != "seconds" and self.amount != int(self.amount):
            raise StudyError(f"a budget in {self.kind} is a whole number, not {self.amount!r}")

    def __str__(self) -> str:
        if self.kind == "seconds":
            return f"{self.amount:g}s"
        return plural(int(self.amount), self.kind.removesuffix("s"))

    def as_json(self) -> dict[str, Any]:
        """As `study.json` has it."""
        return {"kind": self.kind, "amount": self.amount}


def seconds(amount: float) -> Budget:
    """A budget of an ``amount`` of seconds on each cell's clock."""
    return Budget(amount)


def evaluations(amount: int) -> Budget:
    """A budget of an ``amount`` of evaluations for each cell."""
    return Budget(amount, "evaluations")


def steps(amount: int) -> Budget:
    """A budget of an ``amount`` of training steps for each cell."""
    return Budget(amount, "steps")
