"""What `make gpu` measures, on a CPU and as small as it gets."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from hpobench.results.run import Results
from searchers.hypergradients.reverse import Graphs
from tests.hpobench.fake_run import Point, write_cell, write_study

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def steps(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("gpu_steps")


@pytest.fixture
def tiny(steps: ModuleType) -> Any:
    """LeNet on two batches of four."""
    names = ("MNIST", "LeNet")
    return steps.of_engines.Setting(
        "tiny", steps.of_engines.lenet, names, (1, 28, 28), 4, 2, device=CPU
    )


@pytest.mark.slow
def test_engines_side_by_side(steps: ModuleType, tiny: Any, monkeypatch) -> None:
    monkeypatch.setattr(steps, "SETTING_SECONDS", 0.0)
    lines: list[Any] = []
    steps.side_by_side(lines.append, tiny, None)
    named = [engine.name for engine in steps.of_engines.ENGINES]
    assert [line.what for line in lines] == ["polo5/FDS", "plain training", *named]
    assert lines[0].median.startswith("not measured: HPOBENCH_FDS")
    assert [line.rounds for line in lines[1:]] == ["1"] * (1 + len(named))
    assert all(line.setting == "tiny, K=7" and not line.failed for line in lines)
    assert tiny.problem.train.inputs.device == CPU


@dataclass(frozen=True)
class Broken:
    name: str = "broken"

    def hypergradient(self, problem, draw, schedule):
        raise RuntimeError("two devices\nat least")


def test_an_engine_that_raises_is_named_and_the_others_are_measured(
    steps: ModuleType, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.of_engines, "ENGINES", (Broken(), Graphs()))
    monkeypatch.setattr(steps, "SETTING_SECONDS", 0.0)
    work = lambda *_: lambda: None  # noqa: E731
    monkeypatch.setattr(steps.of_engines, "original", work)
    lines: list[Any] = []
    steps.side_by_side(lines.append, tiny, "a checkout")
    assert [line.what for line in lines] == [
        "broken",
        "plain training",
        "graphs",
        "graphs over polo5/FDS",
        "polo5/FDS",
    ]
    assert lines[0].failed
    assert lines[0].median == "RuntimeError: two devices"
    assert not any(line.failed for line in lines[1:])


def test_every_optimizer_makes_a_step(steps: ModuleType) -> None:
    task = steps.online.Task((4, 3, 2), 5, CPU)
    found = list(steps.online.contests(task))
    for _, ours, theirs, _ in found:
        ours()
        theirs()
    assert len(found) >= 13


def test_optimizers_are_timed_and_one_that_raises_is_named(
    steps: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises() -> None:
        raise ValueError("no")

    def nothing() -> None:
        pass

    contests = [("first", raises, nothing, None), ("second", nothing, nothing, None)]
    monkeypatch.setattr(steps.online, "NETS", {"tiny": ((2, 2), 1)})
    monkeypatch.setattr(steps.online, "contests", lambda task: contests)
    monkeypatch.setattr(steps.online, "BLOCK_SECONDS", 1e-4)
    monkeypatch.setattr(steps, "CARD", CPU)
    for variable in ("HPOBENCH_GDTUO", "HPOBENCH_BAYDIN"):
        monkeypatch.delenv(variable, raising=False)
    lines: list[Any] = []
    steps.optimizers(lines.append)
    assert [(line.what, line.failed) for line in lines] == [
        *[("an original", False)] * 2,
        ("first", True),
        ("second", False),
    ]
    assert lines[3].rounds == str(steps.PAIRS)


def test_marked_tests_are_run_and_failures_named(
    steps: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_marked.py").write_text(
        textwrap.dedent("""
            import pytest

            @pytest.mark.gpu
            def test_that_passes():
                pass

            @pytest.mark.gpu
            def test_that_fails():
                raise RuntimeError("no kernel image\\nfor this card")

            def test_of_others():
                raise AssertionError
        """)
    )
    (tmp_path / "test_unmarked.py").write_text("raise AssertionError")
    monkeypatch.setattr(steps, "TESTS", tmp_path)
    lines: list[Any] = []
    steps.tests(lines.append)
    failed, passed = lines
    assert failed.what.endswith("test_marked.py::test_that_fails")
    assert failed.median == "RuntimeError: no kernel image"
    assert (passed.median, passed.failed) == ("1 passed", False)


def test_that_no_test_ran_is_a_failure(steps: ModuleType, monkeypatch) -> None:
    monkeypatch.setattr(steps.pytest, "main", lambda *_, **__: None)
    lines: list[Any] = []
    steps.tests(lines.append)
    assert [(line.median, line.failed) for line in lines] == [("0 passed", True)]


def test_what_a_study_came_to(steps: ModuleType, tmp_path: Path) -> None:
    run = write_study(tmp_path / "run", seeds=(0,))
    points = [Point(1.0, 0.5, 0.5), Point(2.0, 0.4, 0.4), Point(3.0, 0.4, None)]
    memory = {"host": 1, "device": 7 * 2**20}
    measured = {"orchestration": 0.02, "residual": 0.001, "memory": memory}
    write_cell(run, "digits", "random", 0, points, **measured, parts={"train": 1.0})
    write_cell(run, "digits", "fds", 0, status="failed", why="it raised")
    complete, *lines = steps.told(Results.load(run))
    assert complete.median == "1 of 2"
    failed = [line for line in lines if line.failed]
    assert [(line.what, line.median) for line in failed] == [
        ("digits__fds__s0", "failed: it raised")
    ]
    assert {line.what: line.median for line in lines if not line.failed} == {
        "random: evaluations": "3",
        "random: orchestration": "2.00%",
        "random: residual": "0.100%",
        "random: memory on the card, a slot": "7 MiB",
        "random: first evaluations over later ones": "1 × a step",
    }


def test_first_evaluations_over_later_ones(steps: ModuleType) -> None:
    parts = [{"train": t, "search": 9.0} for t in (6.0, 4.0, 2.0)]
    parts[2]["hypergradient"] = 2.0
    frame = steps.pd.DataFrame({"parts": parts, "steps": [10, 20, 40], "slot": [0, 1, 1]})
    assert steps.first_over_later(frame) == pytest.approx(0.5 / 0.2)


def test_a_step_that_raises_has_a_line_for_it(
    steps: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def raises(write: Callable[[Any], None]) -> None:
        write(steps.Line("first", "", "well"))
        raise ValueError("no room\nhere")

    monkeypatch.setitem(steps.MEASURES, "raises", raises)
    steps.main("raises", tmp_path / "lines.jsonl")
    gpu = sys.modules["gpu"]
    assert gpu._read(tmp_path / "lines.jsonl") == [
        gpu.Line("first", "", "well"),
        gpu.Line("raises", "", "ValueError: no room", failed=True),
    ]
    assert "FAILED raises: ValueError: no room" in capsys.readouterr().out


def test_rounds_end_in_time(steps: ModuleType) -> None:
    done: list[str] = []
    subjects = {name: (lambda name=name: done.append(name)) for name in "ab"}
    taken = steps.timing.warm_rounds(subjects, 5, longest=0.0)
    assert {name: len(each) for name, each in taken.items()} == {"a": 1, "b": 1}
    assert done == ["a", "b"]
    done.clear()
    assert len(steps.timing.rounds(subjects, 3)["a"]) == 3
    assert done == ["a", "b", *"ab", *"ba", *"ab"]


def test_only_a_gpu_is_waited_for(steps: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[str] = []
    monkeypatch.setattr(
        steps.timing.torch,
        "cuda",
        SimpleNamespace(is_available=lambda: True, synchronize=lambda: waits.append("wait")),
    )
    steps.timing.seconds(lambda: waits.append("work"))
    assert waits == ["wait", "work", "wait"]
