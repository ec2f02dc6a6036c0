"""A study as a Ray job on a cluster of two raylets, by the command line; and no secrets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpobench import Results
from hpobench.cluster.programs import answers, free_port
from tests.hpobench import command_line
from tests.hpobench.command_line import Ended
from tests.hpobench.ray_cluster import patient_with_nodes
from tests.hpobench.tracking.wandb.wandb_server import serving

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1800)]

OF_THE_NODES = "a" * 19 + "nodeskey" + "b" * 13
OF_THE_USER = "c" * 19 + "userskey" + "d" * 13
DASHBOARD_SECONDS = 300.0

STUDY = """
from hpobench import Study, evaluations
from helper import SEEDS  # lies beside the study, and is sent along

study = Study("mine", ["quadratic"], ["random"], SEEDS, evaluations(6), yardstick_draws=2)
"""


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, Path]]:
    """Short paths: Ray's sockets lie below them."""
    roots = {name: Path(tempfile.mkdtemp(prefix=f"{name}-")) for name in ("head", "node", "runs")}
    yield roots
    for root in roots.values():
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def dashboard(places: dict[str, Path]) -> Iterator[str]:
    """Of a cluster as one would start it."""
    with patient_with_nodes():
        yield from _dashboard(places)


def _dashboard(places: dict[str, Path]) -> Iterator[str]:
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["HPOBENCH_RUNS"] = str(places["runs"])
    os.environ["WANDB_API_KEY"] = OF_THE_NODES
    port = free_port()
    small = {"num_cpus": 1, "object_store_memory": 100 * 1024**2, "dashboard_agent_listen_port": 0}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            **small,
            "include_dashboard": True,
            "dashboard_host": "127.0.0.1",
            "dashboard_port": port,
            "temp_dir": str(places["head"]),
        },
    )
    try:
        # Nodes of one machine that shared a folder would unpack the job's files over each other.
        cluster.add_node(**small, temp_dir=str(places["node"]))
        # As `ray start` does: else jobs join any Ray of this machine, if another test has one, too.
        (places["head"] / "ray_current_cluster").write_text(cluster.address)
        os.environ.clear()
        os.environ.update(before)
        _await(f"http://127.0.0.1:{port}", places["head"])
        yield f"http://127.0.0.1:{port}"
    finally:
        os.environ.clear()
        os.environ.update(before)
        cluster.shutdown()


def _await(address: str, head: Path) -> None:
    """A dashboard may take its time beside other work."""
    end = time.monotonic() + DASHBOARD_SECONDS
    while not answers(address):
        if time.monotonic() > end:
            logs = sorted(head.glob("session_latest/logs/dashboard*"))
            told = "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in logs)
            pytest.fail(f"no dashboard answers at {address}\n{told}")
        time.sleep(0.5)


def _with_token(address: str) -> urllib.request.Request:
    """Ray may ask for a token, once one was made on this machine."""
    file = Path.home() / ".ray" / "auth_token"
    token = file.read_text().strip() if file.exists() else ""
    return urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder, with a study, what it imports, and what nobody else should see."""
    home = tmp_path_factory.mktemp("user")
    study = home / "studies of mine"
    study.mkdir()
    (study / "mine.py").write_text(STUDY)
    (study / "helper.py").write_text("SEEDS = 2\n")
    (study / ".netrc").write_text(f"machine api.wandb.ai\n  password {OF_THE_USER}\n")
    return home


def process(user: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`hpobench cluster` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "hpobench", "cluster", *arguments],
        capture_output=True,
        text=True,
        timeout=1500,
        cwd=user,
        env={**os.environ, "WANDB_API_KEY": OF_THE_USER, **more},
    )


def command(user: Path, *arguments: str) -> Ended:
    """The same in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_API_KEY", OF_THE_USER)
        return command_line.command("cluster", *arguments, cwd=user)


@pytest.fixture(scope="module")
def submitted(dashboard: str, user: Path) -> Iterator[tuple[subprocess.CompletedProcess, set]]:
    """The study, submitted, awaited and fetched; and the W&B runs that a server was told of."""
    with serving() as server:
        done = process(
            user,
            *("submit", dashboard, "studies of mine/mine.py", "--seeds", "2"),
            *("--out", "results/first", "--wandb", "online", "--env", "HPOBENCH_DATA=/nowhere"),
            WANDB_BASE_URL=server.url,
            WANDB_ENTITY="somebody",
        )
        yield done, set(server.runs)


def test_a_submitted_study_succeeds_and_its_report_is_fetched(submitted, user: Path) -> None:
    done, _ = submitted
    assert done.returncode == 0, done.stdout + done.stderr
    out = user / "results/first"
    assert f"report: {out.relative_to(user) / 'report.html'}" in done.stdout
    assert "</html>" in (out / "report.html").read_text()
    results = Results.load(out)
    assert list(results.cells["status"]) == ["complete", "complete"]
    assert len(results.evaluations) == 12
    assert not list(out.rglob("*.partial"))


def test_wandb_runs_are_uploaded_from_here(submitted, user: Path) -> None:
    done, runs = submitted
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(runs) == 2


def test_no_key_is_written_printed_or_shown(submitted, dashboard: str, user: Path, places) -> None:
    """Neither the key of the nodes' environment nor the user's own, in variable or file."""
    done, _ = submitted
    with urllib.request.urlopen(_with_token(f"{dashboard}/api/jobs/")) as reply:
        shown = reply.read().decode()
    jobs = json.loads(shown)
    assert any(job["submission_id"].startswith("mine-") for job in jobs)
    assert "HPOBENCH_DATA" in shown  # what goes into a job's environment is shown, that is why
    seen = {"output": done.stdout + done.stderr, "jobs": shown}
    folders = [user / "results", places["runs"], places["head"], places["node"]]
    for folder in folders:  # the run, here and there; Ray's logs and what was sent to the nodes
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink():
                seen[str(file)] = file.read_bytes().decode(errors="replace")
    assert any("job-driver-mine" in name for name in seen)
    assert any(name.endswith("helper.py") for name in seen)
    leaks = [name for name, text in seen.items() if OF_THE_NODES in text or OF_THE_USER in text]
    assert not leaks


def test_status_logs_and_fetch_know_the_job(submitted, dashboard: str, user: Path) -> None:
    shown = command(user, "status", dashboard)
    assert shown.stdout.count(" alive ") == 2
    job = next(word for word in shown.stdout.split() if word.startswith("mine-"))
    assert "SUCCEEDED" in shown.stdout
    assert "-fetch-" not in shown.stdout  # errands of ours are no jobs of theirs
    logs = command(user, "logs", dashboard)
    assert "2 of 2 cells done" in logs.stdout
    assert logs.stdout.endswith(f"job {job}: succeeded\n")
    fetched = command(user, "fetch", dashboard, job)
    assert fetched.returncode == 0, fetched.stderr
    again = user / "runs" / job / "evaluations.parquet"
    assert again.read_bytes() == (user / "results/first/evaluations.parquet").read_bytes()


def test_a_job_that_is_not_there_is_one_line(submitted, dashboard: str, user: Path) -> None:
    for verb in ("logs", "fetch"):
        done = command(user, verb, dashboard, "nope")
        assert done.returncode == 2
        assert done.stderr.startswith(f"hpobench: no job 'nope' at {dashboard}. There are: mine-")
        assert done.stderr.count("\n") == 1


def test_a_job_that_fails_says_so_and_has_nothing_to_fetch(dashboard: str, user: Path) -> None:
    done = command(user, "submit", dashboard, "digits", "--searchers", "fsd", "--out", "other")
    assert done.returncode == 2
    assert "no searcher 'fsd'" in done.stdout  # the job's log
    assert " failed: its log is above; the head node holds no folder" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (user / "other").exists()
