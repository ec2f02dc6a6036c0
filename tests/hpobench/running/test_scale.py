"""The runner on a simulated cluster: whole studies, without Ray and without training."""

from __future__ import annotations

import dataclasses
import io
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from hpobench.results.json_files import read_json, read_lines
from hpobench.running import baseline_runs
from hpobench.running.cell_run import cell_runs
from hpobench.running.display import LiveTable
from tests.hpobench.running.intervals import by_process, clashes

FILE = Path(__file__).resolve().parents[3] / "benchmarks" / "scale.py"


@pytest.fixture(scope="module")
def scale() -> ModuleType:
    """The benchmark, as a module."""
    spec = spec_from_file_location("scale", FILE)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["scale"] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 2])
def test_a_simulated_study_is_whole(scale: ModuleType, tmp_path: Path, width: int) -> None:
    run = tmp_path / "run"
    scale.simulate(run, slots=8, cells=20, seconds=0.02, trials=6, width=width)
    files = sorted(run.glob("cells/*/cell.json"))
    assert len(files) == 20
    for file in files:
        record = read_json(file)
        lines = read_lines(file.parent / "evaluations.jsonl").records
        assert record["status"] == "complete"
        assert [line["evaluation"] for line in lines] == list(range(6))
        assert record["evaluations"] == 6
        assert {line["slot"] for line in lines} == set(range(width))
        assert abs(record["ledger"]["residual"]) < 0.02
    assert len(by_process(run)) == 8
    assert clashes(run) == []


@pytest.mark.slow
def test_a_cell_costs_the_runner_no_more_in_a_large_study(
    scale: ModuleType, tmp_path: Path
) -> None:
    """Four times the cells on as many slots cost four times as much, not sixteen."""
    display = LiveTable(Console(file=io.StringIO(), force_terminal=True, width=100, height=30))
    small, large = (
        scale.simulate(tmp_path / str(cells), 32, cells, seconds=0.01, trials=5, display=display)
        for cells in (50, 200)
    )
    assert large.each < 2 * small.each


def test_baseline_runs_of_many_slices_at_once_are_all_there(
    scale: ModuleType, tmp_path: Path
) -> None:
    """They go into one file, from a thread for each slice."""
    study = dataclasses.replace(scale.study_of(10), seeds=tuple(range(128)), yardstick_draws=40)
    (tmp_path / "cells").mkdir()
    runs = cell_runs(study, tmp_path)
    work = baseline_runs.missing_baseline_runs(study, tmp_path, runs)
    slice_ = scale.SimulatedSlice("slice 0", 0.0, scale.Controllers())
    with ThreadPoolExecutor(64) as pool:
        assert all(pool.map(lambda baseline: baseline.run(slice_, None), work))
    lines = read_lines(tmp_path / "yardsticks.jsonl").records
    assert len(lines) == 128 * 40 * 2
    assert baseline_runs.missing_baseline_runs(study, tmp_path, runs) == []
