"""Arrays for the statistics keep a place for each seed, whatever became of its cell."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from hpobench.results.paired import finals, times_to
from hpobench.results.run import Results
from tests.hpobench.fake_run import (
    Point,
    write_cell,
    write_references,
    write_study,
    write_yardsticks,
)

SEEDS = (3, 0, 7, 5)  # not in order: places follow the study


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Of a searcher: one cell gets to zero at 4 s, one never, one failed, one is missing."""
    write_study(tmp_path, searchers=("fds",), seeds=SEEDS, budget=60.0)
    for seed in SEEDS:
        write_yardsticks(tmp_path, "digits", seed)
    late = [Point(1.0, 0.25, 0.25), Point(4.0, 0.1, 0.1)]
    write_cell(tmp_path, "digits", "fds", 3, late)
    write_cell(tmp_path, "digits", "fds", 0, [Point(2.0, 0.2, 0.2)], wall=61.0)
    write_cell(tmp_path, "digits", "fds", 7, [Point(1.0, 0.1, 0.1)], status="failed", wall=2.0)
    return tmp_path


def test_finals_are_missing_where_a_cell_is_not_complete(run: Path) -> None:
    values = finals(Results.load(run), "digits")
    np.testing.assert_allclose(values["fds"], [0.0, 0.1, math.nan, math.nan], atol=1e-12)


def test_without_a_reference_finals_are_test_losses_and_there_are_no_targets(run: Path) -> None:
    write_references(run, ["digits"], without=["digits"])
    results = Results.load(run)
    np.testing.assert_allclose(finals(results, "digits")["fds"][:2], [0.1, 0.2])
    assert times_to(results, "digits", "zero", "seconds") is None


def test_times_are_censored_where_a_target_was_not_reached(run: Path) -> None:
    times = times_to(Results.load(run), "digits", "1_percent", "seconds")
    assert times is not None
    assert times["fds"].low.tolist() == [4.0, 60.0, 60.0, 0.0]
    assert times["fds"].high.tolist() == [4.0, math.inf, math.inf, math.inf]


def test_on_another_clock_a_cell_ends_where_it_did(run: Path) -> None:
    results = Results.load(run)
    of_slots = times_to(results, "digits", "1_percent", "slot_seconds")
    assert of_slots is not None
    assert of_slots["fds"].low.tolist()[1:] == [61.0, 2.0, 0.0]
    of_steps = times_to(results, "digits", "1_percent", "steps")
    assert of_steps is not None
    last = results.evaluations.groupby("cell")["steps"].max()
    assert of_steps["fds"].low.tolist()[1:3] == [
        last["digits__fds__s0"],
        last["digits__fds__s7"],
    ]
