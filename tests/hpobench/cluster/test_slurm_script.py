"""The sbatch script, run for real with a Slurm and a Ray that only note what they are told."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.hpobench.waiting import until

SCRIPT = Path(__file__).parents[3] / "cluster/slurm.sbatch"

NOTE = 'echo "$(basename "$0") $*${WANDB_API_KEY:+ [with the key]}" >> "$NOTES"\n'
SLEEP = shutil.which("sleep")
PROGRAMS = {
    "scontrol": "printf 'alpha\\nbeta\\ngamma\\n'",
    "srun": """
while [[ $1 == --* ]]; do shift; done
if [[ $1 == hostname ]]; then echo "fe80::1 10.0.0.7"; else "$@"; fi""",
    # What the script sleeps for, between two looks, is the head: it need not sleep for longer.
    "sleep": f'until grep -q "^ray start --head" "$NOTES"; do {SLEEP} 0.02; done',
    # The head may come up while it is asked for, so the order that counts is that of the answer.
    "ray": f"""
[[ $1 == start ]] && exec {SLEEP} 60
grep -q "^ray start --head" "$NOTES" && echo "ray answered" >> "$NOTES" """,
    "hpobench": f"""
[[ $SLURM_JOB_NUM_NODES == 1 ]] || until grep -q "^ray start --address" "$NOTES"; do
  {SLEEP} 0.02
done
trap 'echo "hpobench stopped" >> "$NOTES"; exit 130' TERM
[[ -z ${{STAY:-}} ]] || {{ touch "$NOTES.begun"; {SLEEP} 60 & wait; }}
exit "${{ENDS:-0}}" """,
}


class Job:
    """A folder to submit from, with the programs of a node in its environment."""

    def __init__(self, folder: Path):
        self.folder, self.notes = folder, folder / "notes"
        programs = folder / "venv/bin"
        programs.mkdir(parents=True)
        for name, does in PROGRAMS.items():
            (programs / name).write_text(f"#!/bin/bash\n{NOTE}{does}\n")
            (programs / name).chmod(0o755)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HPOBENCH_VENV": str(folder / "venv"),
            "NOTES": str(self.notes),
            "SLURM_SUBMIT_DIR": str(folder),
            "SLURM_JOB_NODELIST": "node[1-3]",
            "SLURM_JOB_NUM_NODES": "3",
            "SLURM_JOB_NAME": "hpobench",
            "SLURM_JOB_ID": "17",
            "SLURM_CPUS_ON_NODE": "8",
            "WANDB_API_KEY": "secret",
        }

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", str(SCRIPT), *arguments],
            env={**self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **more: str) -> int:
        process = self.start(*arguments, **more)
        try:
            return process.wait(300)
        finally:
            end(process)

    def told(self, program: str) -> list[str]:
        lines = self.notes.read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{program} ")]


def end(process: subprocess.Popen[str]) -> None:
    """What Slurm does when the script has ended: end what it left behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_it_is_bash() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)


def test_a_head_then_workers_then_the_study(job: Job) -> None:
    assert job.run("my study.py", "--slot", "gpu=1,cpu=8") == 0
    lines = job.notes.read_text()
    head, runner = lines.index("ray start --head"), lines.index("hpobench run")
    assert lines.index("scontrol show hostnames node[1-3]") < head < runner
    assert head < lines.index("ray answered") < runner

    started = job.told("ray")
    of_head = next(line for line in started if "--head" in line)
    assert "--node-ip-address=10.0.0.7 --port=6379 --dashboard-host=127.0.0.1" in of_head
    assert "--num-cpus=8" in of_head  # cells run there too, as the guide says
    [of_workers] = [line for line in started if "--address" in line and "start" in line]
    assert "--num-cpus=8" in of_workers
    on_head, on_workers = job.told("srun")[1:3]
    assert "--nodes=1 --ntasks=1 --nodelist=alpha ray start --head" in on_head
    assert "--nodes=2 --ntasks=2 --exclude=alpha ray start --address=10.0.0.7:6379" in on_workers
    assert job.told("hpobench") == [
        "run my study.py --slot gpu=1,cpu=8 --out runs/hpobench-17"
        " --address 10.0.0.7:6379 [with the key]"
    ]


@pytest.mark.parametrize("cores", ["0", "6"])
def test_cores_of_the_head_can_be_kept_for_the_runner(job: Job, cores: str) -> None:
    assert job.run("digits", HPOBENCH_HEAD_CPUS=cores) == 0
    of_head, of_workers = sorted(
        (line for line in job.told("ray") if line.startswith("start")),
        key=lambda line: "--head" not in line,
    )
    assert f"--num-cpus={cores} " in f"{of_head} "
    assert "--num-cpus=8 " in f"{of_workers} "


def test_no_node_of_ray_gets_the_key(job: Job) -> None:
    job.run("digits")
    started = [line for line in job.told("ray") if line.startswith("start")]
    assert len(started) == 2
    assert not [line for line in started if "with the key" in line]


def test_one_node_has_no_workers(job: Job) -> None:
    assert job.run("digits", SLURM_JOB_NUM_NODES="1") == 0
    assert not [line for line in job.told("srun") if "--exclude" in line]


def test_queued_again_it_goes_on(job: Job) -> None:
    run = job.folder / "runs/hpobench-17"
    run.mkdir(parents=True)
    (run / "study.json").write_text("{}")
    assert job.run("digits") == 0
    (told,) = job.told("hpobench")
    assert told.startswith("resume runs/hpobench-17 --address 10.0.0.7:6379")


def test_the_job_ends_as_the_study_does(job: Job) -> None:
    assert job.run("digits", ENDS="3") == 3


def test_before_its_time_is_over_it_stops_cleanly(job: Job) -> None:
    process = job.start("digits", STAY="1")
    try:
        until(Path(f"{job.notes}.begun").exists)
        process.send_signal(signal.SIGTERM)  # to the script alone, as `--signal=B:TERM` does
        assert process.wait(300) == 130
    finally:
        end(process)
    assert job.told("hpobench")[-1] == "stopped"


def test_without_a_study_it_says_how(job: Job) -> None:
    process = job.start()
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert said.startswith("usage: sbatch ")
    assert not job.notes.exists()
