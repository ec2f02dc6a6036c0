"""How much a cell may spend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hpobench.errors import StudyError
from hpobench.text import plural
from searchers.settings import is_number, plain

Kind = Literal["seconds", "evaluations", "steps"]


@dataclass(frozen=True)
class Budget:
    """What each cell may spend: seconds on its clock, evaluations, or training steps.

    A measured point that ends after the budget does not count.

    Args:
        amount: How much: a number above 0, a whole one unless it is seconds.
        kind: Of what: "seconds" on the cell's clock, "evaluations", or training "steps": one
            forward and backward pass of one batch each.

    Raises:
        StudyError: For an amount or a kind that makes no sense.
    """

    amount: float
    kind: Kind = "seconds"

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", plain(self.amount))
        if not is_number(self.amount) or self.amount <= 0:
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
        """As ``study.json`` has it."""
        return {"kind": self.kind, "amount": self.amount}


def seconds(amount: float) -> Budget:
    """A budget of ``amount`` seconds on a cell's clock."""
    return Budget(amount)


def evaluations(amount: int) -> Budget:
    """A budget of ``amount`` measured points."""
    return Budget(amount, "evaluations")


def steps(amount: int) -> Budget:
    """A budget of ``amount`` training steps."""
    return Budget(amount, "steps")
