"""Pairs of searchers and the table across tasks: who is lower, how surely, and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpobench.report.tables.across import across_table
from hpobench.report.tables.pairs import Pair, pairs_of, pairs_tables
from hpobench.results.flat_curves import FlatCurves
from hpobench.results.paired import finals
from hpobench.results.run import Results
from hpobench.statistics.verdicts import verdicts
from tests.hpobench.fake_run import Point, write_cell, write_run, write_study, write_yardsticks


def run_of(folder: Path, finals: Mapping[str, Sequence[float | None]]) -> Results:
    """Cells that end at these test losses, after a time of their place; the reference is at 0.1."""
    seeds = range(max(map(len, finals.values())))
    write_study(folder, searchers=tuple(finals), seeds=tuple(seeds))
    for seed in seeds:
        write_yardsticks(folder, "digits", seed)
    for place, (searcher, losses) in enumerate(finals.items(), start=1):
        for seed, loss in enumerate(losses):
            if loss is not None:
                points = [Point(float(place), loss, loss)]
                write_cell(folder, "digits", searcher, seed, points)
    return Results.load(folder)


def pairs(results: Results) -> dict[tuple[str, str], Pair]:
    found = pairs_of(results, FlatCurves.of(results, "seconds"), "digits")
    return {(pair.first, pair.second): pair for pair in found}


def tables(results: Results) -> dict[str, Any]:
    found = pairs_tables(results, FlatCurves.of(results, "seconds"), "seconds")
    assert found is not None
    return found


def across(results: Results) -> dict[str, Any]:
    found = across_table(results, FlatCurves.of(results, "seconds"), "seconds")
    assert found is not None
    return found


LOW = [0.12, 0.14, 0.16, 0.18, 0.2, 0.15]
HIGH = [loss + 0.01 + 1e-4 * n for n, loss in enumerate(LOW)]


def test_the_lower_one_comes_first_whatever_the_order_in_the_study(tmp_path: Path) -> None:
    found = pairs(run_of(tmp_path, {"high": HIGH, "low": LOW}))
    pair = found["low", "high"]
    assert pair.difference.mean == pytest.approx(-0.01025)
    assert pair.difference.low < pair.difference.mean < pair.difference.high < 0
    assert pair.better == "low"
    assert pair.improvement.value == 1
    assert pair.crossover is not None
    assert pair.crossover.time == 2  # where low comes down


def test_p_is_that_of_the_verdicts_of_all_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    losses = {name: (0.2 + 0.03 * rng.random(6)).tolist() for name in ("a", "b", "c", "d")}
    results = run_of(tmp_path, losses)
    found = pairs(results)
    expected = verdicts(finals(results, "digits"))
    assert len(found) == len(expected) == 6
    for verdict in expected:
        key = (verdict.first, verdict.second)
        pair = found[key] if key in found else found[key[::-1]]
        assert (pair.p, pair.better) == (verdict.p, verdict.better)
        assert pair.difference.mean == -abs(verdict.difference.mean)


def test_two_names_of_one_searcher_are_not_separated(tmp_path: Path) -> None:
    results = run_of(tmp_path, {"one": LOW, "other": LOW})
    (pair,) = pairs(results).values()
    assert (pair.p, pair.better, pair.difference.mean) == (1, None, 0)
    (row,) = tables(results)["tasks"][0]["rows"]
    assert row["values"] == ["6", "0 [0 to 0]", "1", "not separated", "50 % [12 to 88]", "–"]


def test_a_missing_cell_is_no_improvement_and_its_seed_no_pair(tmp_path: Path) -> None:
    results = run_of(tmp_path, {"low": [None, *LOW[1:]], "high": HIGH})
    (row,) = tables(results)["tasks"][0]["rows"]
    assert (row["first"], row["second"]) == ("low", "high")
    assert row["values"][0] == "5"
    assert row["values"][4].startswith("83 % [")
    assert row["values"][4].endswith(", 1 missing")


def test_fewer_than_five_pairs_have_no_p(tmp_path: Path) -> None:
    results = run_of(tmp_path, {"low": [None, None, *LOW[2:]], "high": HIGH})
    (row,) = tables(results)["tasks"][0]["rows"]
    assert row["values"][2:4] == ["–", "too few seeds"]
    assert "[" not in row["values"][1]


@pytest.mark.parametrize(("seeds", "words"), [(1, "One seed is"), (4, "4 seeds are")])
def test_of_few_seeds_it_is_said_once(tmp_path: Path, seeds: int, words: str) -> None:
    results = run_of(tmp_path, {"low": LOW[:seeds], "high": HIGH[:seeds]})
    found = tables(results)
    assert found["explained"].count(f"{words} too few for p and for intervals") == 1
    assert not any("p" in column.split(",") for column in found["columns"])
    (row,) = found["tasks"][0]["rows"]
    assert len(row["values"]) == len(found["columns"])
    assert row["values"][2] == f"{seeds} of {seeds}"
    assert not any("[" in value for value in row["values"])


def test_one_that_stands_at_the_default_or_lacks_a_cell_is_not_the_lowest(tmp_path: Path) -> None:
    results = run_of(tmp_path, {"partly": [0.11, None], "idle": [], "worse": [0.35, 0.36]})
    for seed in (0, 1):
        idle = [Point(1.0, 0.25, 0.25, full=False)]
        write_cell(results.path, "digits", "idle", seed, idle)
    results = Results.load(results.path)
    first = next(iter(pairs(results).values()))
    assert "worse" in (first.first, first.second)


@pytest.mark.parametrize(("searchers", "shown", "rest"), [(8, 28, 0), (9, 8, 28)])
def test_of_many_searchers_the_lowest_is_against_each_and_the_rest_folded(
    tmp_path: Path, searchers: int, shown: int, rest: int
) -> None:
    names = [f"searcher_{place}" for place in range(searchers)]
    results = Results.load(write_run(tmp_path, searchers=names, seeds=range(5)))
    (table,) = tables(results)["tasks"]
    assert (len(table["rows"]), len(table["rest"])) == (shown, rest)
    if rest:
        lowest = results.summary()["searcher"].iloc[0]
        assert {row["first"] for row in table["rows"]} == {lowest}


def test_one_searcher_has_no_pairs(tmp_path: Path) -> None:
    results = Results.load(write_run(tmp_path, searchers=("fds",)))
    assert pairs_tables(results, FlatCurves.of(results, "seconds"), "seconds") is None


def test_across_tasks_a_missing_cell_is_shown_and_counts_as_highest(tmp_path: Path) -> None:
    tasks, searchers, seeds = ("digits", "fashion", "other"), ("fds", "random"), range(5)
    gone = ["digits__fds__s0", "fashion__fds__s1"]
    folder = write_run(tmp_path, tasks, searchers, seeds, missing=gone, without_reference=["other"])
    found = across(Results.load(folder))
    assert "of other no regret is known" in found["explained"]
    assert "over seconds from 0 to the end, on a linear clock" in found["explained"]
    rows = {row["searcher"]: row["values"] for row in found["rows"]}
    assert rows["fds"][0] == "13 of 15"
    assert rows["random"][0] == "15 of 15"
    assert all(len(values) == len(found["columns"]) for values in rows.values())
    final, rank = (float(rows["fds"][place].split()[0].replace("−", "-")) for place in (1, 3))
    assert -2 < final < 0  # two of ten are no part of the middle half
    assert rank == pytest.approx(1 + 2 / 15, abs=0.01)


def test_across_tasks_too_many_missing_cells_leave_no_value(tmp_path: Path) -> None:
    gone = [f"digits__fds__s{seed}" for seed in (0, 1)]
    found = across(Results.load(write_run(tmp_path, seeds=range(5), missing=gone)))
    rows = {row["searcher"]: row["values"] for row in found["rows"]}
    assert rows["fds"][:3] == ["3 of 5", "–", "–"]
    assert [row["searcher"] for row in found["rows"]] == ["random", "fds"]


def test_nothing_measured_has_no_table(tmp_path: Path) -> None:
    results = Results.load(write_study(tmp_path))
    assert across_table(results, FlatCurves.of(results, "seconds"), "seconds") is None
    (row,) = tables(results)["tasks"][0]["rows"]
    assert set(row["values"]) == {"0", "–"}
