"""Figures over all tasks: what they show, as tables, and that they can be drawn."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpobench.report.drawing.style import STYLES, StyleName
from hpobench.report.figures.critical_difference import (
    critical_difference_data,
    critical_difference_figure,
    few_blocks,
    standing_of,
)
from hpobench.report.figures.profile import profile_data, profile_figure
from hpobench.report.figures.timeline import timeline_data, timeline_figure, unit_of
from hpobench.report.figures.write import across_figures, render
from hpobench.report.page.standings import standing_figures
from hpobench.results.flat_curves import FlatCurves
from hpobench.results.json_files import read_json, write_json
from hpobench.results.run import Results
from hpobench.statistics.ranks import critical_difference
from tests.hpobench.fake_run import OTHER_PLACE, Point, write_cell, write_run, write_study


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = write_run(
        tmp_path_factory.mktemp("run"),
        tasks=("digits", "fashion"),
        searchers=("random", "fds", "bohb", "grid"),
        seeds=range(6),
        missing=["digits__bohb__s4"],
        failed=["fashion__random__s1"],
    )
    return Results.load(folder)


def curves_of(results: Results) -> FlatCurves:
    return FlatCurves.of(results, "seconds")


def test_critical_difference_has_ranks_groups_and_pairs(run: Results) -> None:
    standing = standing_of(curves_of(run))
    assert standing is not None
    assert not standing.averaged
    assert standing.found.blocks == 12
    assert standing.found.missing.tolist() == [1, 0, 1, 0]
    data = critical_difference_data(standing.found, run.searchers)
    ranked = data[data["line"] == "searcher"]
    assert ranked["rank"].is_monotonic_increasing
    assert ranked["searcher"].iloc[0] == "random"  # its floor is the lowest
    assert ranked["rank"].sum() == pytest.approx(1 + 2 + 3 + 4, rel=1e-3)
    pairs = data[data["line"] == "pair"]
    assert len(pairs) == 6
    for row in pairs.to_dict("records"):
        i, j = run.searchers.index(row["searcher"]), run.searchers.index(row["other"])
        assert row["p"] == pytest.approx(standing.found.p_values[i, j], rel=1e-4)
    assert few_blocks(standing.found).startswith("6 seeds set no two of 4 searchers apart")


def test_searchers_that_are_not_set_apart_are_a_group(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((20, 3)) + np.array([0, 0, 5])
    data = critical_difference_data(critical_difference(values), ("a", "b", "far"))
    groups = data[data["line"] == "group"]
    assert set(groups["searcher"]) == {"a", "b"}
    assert set(groups["group"]) == {1}


def test_too_few_blocks_are_said_in_the_figure_and_beside_it(tmp_path: Path) -> None:
    results = Results.load(write_run(tmp_path, searchers=("a", "b", "c")))
    said = "2 blocks set no two of 3 searchers apart, whatever the values: it takes at least 7"
    draw = across_figures(results)["critical-difference"]
    assert said in render(draw(), "svg", "light").decode()
    captions = {f.name: f.caption for f in standing_figures(results, curves_of(results))}
    assert said in captions["critical-difference"]


def test_one_block_has_no_critical_difference(tmp_path: Path) -> None:
    results = Results.load(write_run(tmp_path, seeds=[0]))
    assert standing_of(curves_of(results)) is None
    assert "critical-difference" not in across_figures(results)


def test_a_very_large_study_is_averaged_over_seeds() -> None:
    tasks, searchers, seeds = 12, 20, 50
    values = np.random.default_rng(0).random(tasks * searchers * seeds)
    place = np.arange(values.size).reshape(tasks, searchers, seeds)
    curves = FlatCurves(np.zeros(values.size), values, values, place, place + 1)
    standing = standing_of(curves)
    assert standing is not None
    assert standing.averaged
    assert standing.found.blocks == tasks


def test_a_profile_is_the_share_of_cells_at_or_below(run: Results) -> None:
    curves = curves_of(run)
    data = profile_data(run, curves)
    finals = 100 * curves.finals(curves.normalised)
    for place, searcher in enumerate(run.searchers):
        mine = data[data["searcher"] == searcher]
        for row in mine.to_dict("records"):
            near = 1e-4 * abs(row["level"])  # of which it has five digits
            least, most = (
                np.sum(finals[:, place] <= row["level"] + side) for side in (-near, near)
            )
            assert least <= round(row["share"] * 12) <= most
            assert row["low"] <= row["share"] <= row["high"]
        assert mine["share"].iloc[-1] == pytest.approx(
            11 / 12 if searcher in ("bohb", "random") else 1, rel=1e-4
        )
        assert mine["share"].is_monotonic_increasing
    short = profile_data(run, curves, at_most=4)
    assert short.groupby("searcher").size().max() <= 6
    both = short.merge(data, on=["searcher", "level"])
    assert len(both) == len(short)
    assert both["share_x"].equals(both["share_y"])


def test_without_a_reference_there_is_no_profile(tmp_path: Path) -> None:
    results = Results.load(write_run(tmp_path, without_reference=["digits"]))
    assert len(profile_data(results, curves_of(results))) == 0
    assert set(across_figures(results)) == {"critical-difference", "timeline"}


def test_the_timeline_has_cells_start_ups_and_evaluations(run: Results) -> None:
    data = timeline_data(run)
    cells = data[data["what"] == "cell"]
    assert len(cells) == 2 * 4 * 6 - 1
    assert (cells["ended"] - cells["began"]).to_numpy() == pytest.approx(60, abs=1e-3)
    startups = data[data["what"] == "start-up"]
    assert startups["began"].min() == 0
    assert startups["ended"].to_numpy() == pytest.approx(cells["began"].to_numpy())
    assert set(data["slot"]) == {"slice 0"}
    evaluations = data[data["what"] == "evaluation"]
    assert len(evaluations) == len(run.evaluations)
    for row in cells.to_dict("records"):
        mine = evaluations[
            (evaluations["searcher"] == row["searcher"])
            & (evaluations["task"] == row["task"])
            & (evaluations["seed"] == row["seed"])
        ]
        assert mine["began"].min() >= row["began"] - 1e-3
        assert mine["ended"].max() <= row["ended"] + 1e-3


def test_slots_are_told_apart_by_node_and_number(tmp_path: Path) -> None:
    write_study(tmp_path, searchers=("fds", "random"), seeds=(0,))
    study = read_json(tmp_path / "study.json")
    write_json(tmp_path / "study.json", study | {"width": 2})
    for searcher, place in (("fds", OTHER_PLACE | {"name": "slice 10"}), ("random", OTHER_PLACE)):
        node = {"node": "node-c"} if searcher == "fds" else {}
        write_cell(tmp_path, "digits", searcher, 0, [Point(5.0, 0.2, 0.2)], place=place | node)
    data = timeline_data(Results.load(tmp_path))
    assert list(dict.fromkeys(data["slot"])) == [
        "node-b, slice 1, slot 0",
        "node-b, slice 1, slot 1",
        "node-c, slice 10, slot 0",
        "node-c, slice 10, slot 1",
    ]
    evaluations = data[data["what"] == "evaluation"]
    assert set(evaluations["slot"]) == {"node-b, slice 1, slot 0", "node-c, slice 10, slot 0"}


def test_of_very_many_cells_some_are_drawn_and_that_is_said(run: Results) -> None:
    data = timeline_data(run, at_most=10)
    cells = data[data["what"] == "cell"]
    assert 5 <= len(cells) <= 10
    whole = timeline_data(run)
    assert set(map(tuple, cells[["began", "ended"]].to_numpy())) <= set(
        map(tuple, whole[["began", "ended"]].to_numpy())
    )


def test_cells_that_do_not_say_when_are_counted(run: Results) -> None:
    cells = run.cells.assign(started=run.cells["started"].where(run.cells["seed"] > 0))
    some = dataclasses.replace(run, cells=cells)
    timeline = next(f for f in standing_figures(some, curves_of(some)) if f.name == "timeline")
    assert "8 cells did not say when, or on which slot." in timeline.caption
    none = dataclasses.replace(run, cells=run.cells.assign(started=None))
    assert len(timeline_data(none)) == 0
    assert "timeline" not in across_figures(none)


def test_times_are_told_in_units_of_their_size() -> None:
    assert [unit_of(seconds)[1] for seconds in (20, 200, 20_000, 2_000_000)] == [
        *("seconds", "minutes", "hours", "days")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_figures_are_drawn_in_both_styles_of_any_number_of_searchers(
    tmp_path: Path, style: StyleName
) -> None:
    names = [f"a_searcher_of_quite_a_long_name_{place}" for place in range(20)]
    results = Results.load(write_run(tmp_path, searchers=names, seeds=range(3)))
    curves = curves_of(results)
    standing = standing_of(curves)
    assert standing is not None
    ranks = critical_difference_data(standing.found, names)
    for figure in (
        critical_difference_figure(ranks, names, few_blocks(standing.found), style),
        profile_figure(profile_data(results, curves), names, style),
        timeline_figure(timeline_data(results), names, style),
    ):
        assert STYLES[style].lines[0] in render(figure, "svg", style).decode()


def test_the_same_run_gives_the_same_files(run: Results) -> None:
    figures = across_figures(run)
    assert [*figures] == ["critical-difference", "performance-profile", "timeline"]
    for name, draw in figures.items():
        assert render(draw(), "svg", "light") == render(draw(), "svg", "light"), name


def test_data_have_nothing_that_csv_cannot_hold(run: Results) -> None:
    for figure in standing_figures(run, curves_of(run)):
        assert figure.packed
    for table in (profile_data(run, curves_of(run)), timeline_data(run)):
        assert isinstance(table, pd.DataFrame)
        assert not np.isinf(table.select_dtypes("float").to_numpy()).any()
