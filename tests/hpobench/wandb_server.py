"""A W&B server on this machine that takes what it is sent, or refuses it, and keeps it."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """``requests``: paths asked for. ``runs``: what was told of each run; ``history``: its rows.

    A row takes the place of an earlier one of the same run and step.
    """

    daemon_threads = True
    stream_status = 200
    silent = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str] = []
        self.runs: dict[str, dict[str, Any]] = defaultdict(dict)
        self.history: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was stopped in the middle


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        self._answer({})

    def do_CONNECT(self) -> None:
        self.server.requests.append(self.path)  # as a proxy it lets nobody through
        self._answer({}, 403)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(self.path)
        while self.server.silent:
            time.sleep(0.1)
        if self.path.endswith("/graphql"):
            query = json.loads(body)
            self._answer({"data": self._graphql(query["operationName"], query["variables"])})
        elif self.path.endswith("/file_stream"):
            if self.server.stream_status == 200:
                self._stream(self.path.split("/")[-2], json.loads(body))
            self._answer({}, self.server.stream_status)
        else:
            self._answer({}, 404)  # usage figures are not taken

    def _graphql(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        if operation == "UpsertBucket":
            name = variables["name"]
            known, lines = name in self.server.runs, len(self.server.history[name])
            self.server.runs[name] |= {k: v for k, v in variables.items() if v is not None}
            project = {"id": "p", "name": "hpobench", "entity": {"id": "e", "name": "someone"}}
            bucket = {"id": name, "name": name, "project": project, "historyLineCount": lines}
            return {"upsertBucket": {"bucket": bucket, "inserted": not known}}
        if operation == "CreateRunFiles":
            files = [{"name": f, "uploadUrl": f"{self.server.url}/{f}"} for f in variables["files"]]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        return {}

    def _stream(self, run: str, content: dict[str, Any]) -> None:
        for line in content.get("files", {}).get("wandb-history.jsonl", {}).get("content", []):
            row = json.loads(line)
            self.server.history[run][row["_step"]] = row
        if content.get("complete"):
            self.server.runs[run]["exitcode"] = content["exitcode"]

    def _answer(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.silent = False
        server.shutdown()
        server.server_close()
