"""`make gpu` without a card: its table, its processes, and what it says where there is none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.benchmarks.conftest import FOLDER

NOW = datetime(2025, 1, 2, 3, tzinfo=UTC)
CARD = {"device": "NVIDIA A1 (80GB)", "driver": "570.1", "CUDA": "12.8", "torch": "2.13.0"}
ROW = {"what": "graphs", "setting": "LeNet", "median": "3 steps a step"}


@pytest.fixture(scope="module")
def gpu(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("gpu")


def step(gpu: ModuleType, name: str, script: str, limit: float = 60.0) -> Any:
    """One whose process runs a script; ``write`` in it writes a row."""
    begin = """
        import json, os, signal, subprocess, sys, time
        def write(**row):
            with open(sys.argv[1], "a") as file:
                file.write(json.dumps(row) + "\\n")
    """
    text = textwrap.dedent(begin) + textwrap.dedent(script)
    return gpu.Step(name, ("-I", "-S", "-c", text), limit)


def test_the_table(gpu: ModuleType) -> None:
    rows = (
        gpu.Line("graphs", "LeNet, K=7", "3.08 steps a step", "3.05 … 3.13", "15"),
        gpu.Line("polo5/FDS", "LeNet, K=7", "not measured"),
        gpu.Line("forward", "LeNet, K=7", "RuntimeError: a | b\nand more", failed=True),
    )
    tests, engines = (gpu.Step(name, (), 1.0) for name in ("tests", "engines"))
    outcomes = [gpu.Outcome(tests, (), 21.4), gpu.Outcome(engines, rows, 99.6)]
    assert gpu.table(CARD, outcomes, NOW) == textwrap.dedent("""\
        ## On a GPU: NVIDIA A1 (80GB)

        2025-01-02; driver 570.1, CUDA 12.8, torch 2.13.0.

        | what | setting | median | 95 % interval | rounds |
        | --- | --- | --- | --- | --- |
        | graphs | LeNet, K=7 | 3.08 steps a step | 3.05 … 3.13 | 15 |
        | polo5/FDS | LeNet, K=7 | not measured | – | – |
        | forward | LeNet, K=7 | failed: RuntimeError: a \\| b and more | – | – |

        | step | seconds | failures |
        | --- | --- | --- |
        | tests | 21 | 0 |
        | engines | 100 | 1 |
        """)


def test_what_fails_or_hangs_is_named_and_the_others_run(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    monkeypatch.setenv("HPOBENCH_CPU_TIME", "1")
    good = f"assert 'HPOBENCH_CPU_TIME' not in os.environ; write(**{ROW})"
    steps = [
        step(gpu, "raises", f"{good}; sys.exit(3)"),
        step(gpu, "hangs", "time.sleep(600)", limit=0.5),
        step(gpu, "crashes", "os.kill(os.getpid(), signal.SIGSEGV)"),
        step(gpu, "is cut off", f"{good}; open(sys.argv[1], 'a').write('{{')"),
        step(gpu, "names one", "write(what='forward', setting='', median='no', failed=True)"),
        step(gpu, "works", good),
    ]
    outcomes = list(gpu.carried_out(steps))
    row = gpu.Line(**ROW)
    assert [outcome.lines[:1] for outcome in outcomes if row in outcome.lines] == [(row,)] * 3
    assert [[line.sentence for line in outcome.failures] for outcome in outcomes] == [
        ["FAILED raises: exit status 3"],
        ["FAILED hangs: not done within 0.5 s"],
        ["FAILED crashes: ended by SIGSEGV"],
        [],
        ["FAILED forward: no"],
        [],
    ]
    said = capfd.readouterr().out.splitlines()
    for outcome in outcomes:
        for line in outcome.failures:
            assert said.count(line.sentence) == 1
    assert outcomes[1].seconds < 300  # of its six hundred


@pytest.mark.slow
def test_a_step_that_will_not_end_is_ended_with_all_that_it_began(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "GRACE_SECONDS", 0.2)
    stubborn = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "600"], stdout=subprocess.PIPE)
        write(what="child", setting=str(os.getpid()), median=str(child.pid))
        time.sleep(600)
    """
    (outcome,) = gpu.carried_out([step(gpu, "stubborn", stubborn, limit=10.0)])
    child, _ = outcome.lines
    for number in map(int, (child.setting, child.median)):
        try:
            os.kill(number, signal.SIG_DFL)
        except ProcessLookupError:
            continue
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        assert state == "Z"  # an orphan that nobody has asked about


@pytest.mark.parametrize("fails", [False, True])
def test_the_table_is_written_whatever_failed(
    gpu: ModuleType, fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gpu, "asked", lambda: CARD)
    script = "sys.exit(3)" if fails else f"write(**{ROW})"
    monkeypatch.setattr(gpu, "STEPS", (step(gpu, "first", script),))
    assert gpu.main([]) == int(fails)
    text = Path("gpu-NVIDIA-A1-80GB.md").read_text()
    assert text.startswith("## On a GPU: NVIDIA A1 (80GB)")
    assert ("| first |  | failed: exit status 3 |" in text) == fails
    assert gpu.main(["--out", str(tmp_path / "else.md")]) == int(fails)
    assert Path("else.md").read_text().startswith("## On a GPU: NVIDIA A1 (80GB)")
    assert ("FAILED first: exit status 3" in capsys.readouterr().out) == fails


def test_all_steps_fit_into_nine_minutes(gpu: ModuleType) -> None:
    ended = sum(each.limit + 2 * gpu.GRACE_SECONDS for each in gpu.STEPS)
    assert gpu.CARD_SECONDS + ended <= 9 * 60
    assert [each.name for each in gpu.STEPS] == ["tests", "engines", "optimizers", "study"]


@pytest.mark.parametrize(
    ("script", "seconds", "why"),
    [
        ("import time; time.sleep(600)", 0.5, "the driver did not answer within 0.5 s"),
        ("import sys; sys.exit('no torch')", 60.0, "asking for one failed, no torch"),
        ("import os; os.abort()", 60.0, "asking for one failed, exit status -6"),
    ],
)
def test_a_driver_that_says_nothing_is_no_card(
    gpu: ModuleType,
    script: str,
    seconds: float,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys,
) -> None:
    (tmp_path / "gpu_card.py").write_text(script)
    monkeypatch.setattr(gpu, "HERE", tmp_path)
    monkeypatch.setattr(gpu, "CARD_SECONDS", seconds)
    assert gpu.main([]) == 1
    assert capsys.readouterr().out == f"no CUDA device: {why}\n"


@pytest.mark.slow
def test_without_a_card_it_says_so_in_a_line(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(FOLDER / "gpu.py")],
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr == ""
    (line,) = ran.stdout.splitlines()
    assert line.startswith("no CUDA device: torch ")
    assert list(tmp_path.iterdir()) == []


def test_lines_travel_as_json(gpu: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text(json.dumps(ROW | {"failed": True}) + '\n{"what": "cut o')
    assert gpu._read(file) == [gpu.Line(**ROW, failed=True)]
    assert gpu._read(tmp_path / "absent") == []
