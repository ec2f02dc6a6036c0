"""Studies as Ray jobs: send one to a cluster, follow its log, bring its run's folder home.

A job is known by one name everywhere: Ray's submission id, and the folder of its run on the head
node. The runtime environment carries this very hpobench and the folder of the user's study to
every node. It carries no secret: Ray shows it to whoever can see the dashboard.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hpobench._import_check import PACKAGES, folder_of
from hpobench.cluster import packing
from hpobench.cluster.tokens import bring_token
from hpobench.errors import ClusterError
from hpobench.provenance import COMMIT, commit
from trainables.import_path import shadows

RUNS = "${HPOBENCH_RUNS:-$HOME/hpobench-runs}"
"""Where runs lie on the head node; its own shell fills in the variables."""

LEFT_HERE = ["runs/", "wandb/", "!/tracking/wandb/", ".?*", "__pycache__/", "*.egg-info/"]
"""What of the study's folder is not sent, beside what its .gitignore and .rayignore name.

Hidden files are: keys (.netrc, .env), environments (.venv) and histories (.git). Ray leaves the
same things out of this package's own code, where ``tracking/wandb`` is no folder of results.
"""

SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
MARK = "hpobench"
POLL_SECONDS = 0.5
OVER = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class Ending:
    """How a job ended: Ray's word for it, and its last words."""

    status: str
    message: str


class Jobs:
    """The jobs of one cluster, by its dashboard's address. ClusterError if nothing answers."""

    def __init__(self, address: str):
        from ray.job_submission import JobSubmissionClient

        self._address = address
        bring_token()
        try:
            self._client = JobSubmissionClient(address)
        except Exception as error:
            raise ClusterError(
                f"no Ray dashboard answers at {address} ({_first_line(error)});"
                " is the cluster up, and is this its dashboard's address?"
            ) from None
        for chatty in (
            "dashboard.modules.dashboard_sdk",
            "dashboard.modules.job.sdk",
            "_private.runtime_env.packaging",
        ):  # each sets its own level when it is imported
            logging.getLogger(f"ray.{chatty}").setLevel(logging.ERROR)

    def submit(
        self,
        name: str,
        study: str | Path,
        options: Sequence[str],
        env: Mapping[str, str],
        pip: Path | None,
    ) -> str:
        """Send `hpobench run` of a study, ready-made or in a user's file; the job's own name.

        ``name`` is the study's, and begins the job's. ``pip``: a file of requirements.
        """
        job = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
        given = shlex.join([study.name if isinstance(study, Path) else study, *options])
        entrypoint = f'python -m hpobench run {given} --address auto --out "{RUNS}/{job}"'
        environment: dict[str, Any] = {**_code(), "env_vars": {COMMIT: commit() or "", **env}}
        if isinstance(study, Path):
            environment["working_dir"] = str(_sendable(study))
        if pip is not None:
            environment["pip"] = str(pip)
        try:
            self._start(entrypoint, job, environment, name)
        except ValueError as error:  # Ray's word for too large a folder, or for bad requirements
            raise ClusterError(
                f"{study} cannot be sent: {_first_line(error)}; a .rayignore file names what stays"
                " here, and data can lie on the nodes (HPOBENCH_DATA)"
            ) from None
        return job

    def names(self) -> list[str]:
        """hpobench's jobs, the latest first."""
        return [job["name"] for job in self.table()]

    def table(self) -> list[dict[str, str]]:
        """Name, status and start of hpobench's jobs, the latest first."""
        listed = [job for job in self._client.list_jobs() if MARK in (job.metadata or {})]
        listed.sort(key=lambda job: job.start_time or 0, reverse=True)
        return [
            {
                "name": str(job.submission_id),
                "status": str(getattr(job.status, "value", job.status)),
                "began": _moment(job.start_time),
            }
            for job in listed
        ]

    def nodes(self) -> list[dict[str, str]]:
        """Address, state and resources of the cluster's nodes."""
        from ray.util.state import list_nodes

        nodes = list_nodes(address=self._address, detail=True, raise_on_missing_output=False)
        return [
            {
                "address": node.node_ip + (" (head)" if node.is_head_node else ""),
                "state": node.state.lower(),
                "resources": ", ".join(
                    f"{name} {amount:g}"
                    for name, amount in sorted((node.resources_total or {}).items())
                    if name in ("CPU", "GPU")
                ),
            }
            for node in nodes
        ]

    def chosen(self, job: str | None) -> str:
        """The job of this name, or else the latest. ClusterError if there is none."""
        names = self.names()
        if job is None:
            if not names:
                raise ClusterError(f"no study was ever submitted to {self._address}")
            return names[0]
        if job not in names:
            there = f"There are: {', '.join(names)}" if names else "There is none"
            raise ClusterError(f"no job {job!r} at {self._address}. {there}")
        return job

    def follow(self, job: str, write: Callable[[str], object]) -> Ending:
        """Write a job's log as it grows, until the job ends."""
        written = 0
        while (ending := self._ending(job)) is None:
            written += asyncio.run(self._tail(job, written, write))
            time.sleep(POLL_SECONDS)
        rest = self._client.get_job_logs(job)[written:]
        if rest:
            write(rest)
        return ending

    def fetch(self, job: str, folder: Path) -> None:
        """Bring the folder of a job's run home, as far as it is; see `packing`."""
        errand = f"{job}-fetch-{time.time_ns():x}"
        entrypoint = f'python -m {packing.__name__} "{RUNS}/{job}"'
        self._start(entrypoint, errand, _code())
        while self._ending(errand) is None:
            time.sleep(POLL_SECONDS)
        text = self._client.get_job_logs(errand)
        self._client.delete_job(errand)
        packing.unpack(text, folder)

    def _start(
        self, entrypoint: str, name: str, environment: dict[str, Any], study: str | None = None
    ) -> None:
        try:
            self._client.submit_job(
                entrypoint=entrypoint,
                submission_id=name,
                runtime_env=environment,
                metadata={MARK: study} if study else {},
            )
        except RuntimeError as error:
            raise ClusterError(
                f"{self._address} did not take the job: {_first_line(error)}"
            ) from None

    def _ending(self, job: str) -> Ending | None:
        info = self._client.get_job_info(job)
        status = str(getattr(info.status, "value", info.status))
        return Ending(status, info.message or "") if status in OVER else None

    async def _tail(self, job: str, skip: int, write: Callable[[str], object]) -> int:
        """Write a log's text beyond the first ``skip`` characters; how many there were.

        A connection that breaks ends it: whoever calls looks at the job again and goes on.
        """
        seen = 0
        try:
            async for text in self._client.tail_job_logs(job):
                new = text[max(0, skip - seen) :]
                seen += len(text)
                if new:
                    write(new)
        except (RuntimeError, OSError):
            pass
        return max(0, seen - skip)


def checked_env(pairs: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` pairs for the job's environment. ClusterError for what looks like a secret."""
    env = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise ClusterError(f"--env takes NAME=VALUE, not {name!r}")
        if SECRET.search(name):
            raise ClusterError(
                f"--env {name}: Ray shows a job's environment to whoever sees the dashboard;"
                " a secret belongs into the environment of the nodes (W&B needs none there:"
                " its runs are uploaded from here)"
            )
        env[name] = value
    return env


def _code() -> dict[str, Any]:
    """The part of a runtime environment that carries this hpobench, whatever the nodes have."""
    modules = [str(folder_of(package)) for package in PACKAGES]
    return {"py_modules": modules, "excludes": LEFT_HERE}


def _sendable(source: Path) -> Path:
    folder = source.resolve().parent
    if folder in (Path.home().resolve(), Path(folder.anchor)):
        raise ClusterError(
            f"{source}: the study's whole folder is sent to the cluster, and this one is {folder};"
            " put the study into a folder of its own"
        )
    used = sys.stdlib_module_names | sys.modules.keys()
    if clash := [name for name in shadows(folder) if name.removesuffix(".py") in used]:
        raise ClusterError(
            f"{folder / clash[0]} is called as a module is that a study needs, and a job on a"
            " cluster looks into the study's folder first; rename it"
        )
    return folder


def _moment(milliseconds: int | None) -> str:
    moment = datetime.fromtimestamp((milliseconds or 0) / 1000)
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
