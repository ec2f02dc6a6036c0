"""The share of cells at or below each level of regret: what the figure shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpobench.report.drawing.render import render
from hpobench.report.drawing.source import FigureSource
from hpobench.report.drawing.style import STYLES, StyleName
from hpobench.report.figures.profile import (
    log_span,
    profile_data,
    profile_figure,
    profile_figures,
    profile_plot,
)
from hpobench.results.flat_curves import FlatCurves
from hpobench.results.run import Results
from tests.hpobench.fake_run import write_run


def test_a_profile_is_the_share_of_cells_at_or_below(two_tasks: Results) -> None:
    curves = FlatCurves.of(two_tasks, "seconds")
    data = profile_data(two_tasks, curves)
    finals = 100 * curves.finals(curves.normalised)
    for place, searcher in enumerate(two_tasks.searchers):
        of_searcher = data[data["searcher"] == searcher]
        for row in of_searcher.to_dict("records"):
            near = 1e-4 * abs(row["level"])  # of which it has five digits
            least, most = (
                np.sum(finals[:, place] <= row["level"] + side) for side in (-near, near)
            )
            assert least <= round(row["share"] * 12) <= most
            assert row["low"] <= row["share"] <= row["high"]
        assert of_searcher["share"].iloc[-1] == pytest.approx(
            11 / 12 if searcher in ("bohb", "random") else 1, rel=1e-4
        )
        assert of_searcher["share"].is_monotonic_increasing
    short = profile_data(two_tasks, curves, at_most=4)
    assert short.groupby("searcher").size().max() <= 6
    both = short.merge(data, on=["searcher", "level"])
    assert len(both) == len(short)
    assert both["share_x"].equals(both["share_y"])


def test_the_interactive_curves_are_those_of_the_data(two_tasks: Results) -> None:
    data = profile_data(two_tasks, FlatCurves.of(two_tasks, "seconds"))
    plot = profile_plot(data, FigureSource(two_tasks).looks).as_json()
    curves = [trace for trace in plot["traces"] if trace["mode"] == "lines+markers"]
    assert len(curves) == 2 * 4  # on two scales
    begin, end = log_span(data)
    for trace in curves:
        rows = data[data["searcher"] == trace["meta"]["of"]]
        if trace["meta"]["when"] == {"across": "log"}:  # what is lower counts at its left end
            first = max((rows["level"] <= begin).sum() - 1, 0)
            levels, last = rows["level"].clip(lower=begin).tolist()[first:], end
        else:
            first, levels, last = 0, rows["level"].tolist(), trace["x"][-1]
            assert last >= max(100, data["level"].max())
        assert list(trace["x"]) == [*levels, last]
        shares = rows["share"].tolist()[first:]
        assert list(trace["y"]) == [*shares, shares[-1]]
    edges = [trace for trace in plot["traces"] if trace.get("hoverinfo") == "skip"]
    assert len(edges) == 2 * len(curves)
    assert {trace["meta"]["most"] for trace in edges} == {4}


def test_of_few_cells_there_are_no_bands(tmp_path: Path) -> None:
    results = Results.load(write_run(tmp_path))
    data = profile_data(results, FlatCurves.of(results, "seconds"))
    plot = profile_plot(data, FigureSource(results).looks).as_json()
    assert {trace["mode"] for trace in plot["traces"]} == {"lines+markers"}


def test_without_a_reference_there_is_no_profile(tmp_path: Path) -> None:
    results = Results.load(write_run(tmp_path, without_reference=["digits"]))
    assert len(profile_data(results, FlatCurves.of(results, "seconds"))) == 0
    assert profile_figures(FigureSource(results)) == []


@pytest.mark.parametrize("style", STYLES)
def test_it_is_drawn_in_both_styles_of_any_number_of_searchers(
    long_names: Results, style: StyleName
) -> None:
    data = profile_data(long_names, FlatCurves.of(long_names, "seconds"))
    figure = profile_figure(data, FigureSource(long_names).looks, style)
    assert STYLES[style].families["black-box"][0] in render(figure, "svg", style).decode()
