"""The page of a run that is under way: served to this machine alone, drawn again as it grows."""

from __future__ import annotations

import hashlib
import html
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hpobench.errors import RunError
from hpobench.report.failures import Failure, attempted
from hpobench.report.page.document import render_report
from hpobench.results.loading import read_study
from hpobench.results.regret import Clock
from hpobench.results.run import Results

LOOPBACK = "127.0.0.1"

RECORDS = (
    "study.json",
    "references.json",
    "yardsticks.jsonl",
    "cells/*/cell.json",
    "cells/*/evaluations.jsonl",
    "cells/*/tests.jsonl",
)

LOOK_AGAIN = """
<script>
const shown = %r;
setInterval(async () => {
  try {
    const answer = await fetch("version", {cache: "no-store"});
    if ((await answer.text()) !== shown) location.reload();
    document.title = document.title.replace(/^\\(not live\\) /, "");
  } catch {
    if (!document.title.startsWith("(not live)")) document.title = "(not live) " + document.title;
  }
}, 2000);
</script>
"""
"""Asks every two seconds whether there is anything new; the page's title says if nobody answers."""


HERE = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
"""This machine, as a browser calls it."""


class LivePage:
    """The page as the records are, drawn at most once in ``every`` seconds."""

    def __init__(self, path: Path, clock: Clock, every: float) -> None:
        read_study(path)
        self._path, self._clock, self._every = path, clock, every
        self._drawing = threading.Lock()
        self._drawn, self._version, self._page = -every, "", b""

    def version(self) -> str:
        """Of what is to be shown now: it changes when there is more to show, and it is due."""
        if self._version and time.monotonic() - self._drawn < self._every:
            return self._version
        return version_of(self._path)

    def page(self) -> bytes:
        """The page, drawn again if there is more to show."""
        with self._drawing:
            version = self.version()
            if version != self._version:
                self._drawn = time.monotonic()
                self._page = (self._render() + LOOK_AGAIN % version).encode()
                self._version = version
            return self._page

    def _render(self) -> str:
        try:
            results = Results.load(self._path)
            page = attempted("report.html", lambda: render_report(results, self._clock), "the page")
        except RunError as error:
            return _line(str(error))
        return _line(str(page)) if isinstance(page, Failure) else page


def _line(words: str) -> str:
    return f"<!DOCTYPE html><title>hpobench</title><p>{html.escape(words)}</p>"


def version_of(path: Path) -> str:
    """A digest of when each record of a run was last written, and how long it is."""
    digest = hashlib.sha256()
    for pattern in RECORDS:
        for file in sorted(path.glob(pattern)):
            status = file.stat()
            digest.update(f"{file.name} {status.st_mtime_ns} {status.st_size}\n".encode())
    return digest.hexdigest()[:16]


def server_of(live: LivePage, port: int) -> ThreadingHTTPServer:
    """Serves a page, and its version, to this machine; port 0 is any that is free.

    RunError if the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place = self.path.partition("?")[0]
            if not HERE.fullmatch(self.headers.get("Host", "")):
                self.send_error(403)  # a page from elsewhere, whose name leads here
            elif place == "/":
                self._answer(live.page(), "text/html; charset=utf-8")
            elif place == "/version":
                self._answer(live.version().encode(), "text/plain; charset=utf-8")
            else:
                self.send_error(404)

        def _answer(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing: the terminal is for the address."""

    try:
        return ThreadingHTTPServer((LOOPBACK, port), Handler)
    except OSError as error:
        raise RunError(
            f"port {port} cannot be served on: {error.strerror}; choose another with --port"
        ) from error
