"""Hyperparameters that were tried: which lines are shown, where they run, what is said of them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.report.drawing.scale import loss_scale
from hpobench.report.drawing.source import FigureSource
from hpobench.report.figures.parallel import (
    PARALLEL,
    PREFIX,
    SHADES,
    best_of,
    fifths,
    parallel_data,
    parallel_figure,
    parallel_plot,
    places,
    sample,
    shown_priors,
)
from hpobench.results.run import Results
from tests.hpobench.fake_run import Point, write_cell, write_run, write_study
from tests.hpobench.report.figures.learned_run import flat_of, learned, noted_at_length
from tests.hpobench.report.figures.text_boxes import (
    TWELVE,
    black_boxes,
    boxes,
    check_apart,
    check_files,
)


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 9)), max_size=80), st.integers(5, 40))
def test_a_sample_has_the_best_of_each_and_others_evenly(some, at_most) -> None:
    some = sorted(some, key=lambda pair: pair[0])
    groups = np.array([group for group, _ in some], int)
    losses = np.array([loss for _, loss in some], float)
    best = best_of(groups, losses)
    kept = sample(len(some), best, at_most)
    assert len(kept) == min(len(some), at_most)
    assert np.all(np.diff(kept) > 0)
    for group in set(groups.tolist()):
        lowest = losses[groups == group].min()
        assert lowest in losses[kept][groups[kept] == group]
    others = np.setdiff1d(np.arange(len(some)), best)
    place = np.flatnonzero(np.isin(others, kept))
    if len(place) > 1 and len(kept) < len(some):
        gap = (len(others) - 1) / (len(place) - 1)
        assert np.abs(np.diff(place) - gap).max() <= 1


@given(st.lists(st.floats(0, 9), max_size=60))
def test_fifths_are_of_equal_size_and_ascend(losses) -> None:
    found = fifths(pd.Series(losses, dtype=float))
    sizes = np.bincount(found, minlength=len(SHADES))
    assert len(sizes) == len(SHADES)
    assert sizes.max() - sizes.min() <= 1
    for a, b in itertools.pairwise(np.argsort(losses, kind="stable")):
        assert found[a] <= found[b]


def test_parallel_coordinates_are_of_full_trainings_that_did_not_fail(tmp_path: Path) -> None:
    write_study(tmp_path, searchers=("fds", "random"), seeds=(0, 1))
    points = [Point(1.0, 0.5, 0.5), Point(2.0, 0.2, 0.2, full=False), Point(3.0, 10.0, None)]
    points += [Point(4.0, 10.0, None, status="failed"), Point(5.0, 0.3, 0.3)]
    for searcher, seed in itertools.product(("fds", "random"), (0, 1)):
        status = "failed" if (searcher, seed) == ("random", 1) else "complete"
        write_cell(tmp_path, "digits", searcher, seed, points, status)
    source = FigureSource(Results.load(tmp_path))
    data, count = parallel_data(source.evaluated, "digits")
    assert count == len(data) == 3 * 3
    assert data["searcher"].tolist() == ["fds"] * 6 + ["random"] * 3
    assert data["validation_loss"].tolist() == [0.5, 10, 0.3] * 3
    assert data.query("best")[["searcher", "seed", "evaluation"]].to_numpy().tolist() == [
        ["fds", 0, 4],
        ["random", 0, 4],
    ]
    assert set(data[PREFIX + "momentum"]) == {0.9}
    assert data[PREFIX + "learning_rate_1"].isna().all()
    assert list(shown_priors(source.results.task("digits"), data)) == [
        "learning_rate_0",
        "momentum",
    ]
    few, of = parallel_data(source.evaluated, "digits", 4)
    assert (len(few), of) == (4, 9)
    assert few["best"].sum() == 2


def test_choices_are_axes_too(tmp_path: Path) -> None:
    flats = [
        {"momentum": 0.5, "rule": rule, "nesterov": on}
        for rule, on in (("sgd", True), ("adam", False))
    ]
    learned(tmp_path, flats, [None, None], "bohb")
    study = json.loads((tmp_path / "study.json").read_text())
    space = {
        "momentum": "linear 0 … 1",
        "rule": "one of sgd, lion, adam",
        "nesterov": "one of False, True",
    }
    study["tasks"][0]["space"] = space
    (tmp_path / "study.json").write_text(json.dumps(study))
    data, _ = parallel_data(FigureSource(Results.load(tmp_path)).evaluated, "digits")
    priors = shown_priors(study["tasks"][0], data)
    assert data[PREFIX + "rule"].tolist() == ["sgd", "adam"]
    assert priors["rule"].place(data[PREFIX + "rule"]).tolist() == [0, 1]
    assert priors["nesterov"].place(data[PREFIX + "nesterov"]).tolist() == [1, 0]
    texts = [text for text, _ in boxes(parallel_figure(data, priors, "loss", black_boxes("bohb")))]
    assert {"rule", "sgd", "adam", "validation loss"} <= set(texts)


def test_its_file_says_names_ends_and_scales(tmp_path: Path) -> None:
    said = {"parallel-digits": {"learning_rate_0, log", "momentum", "best of rmd", "0.99", "3"}}
    check_files(PARALLEL.drawn(noted_at_length(tmp_path)), said)


def test_of_twelve_searchers_no_text_overlaps(tmp_path: Path) -> None:
    write_run(tmp_path, searchers=TWELVE, seeds=(0,))
    drawn = PARALLEL.drawn(FigureSource(Results.load(tmp_path)))
    assert list(drawn) == ["parallel-digits"]
    for draw in drawn.values():
        check_apart(draw)


def test_where_nothing_was_tried_nothing_is_drawn(tmp_path: Path) -> None:
    source = FigureSource(Results.load(write_study(tmp_path / "empty")))
    assert PARALLEL.figures(source) == []
    assert PARALLEL.drawn(source) == {}
    run = write_run(tmp_path / "run", searchers=("random", "bohb"))
    assert list(PARALLEL.drawn(FigureSource(Results.load(run)))) == ["parallel-digits"]


def test_the_interactive_lines_are_those_of_the_data(tmp_path: Path) -> None:
    source = FigureSource(Results.load(write_run(tmp_path)))
    data, _ = parallel_data(source.evaluated, "digits")
    priors = shown_priors(source.results.task("digits"), data)
    plot = parallel_plot(data, priors, "loss", source.looks).as_json()
    across = places(data, priors, loss_scale(data["validation_loss"].tolist()))
    points = across.shape[1] + 1
    found: dict[str, list[list[float]]] = {"loss": [], "searcher": [], "best": []}
    for trace in plot["traces"]:
        meta, lines = trace["meta"], len(trace["text"])
        which = meta["when"].get("colour", "best")
        assert meta["when"] == ({} if which == "best" else {"colour": which, "lines": "all"})
        assert meta["repeat"] == points
        assert trace["y"] == [*range(points - 1), None] * lines
        x = np.array(trace["x"], float).reshape(lines, points)
        assert np.isnan(x[:, -1]).all()
        found[which] += x[:, :-1].tolist()
        heads = [f"<b>{name}</b>, seed" for name in meta.get("each", [meta["of"]] * lines)]
        for head, text in zip(heads, trace["text"], strict=True):
            assert text.startswith(head)
    best = data["best"].to_numpy(bool)
    for which, rows in (("loss", ~best), ("searcher", ~best), ("best", best)):
        assert sorted(found[which]) == pytest.approx(
            np.array(sorted(across[rows].tolist())), abs=1e-4
        )
    row = data[best].iloc[0]
    (text,) = next(t["text"] for t in plot["traces"] if not t["meta"]["when"])
    assert text.startswith(
        f"<b>{row['searcher']}</b>, seed {row['seed']}, evaluation {row['evaluation']}<br>"
    )
    assert "<br>momentum = 0.9<br>validation loss = " in text


def test_a_line_stops_where_it_has_no_value(tmp_path: Path) -> None:
    flats = [flat_of(0.1, 0.2), {"learning_rate_0": 0.1, "momentum": 0.5}]
    source = learned(tmp_path, flats, [None, None])
    data, _ = parallel_data(source.evaluated, "digits")
    priors = shown_priors(source.results.task("digits"), data)
    plot = parallel_plot(data, priors, "loss", source.looks).as_json()
    best = next(trace for trace in plot["traces"] if not trace["meta"]["when"])
    assert [x is None for x in best["x"]] == [False, True, False, False, True]
    assert "<br>learning_rate_1 = –<br>" in best["text"][0]
