"""A W&B server on this machine that takes what it is sent, or refuses it, and keeps it."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote

OPERATION = re.compile(r"\b(?:query|mutation)\s+(\w+)")
KEY = "0123456789abcdef" * 3
ENTITY, PROJECT = "someone", "hpobench"


class Server(ThreadingHTTPServer):
    """``requests``: paths asked for; ``operations``: the names of GraphQL's among them.

    ``runs``: what was told of each run; ``history``: its rows, of which one takes the place of an
    earlier one of the same run and step. ``there``: entity, project and id of each run.
    ``deleted``: ids that are not given again. ``summaries``: the last one of each run. ``files``:
    by the run's id and the file's name. ``artifacts``: the files of each artifact that was
    completed, by its name. ``reports``: by id, with every version that was saved.
    ``entity``: whose the key is.
    """

    daemon_threads = True
    stream_status = 200
    silent = False
    entity = ENTITY
    deleted_status = 410

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.there: set[tuple[str, str, str]] = set()
        self.deleted: set[str] = set()
        self.requests: list[str] = []
        self.operations: list[str] = []
        self.runs: dict[str, dict[str, Any]] = defaultdict(dict)
        self.history: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        self.summaries: dict[str, dict[str, Any]] = {}
        self.files: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.artifacts: dict[str, dict[str, bytes]] = {}
        self.reports: dict[str, list[dict[str, Any]]] = {}
        self.projects = {PROJECT}  # a run makes its own

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def delete(self, name: str) -> None:
        """As on a server of one's own, where a deleted run's id may be given again."""
        self.there = {place for place in self.there if place[-1] != name}
        del self.runs[name], self.history[name]

    def place(self, *names: str) -> str:
        """Where a file is to be sent."""
        return "/".join([self.url, "storage", *(quote(name, safe="") for name in names)])

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was stopped in the middle


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        *_, owner, name = self.path.split("/")
        self.server.files[unquote(owner)][unquote(name)] = self._body()
        self._answer({})

    def do_CONNECT(self) -> None:
        self.server.requests.append(self.path)  # as a proxy it lets nobody through
        self._answer({}, 403)

    def do_POST(self) -> None:
        body = self._body()
        self.server.requests.append(self.path)
        while self.server.silent:
            time.sleep(0.1)
        if self.path.endswith("/graphql"):
            query = json.loads(body)
            [operation] = OPERATION.findall(query["query"])  # its name may not be told apart
            self.server.operations.append(operation)
            told = query.get("variables") or {}
            if operation == "UpsertBucket" and told["name"] in self.server.deleted:
                words = f"run {told['name']} was previously created and deleted"
                self._answer(
                    {"errors": [{"message": words}], "data": {}}, self.server.deleted_status
                )
                return
            self._answer({"data": self._graphql(operation, told)})
        elif self.path.endswith("/file_stream"):
            if self.server.stream_status == 200:
                self._stream(self.path.split("/")[-2], json.loads(body))
            self._answer({}, self.server.stream_status)
        else:
            self._answer({}, 404)  # usage figures are not taken

    def _graphql(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        answer = getattr(self, f"on_{operation}", None)
        return {} if answer is None else answer(variables)

    def on_ServerFeaturesQuery(self, told: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def on_UpsertBucket(self, told: dict[str, Any]) -> dict[str, Any]:
        name = told["name"]
        known, lines = name in self.server.runs, len(self.server.history[name])
        self.server.runs[name] |= {k: v for k, v in told.items() if v is not None}
        self.server.projects.add(told["project"])
        entity = told.get("entity") or self.server.entity
        self.server.there.add((entity, told["project"], name))
        project = {"id": "p", "name": told["project"], "entity": {"id": "e", "name": entity}}
        bucket = {"id": name, "name": name, "project": project, "historyLineCount": lines}
        return {"upsertBucket": {"bucket": bucket, "inserted": not known}}

    def on_CreateRunFiles(self, told: dict[str, Any]) -> dict[str, Any]:
        files = [
            {"name": name, "uploadUrl": self.server.place(told["run"], name)}
            for name in told["files"]
        ]
        return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}

    def on_CreateArtifact(self, told: dict[str, Any]) -> dict[str, Any]:
        name = told["input"]["artifactCollectionName"]
        sequence = {"latestArtifact": None}
        artifact = {"id": name, "state": "PENDING", "artifactSequence": sequence}
        return {"createArtifact": {"artifact": artifact}}

    def on_CreateArtifactManifest(self, told: dict[str, Any]) -> dict[str, Any]:
        place = self.server.place(f"manifest of {told['artifactID']}", told["name"])
        file = {"id": "f", "uploadUrl": place, "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def on_CreateArtifactFiles(self, told: dict[str, Any]) -> dict[str, Any]:
        nodes = [
            {
                "storagePath": f"{file['artifactID']}/{file['name']}",
                "uploadUrl": self.server.place(file["artifactID"], file["name"]),
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": file["artifactID"]},
            }
            for file in told["input"]["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def on_UpdateArtifactManifest(self, told: dict[str, Any]) -> dict[str, Any]:
        file = {"id": "f", "uploadUrl": self.server.place("manifests", "m"), "uploadHeaders": []}
        return {"updateArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def on_CommitArtifact(self, told: dict[str, Any]) -> dict[str, Any]:
        name = told["artifactID"]
        self.server.artifacts[name] = self.server.files.pop(name, {})
        return {"commitArtifact": {"artifact": {"id": name, "digest": "d"}}}

    def on_Viewer(self, told: dict[str, Any]) -> dict[str, Any]:
        name = self.server.entity
        teams = {"edges": [{"node": {"id": "e", "name": name}}]}
        viewer = {"id": "v", "username": name, "entity": name, "flags": "{}", "teams": teams}
        return {"viewer": viewer | {"email": "", "admin": False, "apiKeys": None}}

    def on_GetDefaultEntity(self, told: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "v", "entity": self.server.entity}}

    def on_Runs(self, told: dict[str, Any]) -> dict[str, Any]:
        if told["project"] not in self.server.projects:
            return {"project": None}
        asked = json.loads(told["filters"])["name"]["$in"][: told["perPage"]]
        place = told["entity"], told["project"]
        found = [name for name in asked if (*place, name) in self.server.there]
        page = {"endCursor": None, "hasNextPage": False}
        runs = {"edges": [{"node": _run(name), "cursor": "c"} for name in found], "pageInfo": page}
        return {"project": {"internalId": "17", "runCount": len(found), "runs": runs}}

    def on_GetProjects(self, told: dict[str, Any]) -> dict[str, Any]:
        nodes = [
            {"id": name, "internalId": name, "name": name, "entityName": ENTITY, "user": None}
            | {"createdAt": "2025-01-01T12:00:00", "isBenchmark": False}
            for name in sorted(self.server.projects)
        ]
        page = {"endCursor": None, "hasNextPage": False}
        edges = [{"node": node, "cursor": "c"} for node in nodes]
        return {"models": {"edges": edges, "pageInfo": page}}

    def on_ProjectInternalId(self, told: dict[str, Any]) -> dict[str, Any]:
        known = told["projectName"] in self.server.projects
        return {"project": {"id": "p", "internalId": "17"} if known else None}

    def on_ProjectViews(self, told: dict[str, Any]) -> dict[str, Any]:
        if told["project"] not in self.server.projects:
            return {"project": None}
        nodes = [_view(key, saved[-1]) for key, saved in self.server.reports.items()]
        page = {"endCursor": None, "hasNextPage": False}
        edges = [{"node": node, "cursor": "c"} for node in nodes]
        return {"project": {"allViews": {"edges": edges, "pageInfo": page}}}

    def on_upsertView(self, told: dict[str, Any]) -> dict[str, Any]:
        key = told["id"] or f"VmlldzoxMj{len(self.server.reports)}="
        self.server.reports.setdefault(key, []).append(told)
        return {"upsertView": {"view": _view(key, told), "inserted": told["id"] is None}}

    def _stream(self, run: str, content: dict[str, Any]) -> None:
        sent = {name: file["content"] for name, file in (content.get("files") or {}).items()}
        for line in sent.get("wandb-history.jsonl", []):
            row = json.loads(line)
            self.server.history[run][row["_step"]] = row
        for line in sent.get("wandb-summary.json", []):
            self.server.summaries[run] = json.loads(line)
        if content.get("complete"):
            self.server.runs[run]["exitcode"] = content["exitcode"]

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _run(name: str) -> dict[str, Any]:
    dates = dict.fromkeys(("createdAt", "heartbeatAt"), "2025-01-01T12:00:00")
    return {"id": f"of {name}", "name": name, "displayName": name, "state": "finished"} | dates


def _view(key: str, told: dict[str, Any]) -> dict[str, Any]:
    names = ("type", "name", "displayName", "description", "spec")
    project = {"id": "p", "name": told["projectName"], "entityName": told["entityName"]}
    dates = dict.fromkeys(("createdAt", "updatedAt"), "2025-01-01T12:00:00")
    return {"id": key, **{n: told[n] for n in names}, "project": project, "user": None} | dates


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
