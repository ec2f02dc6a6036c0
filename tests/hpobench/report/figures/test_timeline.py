"""What each slot ran, and when: what the figure shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hpobench.report.drawing.render import render
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import STYLES, StyleName
from hpobench.report.figures.timeline import (
    timeline_data,
    timeline_figure,
    timeline_figures,
    timeline_plot,
    unit_of,
)
from hpobench.results.json_files import read_json, write_json
from hpobench.results.run import Results
from tests.hpobench.fake_run import OTHER_PLACE, Point, write_cell, write_study
from tests.hpobench.report.figures.text_boxes import black_boxes


def test_the_timeline_has_cells_start_ups_and_evaluations(two_tasks: Results) -> None:
    data = timeline_data(two_tasks)
    cells = data[data["what"] == "cell"]
    assert len(cells) == 2 * 4 * 6 - 1
    assert (cells["ended"] - cells["began"]).to_numpy() == pytest.approx(60, abs=1e-3)
    startups = data[data["what"] == "start-up"]
    assert startups["began"].min() == 0
    assert startups["ended"].to_numpy() == pytest.approx(cells["began"].to_numpy())
    assert set(data["slot"]) == {"slice 0"}
    evaluations = data[data["what"] == "evaluation"]
    assert len(evaluations) == len(two_tasks.evaluations)
    for row in cells.to_dict("records"):
        of_cell = evaluations[
            (evaluations["searcher"] == row["searcher"])
            & (evaluations["task"] == row["task"])
            & (evaluations["seed"] == row["seed"])
        ]
        assert of_cell["began"].min() >= row["began"] - 1e-3
        assert of_cell["ended"].max() <= row["ended"] + 1e-3


def two_wide(folder: Path) -> Results:
    """Cells of two slots each, on two nodes."""
    write_study(folder, searchers=("fds", "random"), seeds=(0,))
    study = read_json(folder / "study.json")
    write_json(folder / "study.json", study | {"width": 2})
    for searcher, place in (("fds", OTHER_PLACE | {"name": "slice 10"}), ("random", OTHER_PLACE)):
        node = {"node": "node-c"} if searcher == "fds" else {}
        write_cell(folder, "digits", searcher, 0, [Point(5.0, 0.2, 0.2)], place=place | node)
    return Results.load(folder)


SLOTS = (
    "node-b, slice 1, slot 0",
    "node-b, slice 1, slot 1",
    "node-c, slice 10, slot 0",
    "node-c, slice 10, slot 1",
)


def test_slots_are_told_apart_by_node_and_number(tmp_path: Path) -> None:
    data = timeline_data(two_wide(tmp_path))
    assert tuple(dict.fromkeys(data["slot"])) == SLOTS
    evaluations = data[data["what"] == "evaluation"]
    assert set(evaluations["slot"]) == {"node-b, slice 1, slot 0", "node-c, slice 10, slot 0"}


def test_every_slot_keeps_its_interactive_row(tmp_path: Path) -> None:
    results = two_wide(tmp_path)
    plot = timeline_plot(timeline_data(results), black_boxes("fds", "random", "none")).as_json()
    assert plot["rows"] == SLOTS
    assert [entry["drawn"] for entry in plot["legend"]] == [True, True, False]


def test_the_interactive_bars_are_the_spans_of_the_data(two_tasks: Results) -> None:
    data = timeline_data(two_tasks)
    size, unit = unit_of(data["ended"].max())
    plot = timeline_plot(data, FigureSource(two_tasks).looks).as_json()
    assert unit == "minutes"
    assert [trace["meta"]["of"] for trace in plot["traces"]] == 3 * [*two_tasks.searchers]
    kinds = [what for what in ("start-up", "cell", "evaluation") for _ in two_tasks.searchers]
    for what, trace in zip(kinds, plot["traces"], strict=True):
        rows = data[(data["what"] == what) & (data["searcher"] == trace["meta"]["of"])]
        assert list(trace["y"]) == rows["slot"].tolist()
        assert list(trace["base"]) == (rows["began"] / size).tolist()
        ends = [base + length for base, length in zip(trace["base"], trace["x"], strict=True)]
        assert ends == pytest.approx((rows["ended"] / size).tolist())
        assert what in trace["text"][0]


def test_of_very_many_cells_some_are_drawn_and_that_is_said(two_tasks: Results) -> None:
    data = timeline_data(two_tasks, at_most=10)
    cells = data[data["what"] == "cell"]
    assert 5 <= len(cells) <= 10
    whole = timeline_data(two_tasks)
    assert set(map(tuple, cells[["began", "ended"]].to_numpy())) <= set(
        map(tuple, whole[["began", "ended"]].to_numpy())
    )


def test_cells_that_do_not_say_when_are_counted(two_tasks: Results) -> None:
    started = two_tasks.cells["started"].where(two_tasks.cells["seed"] > 0)
    some = dataclasses.replace(two_tasks, cells=two_tasks.cells.assign(started=started))
    (figure,) = timeline_figures(FigureSource(some))
    assert "8 cells did not say when, or on which slot." in figure.caption
    none = dataclasses.replace(two_tasks, cells=two_tasks.cells.assign(started=None))
    assert len(timeline_data(none)) == 0
    assert timeline_figures(FigureSource(none)) == []


def test_times_are_told_in_units_of_their_size() -> None:
    assert [unit_of(seconds)[1] for seconds in (20, 200, 20_000, 2_000_000)] == [
        *("seconds", "minutes", "hours", "days")
    ]


@pytest.mark.parametrize("style", STYLES)
def test_it_is_drawn_in_both_styles_of_any_number_of_searchers(
    long_names: Results, style: StyleName
) -> None:
    figure = timeline_figure(timeline_data(long_names), FigureSource(long_names).looks, style)
    assert STYLES[style].families["black-box"][0] in render(figure, "svg", style).decode()
