"""Mean ranks over tasks and seeds, and who is not set apart: what the figure shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpobench.report.drawing.render import render
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import STYLES, StyleName
from hpobench.report.figures.critical_difference import (
    critical_difference_data,
    critical_difference_figure,
    critical_difference_figures,
    critical_difference_plot,
    few_blocks,
    standing_of,
)
from hpobench.results.flat_curves import FlatCurves
from hpobench.results.run import Results
from hpobench.statistics.ranks import critical_difference
from tests.hpobench.fake_run import write_run
from tests.hpobench.report.figures.text_boxes import black_boxes


def test_critical_difference_has_ranks_groups_and_pairs(two_tasks: Results) -> None:
    standing = standing_of(FlatCurves.of(two_tasks, "seconds"))
    assert standing is not None
    assert not standing.averaged
    assert standing.found.blocks == 12
    assert standing.found.missing.tolist() == [1, 0, 1, 0]
    data = critical_difference_data(standing.found, two_tasks.searchers)
    ranked = data[data["line"] == "searcher"]
    assert ranked["rank"].is_monotonic_increasing
    assert ranked["searcher"].iloc[0] == "random"  # its floor is the lowest
    assert ranked["rank"].sum() == pytest.approx(1 + 2 + 3 + 4, rel=1e-3)
    pairs = data[data["line"] == "pair"]
    assert len(pairs) == 6
    for row in pairs.to_dict("records"):
        i, j = (two_tasks.searchers.index(row[name]) for name in ("searcher", "other"))
        assert row["p"] == pytest.approx(standing.found.p_values[i, j], rel=1e-4)
    assert few_blocks(standing.found).startswith("by ranks, 6 seeds set no two of 4 searchers")


def test_searchers_that_are_not_set_apart_are_a_group() -> None:
    values = np.random.default_rng(0).random((20, 3)) + np.array([0, 0, 5])
    data = critical_difference_data(critical_difference(values), ("a", "b", "far"))
    groups = data[data["line"] == "group"]
    assert set(groups["searcher"]) == {"a", "b"}
    assert set(groups["group"]) == {1}


def test_the_interactive_rows_are_the_ranks_with_groups_beside_them() -> None:
    values = np.random.default_rng(0).random((20, 5)) + np.array([5, 0, 0, 9, 5])
    searchers = ("second", "a", "b", "far", "third")
    data = critical_difference_data(critical_difference(values), searchers)
    plot = critical_difference_plot(data, black_boxes(*searchers)).as_json()
    ranked = data[data["line"] == "searcher"]
    assert list(plot["rows"]) == ranked["searcher"].tolist()
    assert [entry["name"] for entry in plot["legend"]] == list(searchers)
    own = [trace for trace in plot["traces"] if trace["meta"]["of"] is not None]
    dots = [trace for trace in own if trace["mode"] == "markers"]
    assert [*zip(ranked["searcher"], ranked["rank"], strict=True)] == [
        (trace["meta"]["of"], trace["x"][0]) for trace in dots
    ]
    assert all(list(trace["y"]) == [trace["meta"]["of"]] * len(trace["y"]) for trace in own)
    (lines,) = dots[0]["meta"]["lines"]
    assert lines[0][1].startswith(f"<b>{plot['rows'][0]}</b>, mean rank 1.")
    assert [of for of, _ in lines[1:]] == ranked["searcher"].tolist()[1:]  # p, while they are shown
    groups = [trace for trace in plot["traces"] if trace.get("xaxis") == "x2"]
    assert [set(trace["y"]) for trace in groups] == [{"a", "b"}, {"second", "third"}]
    for trace in groups:
        assert trace["meta"]["each"] == list(trace["y"])
        assert trace["meta"]["fewest"] == 2
    assert [set(trace["x"]) for trace in groups] == [{"1"}, {"2"}]


def test_too_few_blocks_are_said_in_the_figure_and_beside_it(tmp_path: Path) -> None:
    results = Results.load(write_run(tmp_path, searchers=("a", "b", "c")))
    said = "2 blocks set no two of 3 searchers apart, whatever the values: that takes at least 7"
    (figure,) = critical_difference_figures(FigureSource(results))
    assert said in render(figure.static(), "svg", "light").decode()
    assert said in figure.caption


def test_one_block_has_no_critical_difference(tmp_path: Path) -> None:
    results = Results.load(write_run(tmp_path, seeds=[0]))
    assert standing_of(FlatCurves.of(results, "seconds")) is None
    assert critical_difference_figures(FigureSource(results)) == []


def test_a_very_large_study_is_averaged_over_seeds() -> None:
    tasks, searchers, seeds = 12, 20, 50
    values = np.random.default_rng(0).random(tasks * searchers * seeds)
    place = np.arange(values.size).reshape(tasks, searchers, seeds)
    curves = FlatCurves(np.zeros(values.size), values, values, place, place + 1)
    standing = standing_of(curves)
    assert standing is not None
    assert standing.averaged
    assert standing.found.blocks == tasks


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.slow
def test_it_is_drawn_in_both_styles_of_any_number_of_searchers(
    long_names: Results, style: StyleName
) -> None:
    standing = standing_of(FlatCurves.of(long_names, "seconds"))
    assert standing is not None
    names = long_names.searchers
    ranks = critical_difference_data(standing.found, names)
    figure = critical_difference_figure(
        ranks, black_boxes(*names), few_blocks(standing.found), style
    )
    assert STYLES[style].families["black-box"][0] in render(figure, "svg", style).decode()
