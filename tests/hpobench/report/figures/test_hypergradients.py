"""Hypergradients against the search: what of them is shown, and how what is not a number is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from hpobench.report.drawing.source import FigureSource
from hpobench.report.figures.hypergradients import (
    HYPERGRADIENTS,
    hypergradient_data,
    hypergradient_figure,
    hypergradient_plot,
)
from hpobench.results.run import Results
from tests.hpobench.fake_run import write_run, write_study
from tests.hpobench.report.figures.learned_run import flat_of, learned, noted_at_length
from tests.hpobench.report.figures.text_boxes import (
    TWELVE,
    black_boxes,
    boxes,
    check_apart,
    check_files,
)

NOTES: list[dict[str, Any] | None] = [
    {"hypergradient": {"learning_rate_0": -3.0, "learning_rate_1": 4.0, "momentum": -0.5}},
    {"hypergradient": {"learning_rate": 7.0, "momentum": 0.0}},
    {"hypergradient": {"learning_rate_0": 1.0}, "nonfinite": ["learning_rate_1", "momentum"]},
    {"nonfinite": ["learning_rate_0", "learning_rate_1", "momentum"]},
    {"engine": "none"},
]


def test_a_hypergradient_is_the_norm_of_what_was_noted(tmp_path: Path) -> None:
    source = learned(tmp_path, [flat_of(0.1, 0.2)] * 5, NOTES)
    data = hypergradient_data(source.evaluated, "digits")
    by = data.pivot(index="evaluation", columns="hyperparameter", values="norm")
    assert by.index.tolist() == [0, 1, 2, 3]
    assert by["learning_rate"].tolist() == pytest.approx([5, 7, math.nan, math.nan], nan_ok=True)
    assert by["momentum"].tolist() == pytest.approx([0.5, 0, math.nan, math.nan], nan_ok=True)
    texts = [
        t for t, _ in boxes(hypergradient_figure(data, "seconds", black_boxes("fds"), ["momentum"]))
    ]
    assert {"momentum", "fds", "seconds on the cell's clock"} <= set(texts)


def test_its_file_says_names_and_units(tmp_path: Path) -> None:
    said = {"hypergradients-digits": {"learning_rate", "outer step: the evaluation's number"}}
    check_files(HYPERGRADIENTS.drawn(noted_at_length(tmp_path)), said)


def test_of_twelve_searchers_no_text_overlaps(tmp_path: Path) -> None:
    write_run(tmp_path, searchers=TWELVE, seeds=(0,), notes={"hypergradient": {"momentum": 2.0}})
    drawn = HYPERGRADIENTS.drawn(FigureSource(Results.load(tmp_path)))
    assert list(drawn) == ["hypergradients-digits"]
    for draw in drawn.values():
        check_apart(draw)


def test_where_nothing_was_noted_nothing_is_drawn(tmp_path: Path) -> None:
    for run in (write_study(tmp_path / "empty"), write_run(tmp_path / "run")):
        source = FigureSource(Results.load(run))
        assert HYPERGRADIENTS.figures(source) == []
        assert HYPERGRADIENTS.drawn(source) == {}


def test_the_interactive_one_shows_the_norms_and_marks_the_others(tmp_path: Path) -> None:
    source = learned(tmp_path, [flat_of(0.1, 0.2)] * 5, NOTES)
    data = hypergradient_data(source.evaluated, "digits")
    plot = hypergradient_plot(data, source.looks).as_json()
    traces = [trace for trace in plot["traces"] if "momentum" in trace["text"][0]]
    line, lost, zero = traces
    assert [trace["meta"]["when"] for trace in traces] == [{"hyperparameter": "momentum"}] * 3
    assert [trace["meta"]["of"] for trace in traces] == ["fds"] * 3
    assert (line["x"], line["y"]) == ([0, 1, 2, 3], [0.5, None, None, None])
    assert (lost["x"], lost["y"]) == ([2, 3], [1, 1])  # the ends of the axis
    assert (zero["x"], zero["y"]) == ([1], [0.1])
    for trace, seconds in zip(traces, ([1, 2, 3, 4], [3, 4], [2]), strict=True):
        (variant,) = trace["meta"]["variants"]
        assert variant == {"when": {"against": "seconds"}, "trace": {"x": seconds}}
    assert lost["text"][0] == (
        "<b>fds</b>, seed 0, evaluation 2 at 3 seconds<br>norm by momentum: inf or NaN"
    )
    assert zero["text"][0].endswith("norm by momentum: 0")
    ranges = {
        layout["when"]["hyperparameter"]: layout["layout"]["yaxis"]["range"]
        for layout in plot["layouts"]
        if "yaxis" in layout["layout"]
    }
    assert ranges == {"learning_rate": [0, 1], "momentum": [-1, 0]}
