"""How far some pieces of work are: a line that changes in a terminal, elsewhere one each tenth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.status import Status

from hpobench.running.display import Plan


class Piece(Protocol):
    """Something that is done, or not yet."""

    @property
    def done(self) -> bool: ...


class Progress:
    """A display of how many pieces are done; ``what`` they are, in words."""

    def __init__(self, pieces: Sequence[Piece], what: str, console: Console | None = None) -> None:
        self._pieces, self._what, self._console = pieces, what, console or Console()
        self._status: Status | None = None
        self._said: tuple[int, str] | None = None
        self._left = 0

    @contextmanager
    def showing(self, plan: Plan) -> Iterator[None]:
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(self._words(plan)) as self._status:
            yield
        self._status = None

    def refresh(self, plan: Plan) -> None:
        for line in plan.left[self._left :]:
            self._left += 1
            self._say(f"  left undone: {line}")
        now = 10 * self._done() // max(len(self._pieces), 1), plan.note
        if self._status is not None:
            self._status.update(self._words(plan))
        elif now != self._said:
            self._said = now
            self._say(self._words(plan))

    def _done(self) -> int:
        return sum(piece.done for piece in self._pieces)

    def _words(self, plan: Plan) -> str:
        count = f"{self._done()} of {len(self._pieces)} {self._what} done"
        return f"{plan.study.name}: {count}" + (f"; {plan.note}" if plan.note else "")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
