"""Noise, bias and cost of hypergradients."""

from __future__ import annotations

import io
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hpobench.audit import cost as costing
from hpobench.audit import memory
from hpobench.audit.rows import Cost, named, over_draws, own_draws
from hpobench.audit.run import Audit
from hpobench.audit.spread import spread, summarised
from hpobench.audit.table import spread_table, trouble_lines
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Checkpointed, Stored
from searchers.hypergradients.scaled import Scaled
from tests.hpobench.audit.unrolled_engine import Broken, Refusing, Unrolled
from trainables.tasks import find_task

CPU = torch.device("cpu")

derivatives = st.integers(2, 8).flatmap(
    lambda draws: st.lists(st.floats(-9, 9), min_size=draws, max_size=draws)
)


@given(derivatives, st.floats(-1, 1))
def test_statistics_of_a_spread(values: list[float], shift: float) -> None:
    column = np.array(values)[:, None]
    exact, other = summarised({"exact": column, "other": column + shift}, "exact", ["a"], "t", 1)
    assert exact.mean == pytest.approx(np.mean(values), abs=1e-12)
    assert exact.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    assert exact.signs == max(np.mean(column > 0), np.mean(column < 0))
    assert math.isnan(exact.bias)
    assert other.bias == pytest.approx(shift, abs=1e-12)
    assert other.bias_error == pytest.approx(0, abs=1e-12)  # paired: the draws' noise cancels
    assert other.flips == np.mean(np.sign(column + shift) != np.sign(column))
    assert exact.draws == len(values)
    assert exact.nonfinite == 0


def test_nonfinite_derivatives_are_counted_and_left_out() -> None:
    column = np.array([[1.0], [np.nan], [3.0], [np.inf]])
    (row,) = summarised({"exact": column}, "exact", ["a"], "t", 1)
    assert (row.draws, row.nonfinite, row.mean) == (4, 2, 2.0)
    (none,) = summarised({"exact": column[1:2]}, "exact", ["a"], "t", 1)
    assert none.nonfinite == 1
    assert math.isnan(none.mean)
    assert math.isnan(none.signs)


@given(derivatives, st.integers(1, 8), st.sets(st.integers(0, 7)), st.sets(st.integers(0, 7)))
def test_means_differ_by_the_bias_and_nothing_else(
    values: list[float], drawn: int, lost: set[int], overflowed: set[int]
) -> None:
    """Draws that one engine has and another lacks, or has no number of, are in no mean."""
    exact = np.array(values)[:, None]
    other = exact[:drawn] + 0.25
    exact[[d for d in overflowed if d < len(exact)]] = np.inf
    other[[d for d in lost if d < len(other)]] = np.nan
    rows = list(summarised({"exact": exact, "other": other}, "exact", ["a"], "t", 1))
    assert [row.draws for row in rows] == [len(exact), len(other)]
    if np.isfinite(exact).any() and np.isfinite(other).any():
        both = np.isfinite(exact[: len(other)]) & np.isfinite(other)
        assert {row.shared for row in rows} == {both.sum()}
        if both.any():
            assert rows[1].bias == pytest.approx(0.25)
            assert rows[1].mean - rows[0].mean == pytest.approx(rows[1].bias)


def test_an_engine_without_a_number_takes_no_draws_from_the_others() -> None:
    exact = np.arange(4.0)[:, None]
    found = {"exact": exact, "none": np.empty((0, 1)), "nan": exact[:2] * np.nan}
    first, *others = summarised(found, "exact", ["a"], "t", 1)
    assert (first.shared, first.mean) == (4, 1.5)
    assert all(math.isnan(row.mean) and math.isnan(row.bias) for row in others)


def shown(rows) -> str:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(spread_table(rows))
    return console.export_text()


def test_how_many_draws_each_engine_had_is_said_where_they_differ() -> None:
    column = np.arange(8.0)[:, None]
    same = list(summarised({"auto": column, "mine": column}, "auto", ["a"], "t", 9))
    assert (over_draws(same), own_draws(same)) == ("over 8 draws", {})
    assert "9 epochs, over 8 draws" in shown(same)
    rows = list(summarised({"auto": column, "mine": column[:6]}, "auto", ["a"], "t", 9))
    assert "9 epochs, over the 6 draws that all engines share" in shown(rows)
    assert "(auto: 8 draws; mine: 6 draws)" in shown(rows)
    assert max(map(len, shown(rows).splitlines())) <= 100
    column = column.copy()
    column[3] = np.inf
    rows = list(summarised({"auto": column, "mine": column[:6]}, "auto", ["a"], "t", 9))
    assert own_draws(rows)["auto"] == "8 draws, 1 not finite"


@dataclass(frozen=True)
class Tiring(Unrolled):
    """Breaks at its third draw."""

    name: str = "tiring"
    done: list = field(default_factory=list)

    def hypergradient(self, problem, draw, schedule):
        self.done.append(draw)
        return (Auto() if len(self.done) < 3 else Broken()).hypergradient(problem, draw, schedule)


def test_an_engine_that_breaks_midway_has_no_number() -> None:
    task = find_task("quadratic")
    rows = spread(task, task.build(0, CPU).inner, (Tiring(),), seconds=0.01)
    assert {row.draws for row in rows if row.engine == "tiring"} == {0}
    assert {row.shared for row in rows} == {rows[0].draws}


def test_an_engine_that_breaks_on_a_task_is_named() -> None:
    task = find_task("quadratic")
    rows = spread(task, task.build(0, CPU).inner, (Broken(), Refusing()), seconds=0.01)
    by_engine = {row.engine: row for row in rows}
    assert by_engine["broken"].note == "ZeroDivisionError: one too few"
    assert by_engine["broken"].draws == 0
    assert trouble_lines(rows) == [
        "failed: broken on quadratic: ZeroDivisionError: one too few",
        "– refusing on quadratic: never on a Monday",
    ]


@pytest.mark.slow
def test_spread_on_a_task() -> None:
    task = find_task("digits")
    problem = task.build(0, CPU).inner
    rows = spread(task, problem, (Forward(clamp=1e-4), Auto()), seconds=0.01)
    assert {row.engine for row in rows} == {"auto", "forward, clamped to ±0.0001"}
    assert [r.coefficient for r in rows[: len(rows) // 2]] == list(task.space.scalars)
    assert {(row.draws, row.epochs) for row in rows} == {(3, 1)}  # no time: the fewest, the least
    tight = [row for row in rows if row.engine != "auto"]
    assert max(abs(row.bias) for row in tight) > 1e-3
    assert all(row.deviation > 0 for row in rows)
    assert named("auto", rows) == "auto (graphs)"
    assert named(tight[0].engine, rows) == tight[0].engine


# Cost.


@pytest.mark.slow
def test_memory_of_stored_states_grows_with_the_horizon() -> None:
    """And that of plain training does not; a state is 34,186 weights and their velocity."""
    points = [(Broken(), 32, 7), (Stored(), 32, 7), (Stored(), 256, 7), (Checkpointed(), 256, 7)]
    broken, short, long, checkpointed, plain = memory.peaks([*points, (None, 256, 7)], CPU)
    assert math.isnan(broken)
    state = 2 * 4 * 34_186 / 2**20
    assert long - short == pytest.approx(224 * state, rel=0.15)
    assert checkpointed < long / 2
    assert plain < 0.1 * long


def test_an_engine_that_breaks_has_no_time() -> None:
    row = costing.timed(
        Cost("broken", 16, 7, *[math.nan] * 4, math.nan, ""),
        costing.cost_problem(CPU),
        (Broken(), 16, 7),
    )
    assert math.isnan(row.steps)
    assert row.note == "ZeroDivisionError: one too few"


@pytest.mark.slow
def test_time_is_in_steps_of_plain_training(monkeypatch) -> None:
    monkeypatch.setattr(costing, "HORIZONS", (16,))
    monkeypatch.setattr(costing, "WINDOWS", (7, 20))
    monkeypatch.setattr(costing, "peaks", lambda points, device: [1.0] * len(points))
    rows = list(costing.cost([("stored", Stored())], CPU))
    assert {row.taken for row in rows} == {""}
    assert costing.timed(rows[0], costing.cost_problem(CPU), (Auto(), 16, 7)).taken == "graphs"
    assert [(r.engine, r.horizon, r.windows) for r in rows] == [
        (engine, *size) for engine in ("plain training", "stored") for size in ((16, 7), (64, 20))
    ]
    assert [row.steps for row in rows[:2]] == [1.0, 1.0]
    for row in rows[2:]:
        assert row.lowest <= row.steps <= row.highest
        assert 2 < row.steps < 20
        assert row.pairs >= 3


# Engines that are wrong in a task's own precision alone.


@dataclass(frozen=True)
class InSingle:
    """Right on the audit's own problems, which are in double precision."""

    spoilt: Callable[[Scaled], Scaled]
    name: str = "single"

    def hypergradient(self, problem, draw, schedule):
        result = Stored().hypergradient(problem, draw, schedule)
        if result.trained.state.weights.dtype == torch.float64:
            return result
        return replace(result, by_coefficient=self.spoilt(result.by_coefficient))


@pytest.mark.parametrize(
    ("spoilt", "line"),
    [
        (lambda by: by.times(5.0), "400% away from auto on the same draws"),
        (lambda by: by.times(math.nan), "derivatives are not finite"),
        (lambda by: Scaled(by.mantissa[:1], by.exponent[:1]), r"shape \(1,\), not \(9,\)"),
        (lambda by: sys.exit(0), "SystemExit"),
    ],
)
@pytest.mark.slow
def test_an_engine_that_is_wrong_on_a_task_fails(spoilt, line: str) -> None:
    task = find_task("digits")
    problem = task.build(0, CPU).inner
    rows = spread(task, problem, [InSingle(spoilt), Checkpointed()], seconds=0.01)
    (found,) = Audit("digits", "cpu", "machine", 1.0, (), tuple(rows), ()).failures
    assert re.search(line, found)
    assert found.startswith("failed: single on digits")
    assert "\n" not in found
