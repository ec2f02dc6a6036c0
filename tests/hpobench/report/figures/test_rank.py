"""Mean ranks over the clock: what the figure shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpobench.report.drawing.panel import panel_of
from hpobench.report.figures.rank import rank_data, rank_plot
from hpobench.results.run import Results
from tests.hpobench.fake_run import Point, write_cell, write_run, write_study, write_yardsticks


def test_ranks_are_shared_by_ties_and_last_where_nothing_is(tmp_path: Path) -> None:
    write_study(tmp_path, searchers=("a", "b", "c", "none"), seeds=(0, 1))
    for seed in (0, 1):
        write_yardsticks(tmp_path, "digits", seed)
        write_cell(tmp_path, "digits", "a", seed, [Point(5.0, 0.2, 0.2)])
    write_cell(tmp_path, "digits", "b", 0, [Point(10.0, 0.1, 0.1)])
    write_cell(tmp_path, "digits", "c", 0, [Point(20.0, 0.3, 0.3)])
    write_cell(tmp_path, "digits", "c", 1, [Point(20.0, 0.3, 0.3)])
    panel = panel_of(Results.load(tmp_path), "digits")
    ranks = rank_data(panel, (0, 1)).pivot(index="time", columns="searcher", values="rank")
    assert ranks.columns.tolist() == ["a", "b", "c"]
    assert ranks.loc[0.0].tolist() == [1.75, 2.5, 1.75]  # (2 + 1.5)/2, (2 + 3)/2, as a
    assert ranks.loc[5.0].tolist() == [1, 2.75, 2.25]
    assert ranks.loc[10.0].tolist() == [1.5, 2, 2.5]
    assert np.all(ranks.sum(axis=1) == 6)


def test_ranks_need_two_searchers(tmp_path: Path) -> None:
    results = Results.load(write_run(tmp_path, searchers=("fds",)))
    assert len(rank_data(panel_of(results, "digits"), (0, 1))) == 0


def test_the_interactive_curves_are_those_of_the_data(one_task: Results) -> None:
    panel = panel_of(one_task, "digits")
    data = rank_data(panel, range(6))
    plot = rank_plot(data, panel, "seconds").as_json()
    assert [trace["meta"]["of"] for trace in plot["traces"]] == [*one_task.searchers]
    for trace in plot["traces"]:
        rows = data[data["searcher"] == trace["meta"]["of"]]
        assert list(trace["x"]) == [*rows["time"], panel.end]
        assert list(trace["y"]) == [*rows["rank"], rows["rank"].iloc[-1]]
