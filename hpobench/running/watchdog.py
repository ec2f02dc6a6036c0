"""Ending what would never end: a searcher that thinks on and on, a process that says nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from hpobench.budget import Budget
from hpobench.running.faults import Fault
from hpobench.running.interfaces import AttemptUpdate

GRACE_SECONDS = 30.0
"""How long after a budget of seconds a cell may take to end."""

START_SECONDS = 120.0
"""How long starting processes and loading data may take at least, however small the patience."""


class Watchdog:
    """Watches one attempt, update by update.

    ``patience``: for how many seconds nothing may happen. A searcher that thinks on and on fails;
    silence of a training, of the controller, or when it is nobody's turn voids the attempt.
    """

    def __init__(
        self,
        budget: Budget,
        patience: float,
        searcher: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget, self._patience, self._searcher, self._now = budget, patience, searcher, now
        self._last: AttemptUpdate = AttemptUpdate()
        self._answered = now()

    def look(self, update: AttemptUpdate | None) -> None:
        """Take what the controller answered; Fault if the attempt has to be ended."""
        if update is None:
            self._mute()
            return
        self._last, self._answered = update, self._now()
        if self._budget.kind == "seconds" and update.clock > self._budget.amount + GRACE_SECONDS:
            self._thinks(f"{GRACE_SECONDS:g} s after its budget had ended")
            raise Fault("its clock ran on after its budget had ended", "scheduler stall")
        limit = self._limit
        if update.quiet > limit:
            self._thinks(f"after {limit:g} s")
            if update.doing == "training":
                raise Fault(f"no word of a training for {limit:g} s", "training stall")
            raise Fault(f"nothing happened for {limit:g} s", "scheduler stall")

    @property
    def _limit(self) -> float:
        """For how long nothing may happen just now."""
        warm = self._last.clock > 0
        return self._patience if warm else max(self._patience, START_SECONDS)

    def _mute(self) -> None:
        """The controller did not answer."""
        silent, limit = self._now() - self._answered, self._limit
        if self._budget.kind == "seconds" and self._last.clock:
            left = max(self._budget.amount - self._last.clock, 0.0)
            limit = min(limit, left + GRACE_SECONDS)
        if silent > limit:
            self._thinks(f"and its process has not answered for {silent:.0f} s")
            raise Fault(f"its process did not answer for {silent:.0f} s", "scheduler stall")

    def _thinks(self, when: str) -> None:
        if self._last.doing == "thinking":
            raise Fault(f"{self._searcher} failed: still thinking {when}")
