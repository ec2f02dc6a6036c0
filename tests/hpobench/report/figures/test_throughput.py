"""Evaluations over the clock: what the figure shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpobench.report.drawing.source import FigureSource
from hpobench.report.figures.throughput import throughput_data, throughput_figures
from hpobench.results.run import Results
from tests.hpobench.fake_run import Point, write_cell, write_study, write_yardsticks
from tests.hpobench.report.figures.text_boxes import check_apart


def test_counts_are_means_over_complete_cells(tmp_path: Path) -> None:
    write_study(tmp_path, searchers=("a", "none"), seeds=(0, 1))
    for seed in (0, 1):
        write_yardsticks(tmp_path, "digits", seed)
    write_cell(tmp_path, "digits", "a", 0, [Point(5.0, 0.2, 0.2), Point(6.0, 0.3, 0.3)])
    write_cell(tmp_path, "digits", "a", 1, [Point(10.0, 0.2, 0.2)])
    source = FigureSource(Results.load(tmp_path))
    data = throughput_data(source, source.incumbents[0])
    assert set(data["searcher"]) == {"a"}
    assert data["time"].tolist() == [0, 5, 6, 10]
    assert data["evaluations"].tolist() == [0, 0.5, 1, 1.5]


@pytest.mark.parametrize("clock", ["seconds", "steps"])
def test_both_drawings_show_the_data(two_tasks: Results, clock: str) -> None:
    figures = throughput_figures(FigureSource(two_tasks, clock))
    assert [figure.name for figure in figures] == ["throughput-digits", "throughput-fashion"]
    for figure in figures:
        assert "evaluations at any budget, mean over complete cells" in check_apart(figure.static)
        assert figure.interactive is not None
        for trace in figure.interactive().as_json()["traces"]:
            rows = figure.data[figure.data["searcher"] == trace["meta"]["of"]]
            assert trace["x"][:-1] == rows["time"].tolist()
            assert trace["y"][:-1] == rows["evaluations"].tolist()


def test_of_a_run_without_evaluations_there_is_none(tmp_path: Path) -> None:
    assert throughput_figures(FigureSource(Results.load(write_study(tmp_path)))) == []
