"""Where a cell's slots tell what they measured, and are handed what is next, in one call.

Every slot is answered in a thread of its own; what touches the cell's loop, and with it a
searcher's own code, all happens in one. Nothing is handed out ahead of time: a searcher sees every
result that there is before it proposes again.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingMixIn, UnixStreamServer
from typing import Any, TypeAlias, TypeVar

from hpobench.running.cell_loop import CellLoop
from hpobench.running.faults import Fault
from hpobench.running.unix_sockets import short_address
from trainables.trainable import Work

T = TypeVar("T")

Hand: TypeAlias = Callable[[Work | None], None]
Offer: TypeAlias = tuple[bool, float | None, int]

END_SECONDS = 0.05
"""How soon nobody is answered any more, at the end."""

TURN = 0.0003
"""Seconds of a thread's turn while slots are answered; Python's usual 0.005 are an evaluation's."""


class Exchange:
    """The slots' and Ray Tune's way to a cell's loop."""

    def __init__(self, loop: CellLoop) -> None:
        self._loop = loop
        self._one = ThreadPoolExecutor(1)
        self._changed = threading.Condition()
        self._changes = 0
        self.error: BaseException | None = None
        """What went wrong here while a slot was answered."""

    def alone(self, call: Callable[[], T]) -> T:
        """Call something in the one thread that has the loop; all it raises is raised here.

        Raises ConnectionError after `close`.
        """
        try:
            told = self._one.submit(call)
        except RuntimeError:
            raise ConnectionError("the cell is over") from None
        return told.result()

    def answer(self, report: dict[str, Any], hand: Hand) -> None:
        """Take what a slot tells, and hand it its next work as soon as there is some.

        Args:
            report: of what it was handed last; at first, that it is warm.
            hand: gives the slot its work, or None once the cell is over. It is called in the one
                thread: were it called in another, a searcher that by then thinks for another slot
                would keep this one waiting for Python's interpreter lock.
        """
        slot = report["slot"]["number"]
        handed, left, seen = self.alone(lambda: self._take(slot, report, hand))
        while not handed:
            with self._changed:
                self._changed.wait_for(lambda: self._changes != seen, left)  # noqa: B023
            handed, left, seen = self.alone(lambda: self._offer(slot, hand))

    def over(self) -> bool:
        """Whether the cell is over."""
        over = self.alone(lambda: self._loop.over)
        if over:
            self._tell_all()
        return over

    def processes(self) -> list[int]:
        """Of the slots that have said that they are warm."""
        return self.alone(lambda: [told["pid"] for told in self._loop.slots.values()])

    def lost(self, fault: Fault) -> None:
        """A slot's process is gone."""
        self.alone(lambda: self._loop.lost(fault))
        self._tell_all()

    def failed(self, error: BaseException) -> None:
        """The loop itself has failed; once the cell is over, that changes nothing."""
        if not self.over():
            self.error = error
            self.lost(Fault(f"{type(error).__name__}: {error}".splitlines()[0], "scheduler stall"))

    @contextmanager
    def answering(self, folder: Path) -> Iterator[str]:
        """Answer whoever calls meanwhile; a Unix socket's address, in this folder if it fits."""
        with (
            _short_turns(),
            short_address(folder / "slots") as address,
            _Server(address, _Call) as server,
        ):
            server.exchange = self
            serve = partial(server.serve_forever, poll_interval=END_SECONDS)
            threading.Thread(target=serve, daemon=True).start()
            try:
                yield address
            finally:
                server.shutdown()

    def close(self) -> None:
        """End the one thread, once it is no longer at work."""
        self._tell_all()
        self._one.shutdown()

    def _take(self, slot: int, report: dict[str, Any], hand: Hand) -> Offer:
        if "warm" in report:
            self._loop.warm(slot, report["slot"])
        else:
            self._loop.report(slot, report)
        try:
            handed, left, _ = self._offer(slot, hand)
        finally:
            self._tell_all()  # there may be work for others now, or none for anybody
        return handed, left, self._changes

    def _offer(self, slot: int, hand: Hand) -> Offer:
        """Whether a slot was handed something; else how long it may wait, since which change."""
        seen = self._changes
        work = self._loop.next_work(slot)
        if work is None and not self._loop.over:
            return False, self._loop.left, seen
        hand(work)
        return True, None, seen

    def _tell_all(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    exchange: Exchange


class _Call(StreamRequestHandler):
    """A slot's line, from its side of the controller: see `trainables.line`."""

    server: _Server

    def handle(self) -> None:
        exchange = self.server.exchange
        try:
            for told in self.rfile:
                if not told.endswith(b"\n"):
                    return  # its process ended in the middle of it
                exchange.answer(json.loads(told), self._hand)
        except OSError:
            pass  # its process is gone: Ray Tune says why
        except BaseException as error:
            exchange.failed(error)

    def _hand(self, work: Work | None) -> None:
        self.wfile.write(json.dumps(work).encode() + b"\n")


@contextmanager
def _short_turns() -> Iterator[None]:
    """Let threads that want Python's interpreter take turns more often than usual.

    Else a slot that waits behind others, of which a searcher thinks one by one, waits in between
    until some thread of Ray's lets go of the interpreter.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
