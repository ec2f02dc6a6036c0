"""Hyperparameters as they were learned and tried: what is shown of them, and of how many."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.report.drawing.downsampling import significant
from hpobench.report.drawing.evaluated import Evaluated
from hpobench.report.drawing.priors import priors_of
from hpobench.report.figures.hypergradients import hypergradient_data, hypergradient_figure
from hpobench.report.figures.learned import learned_drawings
from hpobench.report.figures.parallel import (
    PREFIX,
    SHADES,
    best_of,
    fifths,
    parallel_data,
    parallel_figure,
    sample,
    shown_priors,
)
from hpobench.report.figures.schedules import (
    MOST_STEPS,
    MOST_TRAININGS,
    moving,
    scales_of,
    schedule_data,
)
from hpobench.report.figures.write import render
from hpobench.results.run import Results
from searchers.schedule_bases import Linear
from searchers.space import Categorical, Float, Int, Space, Vector
from tests.hpobench.fake_run import Point, write_cell, write_run, write_study, write_yardsticks
from tests.hpobench.report.figures.test_figures import TWELVE, boxes

ends = st.tuples(st.floats(1e-6, 1e3), st.floats(1.5, 1e3)).map(lambda e: (e[0], e[0] * e[1]))
numbers = st.builds(lambda e, log: Float(*e, log=log), ends, st.booleans())
wholes = st.builds(
    lambda low, more, log: Int(low, low + more, log), *[st.integers(1, 99)] * 2, st.booleans()
)
choices = st.sampled_from([Categorical(("relu", "tanh")), Categorical((False, True))])
scalars = numbers | wholes | choices
domains = scalars | st.builds(Vector, st.integers(1, 9), scalars)


@given(st.dictionaries(st.sampled_from("abcde"), domains, min_size=1))
def test_a_prior_is_what_its_space_says(found) -> None:
    space = Space(found)
    priors = priors_of({"space": space.describe()})
    assert [name for prior in priors for name in prior.names] == list(space.scalars)
    assert [prior.name for prior in priors] == list(found)
    rng = np.random.default_rng(0)
    drawn = space.sample(rng)
    for prior in priors:
        domain = space.scalars[prior.names[0]]
        if isinstance(domain, Categorical):
            assert prior.place(domain.choices).tolist() == [0, 1]
        else:
            assert (prior.low, prior.high) == pytest.approx((domain.low, domain.high), rel=1e-5)
            assert prior.place([prior.low, prior.high]).tolist() == [0, 1]
            if isinstance(domain, Float):
                value = drawn[prior.names[0]]
                place = domain.to_unit(value)
                assert prior.place([value]) == pytest.approx([place], abs=2e-4 + 1e-4 * place)


def test_other_bases_than_windows_are_told_apart() -> None:
    space = Space({"a": Vector(3, Float(1, 2), Linear()), "b": Float(0, 1)})
    first, second = priors_of({"space": space.describe()})
    assert (first.names, first.windows) == (("a_0", "a_1", "a_2"), False)
    assert (second.names, second.windows) == (("b",), True)
    (unknown,) = priors_of({"space": {"a": "whatever"}})
    assert unknown.choices == ()


def learned(
    folder: Path,
    configurations: list[dict[str, Any]],
    notes: list[dict[str, Any] | None],
    searcher: str = "fds",
) -> Evaluated:
    """A run of one cell that tried these configurations, and noted these notes."""
    write_study(folder, searchers=(searcher, "random"), seeds=(0,))
    write_yardsticks(folder, "digits", 0)
    points = [Point(1.0 + n, 1 / (n + 1), 0.1) for n in range(len(configurations))]
    file = write_cell(folder, "digits", searcher, 0, points) / "evaluations.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line, flat, noted in zip(lines, configurations, notes, strict=True):
        line["hyperparameters"] = flat
        if noted is not None:
            line["notes"] = noted
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Evaluated.of(Results.load(folder))


def flat_of(rate: float, later: float, momentum: float = 0.5) -> dict[str, float]:
    return {"learning_rate_0": rate, "learning_rate_1": later, "momentum": momentum}


def test_of_a_schedule_in_windows_each_window_is_shown(tmp_path: Path) -> None:
    evaluated = learned(tmp_path, [flat_of(0.1, 0.2), flat_of(0.3, 0.4)], [None, None])
    data = schedule_data(evaluated, "digits")
    along = data.query("line == 'training' and evaluation == 1")
    rows = along[["hyperparameter", "at", "value"]].to_numpy().tolist()
    assert rows == [["learning_rate", 0, 0.3], ["learning_rate", 0.5, 0.4], ["momentum", 0, 0.5]]
    second = data.query("line == 'search' and hyperparameter == 'learning_rate' and part == 1")
    assert second[["evaluation", "seconds", "value"]].to_numpy().tolist() == [
        [0, 1, 0.2],
        [1, 2, 0.4],
    ]
    assert moving(data) == ["learning_rate"]
    assert scales_of(evaluated.results.task("digits"), data) == {
        "learning_rate": True,
        "momentum": False,
    }


def test_of_a_schedule_that_was_noted_the_steps_are_shown(tmp_path: Path) -> None:
    rates = np.linspace(0.1, 0.3, 200).tolist()
    notes: list[dict[str, Any] | None] = [
        {"schedule": {"learning_rate": rates}},
        {"schedule": [1.0]},
    ]
    evaluated = learned(tmp_path, [flat_of(0.15, 0.25)] * 2, notes, "hd")
    data = schedule_data(evaluated, "digits").query("line == 'training'")
    steps = data.query("hyperparameter == 'learning_rate' and evaluation == 0")
    assert len(steps) == MOST_STEPS
    place = (steps["at"] * 200).round().astype(int)
    assert steps["value"].tolist() == significant([rates[i] for i in place]).tolist()
    assert place.iloc[[0, -1]].tolist() == [0, 199]
    windows = data.query("hyperparameter == 'learning_rate' and evaluation == 1")
    assert windows["value"].tolist() == [0.15, 0.25]  # a note that is none


@pytest.mark.parametrize("count", [1, 12, 90])
def test_of_many_evaluations_some_are_shown_the_first_and_last_among_them(
    tmp_path: Path, count: int
) -> None:
    rng = np.random.default_rng(count)
    flats = [flat_of(*rng.uniform(0.01, 0.9, 3).tolist()) for _ in range(count)]
    evaluated = learned(tmp_path, flats, [None] * count)
    data = schedule_data(evaluated, "digits", 20)
    for line, most in (("search", 20), ("training", MOST_TRAININGS)):
        shown = data.loc[data["line"] == line, "evaluation"].unique()
        assert len(shown) <= most
        assert {0, count - 1} <= set(shown)
    for row in data.query("line == 'search'").itertuples():
        name = row.hyperparameter + (f"_{row.part}" if row.hyperparameter != "momentum" else "")
        assert row.value == significant(flats[row.evaluation][name])


def test_only_what_is_learned_by_gradients_and_complete_is_a_schedule(tmp_path: Path) -> None:
    failed = ["digits__fds__s0", "digits__hd__s0", "digits__hd__s1"]
    write_run(tmp_path, searchers=("fds", "hd", "random"), failed=failed)
    data = schedule_data(Evaluated.of(Results.load(tmp_path)), "digits")
    assert set(data["searcher"]) == {"fds"}
    assert set(data["seed"]) == {1}


def test_a_hypergradient_is_the_norm_of_what_was_noted(tmp_path: Path) -> None:
    notes: list[dict[str, Any] | None] = [
        {"hypergradient": {"learning_rate_0": -3.0, "learning_rate_1": 4.0, "momentum": -0.5}},
        {"hypergradient": {"learning_rate": 7.0, "momentum": 0.0}},
        {"hypergradient": {"learning_rate_0": 1.0}, "nonfinite": ["learning_rate_1", "momentum"]},
        {"nonfinite": ["learning_rate_0", "learning_rate_1", "momentum"]},
        {"engine": "none"},
    ]
    evaluated = learned(tmp_path, [flat_of(0.1, 0.2)] * 5, notes)
    data = hypergradient_data(evaluated, "digits")
    by = data.pivot(index="evaluation", columns="hyperparameter", values="norm")
    assert by.index.tolist() == [0, 1, 2, 3]
    assert by["learning_rate"].tolist() == pytest.approx([5, 7, math.nan, math.nan], nan_ok=True)
    assert by["momentum"].tolist() == pytest.approx([0.5, 0, math.nan, math.nan], nan_ok=True)
    texts = [t for t, _ in boxes(hypergradient_figure(data, "seconds", {"fds": 0}, ["momentum"]))]
    assert {"momentum", "fds", "seconds on the cell's clock"} <= set(texts)


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
    evaluated = Evaluated.of(Results.load(tmp_path))
    data, count = parallel_data(evaluated, "digits")
    assert count == len(data) == 3 * 3
    assert data["searcher"].tolist() == ["fds"] * 6 + ["random"] * 3
    assert data["validation_loss"].tolist() == [0.5, 10, 0.3] * 3
    assert data.query("best")[["searcher", "seed", "evaluation"]].to_numpy().tolist() == [
        ["fds", 0, 4],
        ["random", 0, 4],
    ]
    assert set(data[PREFIX + "momentum"]) == {0.9}
    assert data[PREFIX + "learning_rate_1"].isna().all()
    assert list(shown_priors(evaluated.results.task("digits"), data)) == [
        "learning_rate_0",
        "momentum",
    ]
    few, of = parallel_data(evaluated, "digits", 4)
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
    data, _ = parallel_data(Evaluated.of(Results.load(tmp_path)), "digits")
    priors = shown_priors(study["tasks"][0], data)
    assert data[PREFIX + "rule"].tolist() == ["sgd", "adam"]
    assert priors["rule"].place(data[PREFIX + "rule"]).tolist() == [0, 1]
    assert priors["nesterov"].place(data[PREFIX + "nesterov"]).tolist() == [1, 0]
    texts = [text for text, _ in boxes(parallel_figure(data, priors, "loss", {"bohb": 0}))]
    assert {"rule", "sgd", "adam", "validation loss"} <= set(texts)


@pytest.mark.slow
def test_each_task_has_files_of_what_was_learned(tmp_path: Path) -> None:
    """Names, units and scales are said, and no text lies over another."""
    rates = np.geomspace(1e-3, 2.9, 40).tolist()
    notes = [
        {"schedule": {"learning_rate": rates}, "hypergradient": {"learning_rate": 10.0**n}}
        for n in range(-3, 30, 3)
    ]
    count = len(notes)
    evaluated = learned(tmp_path, [flat_of(0.001, 2.5, 0.98)] * count, [*notes], "rmd")
    drawings = learned_drawings(evaluated.results)
    names = ("schedules-digits", "outer-steps-digits", "hypergradients-digits", "parallel-digits")
    assert tuple(drawings) == names
    said = {
        "schedules-digits": {"rmd", "learning_rate, log", "momentum", "share of the training, %"},
        "outer-steps-digits": {"outer step: the evaluation's number"},
        "hypergradients-digits": {"learning_rate", "outer step: the evaluation's number"},
        "parallel-digits": {"learning_rate_0, log", "momentum", "best of rmd", "0.99", "3"},
    }
    for name, draw in drawings.items():
        placed = boxes(draw())
        assert said[name] <= {text for text, _ in placed}, name
        check_apart(placed, draw())
        assert render(draw(), "svg", "light") == render(draw(), "svg", "light")


def check_apart(placed: Any, figure: Any) -> None:
    boxes(figure)
    width, height = figure.canvas.get_width_height()
    for text, box in placed:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, f"{text!r} leaves the figure"
    for (a, one), (b, other) in itertools.combinations(placed, 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        down = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert across <= 0 or down <= 2, f"{a!r} and {b!r} overlap"


@pytest.mark.slow
def test_of_twelve_searchers_no_text_overlaps(tmp_path: Path) -> None:
    write_run(tmp_path, searchers=TWELVE, seeds=(0,), notes={"hypergradient": {"momentum": 2.0}})
    for draw in learned_drawings(Results.load(tmp_path)).values():
        check_apart(boxes(draw()), draw())


def test_where_nothing_was_learned_nothing_is_drawn(tmp_path: Path) -> None:
    assert learned_drawings(Results.load(write_study(tmp_path / "empty"))) == {}
    run = write_run(tmp_path / "run", searchers=("random", "bohb"))
    assert list(learned_drawings(Results.load(run))) == ["parallel-digits"]
    assert len(schedule_data(Evaluated.of(Results.load(run)), "digits")) == 0
