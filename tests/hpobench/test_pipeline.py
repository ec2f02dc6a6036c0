"""Studies on a real local Ray, most of them through the real command line."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hpobench import Results, RunError, Study, StudyError, evaluations, pipeline
from hpobench.pipeline import resume, run
from hpobench.results.json_files import read_json, read_lines
from hpobench.running.display import Silent
from hpobench.running.ray_backend import check_room
from hpobench.running.run_folder import held
from tests.hpobench.command_line import command
from tests.hpobench.ray_cluster import ray_cluster
from tests.hpobench.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]  # a machine may be shared with others

COMMAND = [sys.executable, "-m", "hpobench.cli"]

FAULTS = '''
"""A study of faults: what a user's own searchers and tasks may do wrong."""

import dataclasses
import math
import os
import sys
from pathlib import Path

from hpobench import Study, evaluations
from searchers import Job, RandomSearch
from trainables.tasks import find_task
from trainables.task import Instance

HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Raises:
    """Proposes two trainings, then raises."""

    name: str = "raises"

    def suggester(self, brief):
        inner = RandomSearch().suggester(brief)
        jobs = []

        class Suggester:
            def ask(self):
                if len(jobs) == 2:
                    raise RuntimeError("out of ideas")
                jobs.append(inner.ask())
                return jobs[-1]

            def tell(self, job, loss):
                inner.tell(job, loss)

        return Suggester()


class Poor:
    """An inner problem that goes wrong for some trainings."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def draw(self, training):
        if training == 1:
            raise ValueError("bad batch")
        if training == 4:
            sys.exit("enough")
        if training == 3 and not (HERE / "died").exists():
            (HERE / "died").touch()
            os._exit(1)  # a worker that is gone, once
        self.training = training
        return self.inner.draw(training)

    def validation(self, weights):
        metrics = self.inner.validation(weights)
        return dataclasses.replace(metrics, loss=math.nan) if self.training == 2 else metrics


quadratic = find_task("quadratic")


def build(seed, device):
    instance = quadratic.build(seed, device)
    return Instance(Poor(instance.inner), instance.test)


poor = dataclasses.replace(quadratic, name="poor", build=build)
study = Study("faults", [poor], [RandomSearch(), Raises()], seeds=1, budget=evaluations(6))
'''


def lines(folder: Path, cell: str) -> list[dict]:
    return read_lines(folder / "cells" / cell / "evaluations.jsonl").records


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    place = tmp_path_factory.mktemp("faults")
    (place / "faults.py").write_text(FAULTS)
    done = command("run", place / "faults.py", "--out", place / "run", "--wandb", "off")
    assert done.returncode == 0, done.stderr
    return place / "run", done.stdout


def test_a_searcher_that_raises_shows_as_failed_and_loses_nothing(faults) -> None:
    folder, out = faults
    record = read_json(folder / "cells/poor__raises__s0/cell.json")
    assert record["status"] == "failed"
    assert record["cause"] == "searcher error"
    assert record["why"] == "raises failed: RuntimeError: out of ideas"
    assert [attempt["status"] for attempt in record["attempts"]] == ["failed"]
    assert len(lines(folder, "poor__raises__s0")) == 2
    assert "poor__raises__s0: failed (raises failed: RuntimeError: out of ideas)" in out
    assert "Traceback" not in out


def test_nan_and_exceptions_are_data(faults) -> None:
    folder, _ = faults
    found = lines(folder, "poor__random__s0")
    by_training = {line["training"]: line for line in found}
    assert by_training[1]["status"] == "failed"
    assert by_training[1]["error"] == "ValueError: bad batch"
    assert by_training[1]["cause"] == "searcher error"
    assert by_training[2]["status"] == "diverged"
    assert by_training[4]["error"] == "SystemExit: enough"
    ceiling = read_json(folder / "study.json")["tasks"][0]["loss_ceiling"]
    assert by_training[1]["validation_loss"] == by_training[2]["validation_loss"] == ceiling
    assert [line["evaluation"] for line in found] == list(range(6))


def test_a_lost_worker_voids_the_attempt_and_the_cell_is_run_again(faults) -> None:
    folder, _ = faults
    record = read_json(folder / "cells/poor__random__s0/cell.json")
    assert record["status"] == "complete"
    assert [attempt["status"] for attempt in record["attempts"]] == ["void", "ok"]
    assert record["attempts"][0]["cause"] == "worker lost"
    assert record["attempts"][0]["why"].startswith("a worker was lost: ")
    kept = read_lines(folder / "cells/poor__random__s0/attempts/1.jsonl").records
    assert [line["attempt"] for line in kept] == [1] * len(kept)
    assert {line["attempt"] for line in lines(folder, "poor__random__s0")} == {2}


def test_results_hold_no_pickles_and_no_scratch(faults) -> None:
    folder, _ = faults
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    known = {".json", ".jsonl", ".csv", ".parquet", ".tex"}
    known |= {".png", ".svg", ".pdf", ".html", ".txt"}
    assert suffixes <= known


def test_report_and_status_of_a_run(faults) -> None:
    folder, _ = faults
    shown = command("status", folder)
    assert shown.returncode == 0
    assert "failed" in shown.stdout
    (folder / "report.html").unlink()
    again = command("report", folder)
    assert again.returncode == 0, again.stderr
    assert (folder / "report.html").exists()


SMALL = Study("small", ["quadratic"], ["random"], 1, evaluations(9))


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables alone are written."""
    monkeypatch.setattr(pipeline, "publish", lambda results, clock: results.write() and ())


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a Ray that is there, with two cores."""
    with ray_cluster(cores=2) as cluster:
        yield cluster.address


def test_a_cell_killed_from_outside_leaves_no_orphans_and_is_run_again(tmp_path: Path) -> None:
    """The runner itself dies: its cells end too, and a resume starts them afresh."""
    (tmp_path / "long.py").write_text(
        "from hpobench import Study\n"
        'study = Study("long", ["quadratic"], ["random"], seeds=1, budget=60)\n'
    )
    out = tmp_path / "out"
    runner = subprocess.Popen(
        [*COMMAND, "run", str(tmp_path / "long.py"), "--out", str(out), "--wandb", "off"],
        stdout=subprocess.DEVNULL,
    )
    file = out / "cells/quadratic__random__s0/evaluations.jsonl"
    until(lambda: file.exists() and file.stat().st_size > 0)
    # Ray's agents, which do nothing without it, take a minute to see that it is gone.
    processes = [process for process in below(runner.pid) if not called(process, "Agent")]
    for name in ("CellActor", "Trainable"):  # Tune has more than one name for a slot
        assert any(called(process, name) for process in processes), name
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    until(lambda: not any(map(alive, processes)), seconds=100)  # they wait 120 s for news
    assert Results.load(out).cells["status"].tolist() == ["running"]


def below(root: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
    found, more = [], [root]
    while more:
        more = [process for process, parent in parents.items() if parent in more]
        found += more
    return found


def called(process: int, name: str) -> bool:
    with suppress(OSError):
        return name in Path(f"/proc/{process}/cmdline").read_text()
    return False


def alive(process: int) -> bool:
    """Whether it still does something; what nobody has waited for does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_width_two_uses_both_slots(tmp_path: Path, address: str, without_figures: None) -> None:
    study = Study("wide", ["quadratic"], ["bohb", "fds"], 1, evaluations(30), width=2)
    results = run(study, tmp_path / "wide", "off", address, Silent())
    assert (results.cells["status"] == "complete").all()
    for searcher, records in results.evaluations.groupby("searcher"):
        assert len(records) == 30
        assert len(set(records["training"])) == len(records) or searcher == "bohb"
    chains = results.evaluations.query("searcher == 'fds'").groupby("trial").size()
    assert len(chains) == 2


@pytest.mark.parametrize(
    ("slot", "cores", "gpus", "slices"),
    [
        ({"width": 3}, 7, 0, 2),
        ({"width": 2, "cpus": 4}, 16, 0, 2),
        ({"gpus": 1}, 16, 4, 4),
        ({"gpus": 1, "cpus": 8}, 16, 4, 2),
        ({"gpus": 0.25, "width": 2}, 16, 3, 3),  # no two cells share a GPU
        ({"gpus": 0.1}, 16, 1, 1),
        ({"gpus": 0.5, "width": 3}, 16, 4, 2),
        ({"gpus": 2, "width": 2}, 64, 8, 2),
    ],
)
def test_one_machine_gives_as_many_slices_as_its_resources_allow(
    slot: dict, cores: int, gpus: int, slices: int
) -> None:
    study = Study("wide", ["quadratic"], ["random"], 1, 1.0, **slot)
    assert check_room(study, cores, gpus) == slices


def test_a_study_too_wide_for_the_machine_is_refused() -> None:
    study = Study("wide", ["quadratic"], ["random"], 1, 1.0, width=3)
    with pytest.raises(StudyError, match="needs 3 × 1 cores; this machine has 2 cores"):
        check_room(study, cores=2, gpus=0)
    study = Study("wide", ["quadratic"], ["random"], 1, 1.0, width=2, gpus=1)
    with pytest.raises(StudyError, match="and 2 GPUs; this machine has 8 cores and 1 GPUs"):
        check_room(study, cores=8, gpus=1)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(RunError, match="already holds a run"):
        run(SMALL, tmp_path)
    with pytest.raises(RunError, match="holds no run"):
        resume(tmp_path / "nowhere")


def test_two_runners_do_not_share_a_folder(faults) -> None:
    folder, _ = faults
    with held(folder):
        refused = command("resume", folder, "--wandb", "off")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "another process is at work on this run" in refused.stderr


def test_two_runners_do_not_begin_in_one_folder(tmp_path: Path) -> None:
    """Before there is anything in it: the first still waits for its Ray."""
    folder = tmp_path / "new"
    folder.mkdir()
    with held(folder), pytest.raises(RunError, match="another process is at work on this run"):
        run(SMALL, folder)
    assert list(folder.iterdir()) == []


def test_a_study_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="lower the width"):
        run(dataclasses.replace(SMALL, width=999), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_changed_study_does_not_resume(faults, tmp_path: Path) -> None:
    folder, _ = faults
    record = json.loads((folder / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps({**record, "width": 2, "source": None}))
    other = Study("faults", ["quadratic"], ["random"], 1, evaluations(6))
    with pytest.raises(RunError, match="changed since this run began"):
        resume(tmp_path, study=other)


@pytest.fixture
def small_disk(tmp_path: Path):
    """A disk of 16 megabytes of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount a small disk here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_stops_the_study_and_it_can_be_resumed(
    small_disk: Path, tmp_path: Path, address: str, without_figures: None
) -> None:
    (tmp_path / "long.py").write_text(
        "from hpobench import Study, evaluations\n"
        'study = Study("long", ["quadratic"], ["random"], 1, evaluations(60))\n'
    )
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (16 * 2**20 - 60_000))
    out = small_disk / "run"
    on = ["--address", address, "--wandb", "off"]
    stopped = command("run", tmp_path / "long.py", "--out", out, *on)
    assert stopped.returncode == 2
    assert stopped.stderr.startswith("hpobench: ")
    assert stopped.stderr.count("\n") == 1
    assert "No space left" in stopped.stderr or "takes no more" in stopped.stderr
    for file in out.glob("cells/*/evaluations.jsonl"):
        read_lines(file)  # nothing but whole lines, and perhaps a torn end
    filler.unlink()
    done = command("resume", out, *on)
    assert done.returncode == 0, done.stderr
    assert len(Results.load(out).evaluations) == 60


@pytest.mark.parametrize("place", ["file/run", "/proc/run"])
def test_a_folder_that_cannot_be_made_is_one_line(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = command("run", "digits", "--out", tmp_path / place)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert place in done.stderr
