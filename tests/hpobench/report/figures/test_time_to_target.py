"""When searchers came to a target: what the figure shows."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest

from hpobench.report.drawing.panel import panel_of
from hpobench.report.figures.time_to_target import (
    time_to_target_data,
    time_to_target_figure,
    time_to_target_plot,
)
from hpobench.results.regret import Clock
from hpobench.results.run import Results
from hpobench.results.schema import CLOCKS
from hpobench.results.targets import TARGET_MEANINGS
from tests.hpobench.fake_run import Point, write_cell, write_study, write_yardsticks


@pytest.mark.parametrize("clock", CLOCKS)
def test_times_to_a_target_are_those_of_the_summary(one_task: Results, clock: Clock) -> None:
    data = time_to_target_data(one_task, panel_of(one_task, "digits", clock=clock))
    summary = one_task.summary(clock).set_index("searcher")
    for (target, searcher), rows in data.groupby(["target", "searcher"]):
        (median,) = rows.query("line == 'median'").to_dict("records")
        seeds = rows.query("line == 'seed'")
        assert seeds["reached"].sum() == summary.loc[searcher, f"reached_{target}"]
        time = summary.loc[searcher, f"{clock}_to_{target}"]
        assert median["reached"] == (not math.isnan(time))
        if median["reached"]:
            assert median["time"] == pytest.approx(time, rel=1e-4)
    assert len(data.query("searcher == 'random' and line == 'seed'")) == 3 * 6  # failed ones, too


def test_a_target_that_was_not_reached_is_later_than_the_end(tmp_path: Path) -> None:
    write_study(tmp_path, searchers=("fds",), seeds=(0, 1))
    for seed, loss in ((0, 0.1), (1, 0.25)):
        write_yardsticks(tmp_path, "digits", seed)
        write_cell(tmp_path, "digits", "fds", seed, [Point(5.0, loss, loss)])
    results = Results.load(tmp_path)
    data = time_to_target_data(results, panel_of(results, "digits"))
    seeds = data.query("target == '10_percent' and line == 'seed'")
    assert seeds[["seed", "reached", "time"]].to_numpy().tolist() == [[0, True, 5], [1, False, 60]]


def test_the_interactive_rows_are_those_of_the_data(one_task: Results) -> None:
    panel = panel_of(one_task, "digits")
    data = time_to_target_data(one_task, panel)
    plot = time_to_target_plot(data, panel, "seconds").as_json()
    drawn = []
    for trace in plot["traces"]:
        target, searcher = trace["meta"]["when"]["target"], trace["meta"]["of"]
        assert set(trace["y"]) == {searcher}
        line = "median" if trace["type"] == "bar" else "seed"
        reached = "not by" not in trace["text"][0]
        drawn += [(target, line, searcher, reached, time) for time in trace["x"]]
    rows = data[["target", "line", "searcher", "reached", "time"]].itertuples(index=False)
    assert sorted(drawn) == sorted(map(tuple, rows))
    targets = dict.fromkeys(data["target"])
    assert [value for value, _ in plot["controls"][0]["options"]] == [*targets]


def test_the_names_of_the_targets_fit_into_the_drawing(one_task: Results) -> None:
    panel = panel_of(one_task, "digits")
    figure = time_to_target_figure(time_to_target_data(one_task, panel), panel, "seconds")
    figure.draw_without_rendering()
    titles = [axes._left_title for axes in figure.axes]  # type: ignore[attr-defined]
    assert [title.get_text() for title in titles] == list(TARGET_MEANINGS.values())
    ends = [title.get_window_extent() for title in titles]
    assert all(one.x1 < other.x0 for one, other in pairwise(ends))
    assert ends[-1].x1 <= figure.bbox.x1
